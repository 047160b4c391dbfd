"""Development tools that derive files of the project."""
