"""The log lines worth an alert: found in the code, so that none can be added without a word on what it means."""

import ast
from functools import cache

from handbook.calls import calls, constants_of, name_of

_SERIOUS = frozenset({"error", "exception", "critical"})

MEANINGS = {
    "Job refused by the API server": "the policy says Ready=False, reason JobRefused, with the server's sentence",
    "a Job of that name belongs to somebody else": "its batch is given up and planned anew under another name",
    "a batch file is unreadable": (
        "found while a ledger was made anew, changed by hand most likely: its users are unknown until its Job is over"
    ),
    "batch file is unreadable, its users count as unknown": (
        "changed by hand most likely: nothing is claimed until its Job is over"
    ),
    "batch file refused by the API server": "such as by a quota or an admission rule: no batch starts",
    "ended without being asked to": "the process ends with 1, and its pod is started again: please report it",
    "events interrupted": "a defect of live events: they go on after a pause, and readers stay; please report it",
    "reader refused": "a defect: somebody who asked for live events was answered with 500; please report it",
    "the policy's name is too long": "made while the CRD was not there or an older one: that policy is not served",
    "turn failed": "a defect: the turn is tried again, and other policies are not affected; please report it",
    "watch failed": "a defect: the watch begins anew, and ticks stand in for it meanwhile; please report it",
}
"""By message."""


@cache
def serious() -> frozenset[str]:
    """The messages of all calls at the level of errors."""
    said = (next(constants_of(call), None) for call in calls() if name_of(call) in _SERIOUS and _is_method(call))
    return frozenset(message for message in said if isinstance(message, str))


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute)
