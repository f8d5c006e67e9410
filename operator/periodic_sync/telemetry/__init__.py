"""What the operator tells machines about itself: a protocol that its edges speak, and Prometheus metrics behind it."""
