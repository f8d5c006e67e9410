"""Live events of a policy over WebSocket: sources, a hub for each policy, the route. docs/reference/live-events.md."""
