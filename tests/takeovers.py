"""What is measured of a takeover."""

from typing import NamedTuple


class Takeover(NamedTuple):
    """After how many seconds another operator leads, and has claimed users."""

    leads: float
    claims: float

    def __str__(self) -> str:
        return f"leads after {self.leads:.2f} s, claims after {self.claims:.2f} s"
