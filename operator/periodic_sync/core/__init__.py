"""Decisions, as pure functions of values: no I/O, no clock, no framework.

Instants are whole milliseconds since the Unix epoch and durations whole milliseconds, everywhere in this package.
"""
