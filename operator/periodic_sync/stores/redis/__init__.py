"""The Redis store: users in Redis or Valkey, for any number of them."""
