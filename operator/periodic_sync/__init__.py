"""Periodic Sync: a Kubernetes operator that keeps the data of a product's active users fresh."""

__version__ = "0.1.0"
