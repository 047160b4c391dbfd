"""The pages of agents and their API keys, and the set-up instructions."""
