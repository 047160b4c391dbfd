"""The list of agents and their API keys, the page of one agent, and instructions to connect an agent."""
