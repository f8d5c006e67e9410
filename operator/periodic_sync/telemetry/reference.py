"""docs/reference/metrics.md, made from the definitions."""

import sys
from collections.abc import Mapping
from pathlib import Path

from periodic_sync.telemetry import api_definitions
from periodic_sync.telemetry.definitions import ALL, VALUES, Definition, values_of

COMMAND = "make metrics"
FILE = Path("docs") / "reference" / "metrics.md"

_HEAD = f"""<!-- Made by `{COMMAND}` from operator/periodic_sync/telemetry: change it there. -->
# Metrics

The operator's and the [HTTP API's](http-api.md): `GET /metrics` on port 8080 of either, in the text format of
Prometheus, or as OpenMetrics where the scrape asks for it. How to have them scraped, with alerts and a dashboard, is in
[monitoring.md](../how-to/monitoring.md).

No user id, no wallet and no token is in any of them.
"""

_LABELS = """
## Labels

- `namespace` and `policy` are those of the SyncPolicy. The scrape must keep them: `honorLabels: true`.
"""

_PROCESS = """
## Of an operator

Every operator has these, whether it leads or stands by. Those of the process itself come with them, as
`process_resident_memory_bytes` and `process_cpu_seconds_total`.
"""

_POLICY = """
## Of a policy

Only the operator that leads has these, from its first turn of the policy until the policy is deleted or somebody else
leads. Counters begin at 0 then, so ask for their `rate` or `increase`, summed over operators:
`sum by (namespace, policy) (rate(periodic_sync_turns_total[5m]))`. Of gauges ask for the highest:
`max by (namespace, policy) (periodic_sync_stale_users)`, since two operators may have one while one hands over to the
other, or for good with `--no-leader-election`.

What could not be counted keeps its last value: while `periodic_sync_store_ready` is 0 the numbers of users are old.
"""

_API = """
## Of the HTTP API

Every replica has these from its start, beside those of the process. `route` is a route's template as in the
[OpenAPI document](http-api.md), with nothing of what stands in its place; no label tells a policy or a caller. Requests
are counted when they are answered, so `periodic_sync_api_requests_in_flight` has the others. Posts for each write:
`rate(periodic_sync_api_changes_per_write_sum[5m]) / rate(periodic_sync_api_changes_per_write_count[5m])`.
"""


def render() -> str:
    """The whole file."""
    of_process = [each for each in ALL if not each.is_of_a_policy]
    of_policy = [each for each in ALL if each.is_of_a_policy]
    of_api = _API + _table(list(api_definitions.ALL)) + "\n" + _listing(api_definitions.VALUES)
    of_operator = _PROCESS + _table(of_process) + _POLICY + _table(of_policy) + _LABELS + _listing(VALUES)
    return _HEAD + of_operator + of_api


def _listing(known: Mapping[str, tuple[str, ...]]) -> str:
    return "".join(f"- `{label}`: {_listed(values)}.\n" for label, values in known.items())


def _table(definitions: list[Definition]) -> str:
    rows = "".join(f"| `{each.name}` | {each.kind} | {_labels(each)} | {each.help} |\n" for each in definitions)
    return f"\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _labels(definition: Definition) -> str:
    shown = []
    for label in definition.labels:
        values = values_of(definition, label)
        is_narrower = values != VALUES.get(label, ())
        shown.append(f"`{label}`" + (f" ({_listed(values)})" if is_narrower else ""))
    return ", ".join(shown)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def main() -> None:
    FILE.write_text(render(), encoding="utf-8")
    print(f"wrote {FILE}", file=sys.stderr)


if __name__ == "__main__":
    main()
