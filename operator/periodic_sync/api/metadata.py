"""Labels and annotations that a policy puts onto its Jobs and pods."""

from typing import Annotated

from pydantic import Field

from periodic_sync.api.names import GROUP
from periodic_sync.api.rules import Rule, cel_text, rules

_PREFIX = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_OF_KUBERNETES = r"^(batch\.kubernetes\.io/.*|job-name|controller-uid)$"

_KEY_RULE = Rule(
    cel=f"self.all(key, key.size() <= 317 && key.matches({cel_text(f'^{_PREFIX}{_NAME}$')}))",
    message="write each key as a name with an optional prefix, such as team or example.com/cost-centre",
)
_OURS_RULE = Rule(
    cel=f"!self.exists(key, key.startsWith('{GROUP}/'))",
    message=f"keys that begin with {GROUP}/ belong to the operator: choose another prefix",
)
_JOB_RULE = Rule(
    cel=f"!self.exists(key, key.matches({cel_text(_OF_KUBERNETES)}))",
    message="job-name, controller-uid and keys under batch.kubernetes.io/ are set by Kubernetes itself: remove them",
)
_VALUE_RULE = Rule(
    cel=f"self.all(key, self[key].matches({cel_text(f'^({_NAME})?$')}))",
    message=(
        "write each label's value as at most 63 letters, digits and characters of '-_.', beginning and ending with a "
        "letter or digit"
    ),
)


Labels = Annotated[
    dict[str, Annotated[str, Field(max_length=63)]],
    Field(max_length=32, json_schema_extra=rules(_KEY_RULE, _OURS_RULE, _JOB_RULE, _VALUE_RULE)),
]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=16384)]],
    Field(max_length=32, json_schema_extra=rules(_KEY_RULE, _OURS_RULE)),
]
