"""The web application: the HTTP API, the pages, authentication, metrics and error responses."""
