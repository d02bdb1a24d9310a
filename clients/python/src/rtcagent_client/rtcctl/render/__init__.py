"""How people are shown what the agent answers."""
