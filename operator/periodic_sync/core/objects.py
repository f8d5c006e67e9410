"""What all objects made for a policy have in common: names, labels and the reference to their owner."""

import hashlib
from dataclasses import dataclass
from typing import Any

from periodic_sync.api.names import API_VERSION, KIND, MANAGED_BY, MANAGED_BY_LABEL, POLICY_LABEL, ROLE_LABEL, Role

Object = dict[str, Any]
"""An object of the API server, as its JSON."""

LONGEST_POLICY_NAME = 40

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HASH_DIGITS = 6
_HIGHEST_CLAIM = 36**11 - 1
"""40 characters of the policy, 6 of the hash, 11 of this, two dashes: a pod's hostname adds `-999` and has its 63."""


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """One SyncPolicy object. One of the same name that was made after it was deleted has another UID."""

    namespace: str
    name: str
    uid: str


def object_name(policy_name: str, policy_uid: str, claim: int) -> str:
    """The name of a claim's Job and batch file: `portfolios-3f9a1c-lz4k2m9p`.

    A DNS label of at most 59 characters, so that the hostnames of an Indexed Job's pods are labels too.
    Raises: ValueError for a policy's name or a claim's number that leaves no room for that.
    """
    if not 0 <= claim <= _HIGHEST_CLAIM:
        raise ValueError(f"claim number {claim} is outside 0 to {_HIGHEST_CLAIM}")
    return f"{name_prefix(policy_name, policy_uid)}{_base_36(claim)}"


def ledger_name(policy_name: str, policy_uid: str) -> str:
    """The name of a policy's ledger. No claim's object has it: `ledger` as a number is an instant of January 1970."""
    return f"{name_prefix(policy_name, policy_uid)}ledger"


def name_prefix(policy_name: str, policy_uid: str) -> str:
    """What the names of all objects of one policy begin with; a policy of the same name made anew has another.

    Raises: ValueError for a policy's name that is too long.
    """
    if not 0 < len(policy_name) <= LONGEST_POLICY_NAME:
        raise ValueError(f"{policy_name!r} is no name of a SyncPolicy: write at most {LONGEST_POLICY_NAME} characters")
    return f"{policy_name}-{hashlib.sha256(policy_uid.encode()).hexdigest()[:_HASH_DIGITS]}-"


def owner_reference(policy: PolicyRef) -> Object:
    """The reference that makes garbage collection delete an object with its policy.

    It doesn't block the owner's deletion: that would need the right to set finalizers, and a deletion never waits.
    """
    return {"apiVersion": API_VERSION, "kind": KIND, "name": policy.name, "uid": policy.uid, "controller": True}


def common_labels(policy_name: str) -> dict[str, str]:
    return {MANAGED_BY_LABEL: MANAGED_BY, POLICY_LABEL: policy_name}


def selector(policy_name: str, role: Role | None = None) -> str:
    """Of labels: whatever was made for policies of that name. `role`: only ConfigMaps that hold this."""
    labels = common_labels(policy_name) | ({} if role is None else {ROLE_LABEL: role.value})
    return ",".join(f"{label}={text}" for label, text in labels.items())


def metadata(policy: PolicyRef, name: str, *, role: Role | None = None) -> Object:
    """The metadata of an object that belongs to a policy. `role`: what an owned ConfigMap holds."""
    labels = common_labels(policy.name)
    if role is not None:
        labels[ROLE_LABEL] = role.value
    return {
        "name": name,
        "namespace": policy.namespace,
        "labels": labels,
        "ownerReferences": [owner_reference(policy)],
    }


def _base_36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
