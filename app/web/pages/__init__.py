"""The pages for users, with one package of routes and template contexts for each area."""
