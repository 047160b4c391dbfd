"""The list of agents and their API keys, the page of one agent, and how to connect an agent."""
