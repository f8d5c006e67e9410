"""How often the operator does what nothing calls for at once."""

from periodic_sync.api.durations import SECOND

TICK = 10 * SECOND
"""A policy's turn comes at least so often."""

COUNTERS_EVERY = 5 * SECOND
"""Counters in the status are written at most so often, together."""
