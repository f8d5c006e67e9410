"""Measurements of the operator. What they show, and how to repeat them: docs/scale.md."""
