"""The JSON API for alerts, exclusions and rules, and its OpenAPI document."""
