"""A single-node Kubernetes of real components for machines without a container engine."""
