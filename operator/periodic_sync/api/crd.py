"""The CustomResourceDefinition, made from the models. `python -m periodic_sync.api.crd` writes it to `crds/`."""

import sys
from pathlib import Path
from typing import Any

import yaml

from periodic_sync.api.names import GROUP, KIND, PLURAL, VERSION
from periodic_sync.api.rules import NAME_RULE, rules
from periodic_sync.api.schema import Schema, structural_schema
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.api.status import SyncPolicyStatus

CRD_NAME = f"{PLURAL}.{GROUP}"
CRD_FILE = Path(__file__).parents[3] / "crds" / f"{CRD_NAME}.yaml"
COMMAND = "python -m periodic_sync.api.crd"

_HEADER = f"""\
# Made by `{COMMAND}` from the models in operator/periodic_sync/api.
# Edit those and run it again; a test fails where this file and the models differ.
"""

_COLUMNS = (
    ("Enabled", "boolean", ".spec.enabled", "Whether users are to be synced."),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether users are synced as it says."),
    ("Market", "boolean", ".status.isMarketHours", "Whether market hours are open now."),
    ("Total", "integer", ".status.totalUsers", "Valid user records in the store."),
    ("Active", "integer", ".status.activeUsers", "Users seen within thresholds.active."),
    ("Jobs", "integer", ".status.activeJobs", "Jobs that are open."),
    ("Last", "date", ".status.lastSyncTime", "Time since a user was last synced."),
    # A string, since kubectl shows a date in the future as <invalid>.
    ("Next", "string", ".status.nextScheduledSync", "When the next user comes due."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the policy was made."),
)
_WIDE_COLUMNS = (
    ("Stale", "integer", ".status.staleUsers", "Active users whose data is older than thresholds.stale."),
    ("Due", "integer", ".status.dueUsers", "Users who are due and not in flight."),
    ("Failed", "integer", ".status.usersFailed", "Failed syncs of users since the policy was made."),
    ("Store", "string", ".status.store", "Where the user records are."),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why the policy is ready, or is not."),
)


class _PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice: anchors and aliases are hard on people and on other tools."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def build_crd() -> dict[str, Any]:
    """The CustomResourceDefinition as the API server takes it."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [*_columns(_COLUMNS, 0), *_columns(_WIDE_COLUMNS, 1)],
        "schema": {"openAPIV3Schema": _root_schema()},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["syncp"],
        "categories": ["sync"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def render_crd() -> str:
    """The text of the file in `crds/`."""
    text = yaml.dump(build_crd(), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=120)
    return _HEADER + str(text)


def _columns(columns: tuple[tuple[str, str, str, str], ...], priority: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": kind, "jsonPath": path, "description": description, "priority": priority}
        for name, kind, path, description in columns
    ]


def _root_schema() -> Schema:
    spec, status = structural_schema(SyncPolicySpec), structural_schema(SyncPolicyStatus)
    spec["description"] = "What is to happen: which users are synced, how often, and by what."
    status["description"] = "What is happening, as the operator last saw it."
    return {
        "type": "object",
        "description": (
            "A SyncPolicy keeps the data of a product's active users fresh: the operator works out who is due, "
            "groups them in batches and runs the batches as Jobs."
        ),
        "required": ["spec"],
        **rules(NAME_RULE),
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def main(arguments: list[str]) -> None:
    target = Path(arguments[0]) if arguments else CRD_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render_crd(), encoding="utf-8")
    print(f"wrote {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
