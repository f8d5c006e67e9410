"""Measurements of the operator. What they show, and how to repeat them: docs/reference/scale.md."""
