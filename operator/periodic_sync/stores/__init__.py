"""Where users come from, and where the operator keeps what it knows of them."""
