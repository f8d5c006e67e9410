"""`periodic-sync lint`: what the API server would say of a SyncPolicy, without one."""
