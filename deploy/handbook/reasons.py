"""docs/reference/reasons.md: the words in which the operator tells what is going on."""

from handbook import log_lines
from handbook.markdown import code, made_from, table, text
from periodic_sync.api.names import Reason
from periodic_sync.api.reasons import CONDITION_MEANINGS, EVENT_MEANINGS
from periodic_sync.inspection.words import SENTENCES

_HEAD = (
    made_from("operator/periodic_sync/api/reasons.py, inspection/words.py and the calls of the loggers")
    + """# Conditions, reason codes, events, log lines

The words that stay the same, for people and for their alerts. The sentences beside them say what is the matter in this
very case, and what to do; they may change from release to release.

"""
)

_CODES = """## Reason codes

Why a user is, or is not, synced now. Every user has exactly one: the first that matches, in this order. The same words
are in the answers of the HTTP API and the command line, and in the metrics.

"""

_HELD = """The last three are in place of a Due code, which then stands in `heldFrom`.

"""

_CONDITIONS = """## Conditions

In `status.conditions`. Ready and StoreReady are always there, Stalled only while it is true.

"""

_EVENTS = """## Events

On the SyncPolicy: `kubectl describe syncpolicy` shows them, and `kubectl get events --field-selector
involvedObject.kind=SyncPolicy`. The same words are not said again within 10 minutes.

A condition that turns, or gets another reason, is an Event as well, with the condition's reason: a Warning for
Ready=False, StoreReady=False and Stalled=True, Normal for Ready=True. Beside these:

"""

_LOG = """## Log lines

JSON, one object a line; these have `error` or `critical` in the field `level`, and the words in `message`. What stands
beside them in other fields (`policy`, `job`, `error`) tells the case. None of them holds a wallet.

"""


def render() -> str:
    codes = [[code(reason), f"{text(SENTENCES[reason])}."] for reason in Reason]
    conditions = [[code(f"{each.type}={each.status}"), code(each.reason), each.meaning] for each in CONDITION_MEANINGS]
    events = [[each.kind, code(each.reason), each.meaning] for each in EVENT_MEANINGS]
    lines = [[code(line), log_lines.MEANINGS[line]] for line in sorted(log_lines.serious())]
    sections = (
        (_CODES, table(["reason", "what it says"], codes) + _HELD),
        (_CONDITIONS, table(["condition", "reason", "meaning"], conditions)),
        (_EVENTS, table(["type", "reason", "meaning"], events)),
        (_LOG, table(["message", "meaning"], lines)),
    )
    return (_HEAD + "".join(head + rest for head, rest in sections)).rstrip("\n") + "\n"
