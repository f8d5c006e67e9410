"""What can be seen of a policy from outside: what is in flight, and why a user is, or is not, synced now."""
