"""The HTTP API for agents, scripts and log shippers, and its OpenAPI document."""
