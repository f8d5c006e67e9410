"""What `simulate` shows: totals, what it takes hour by hour as a chart, and what should be changed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from periodic_sync.api.durations import DAY, HOUR, SECOND, format_duration
from periodic_sync.cli.output import columns, duration
from periodic_sync.core.calendar import find_zone
from periodic_sync.server.shown import instant
from periodic_sync.simulation.account import Hour, Lag
from periodic_sync.simulation.simulate import Simulation
from periodic_sync.simulation.writes import Writes

BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def document(names: Sequence[str], played: Sequence[Simulation]) -> dict[str, Any]:
    """For programs."""
    inputs, assumed = played[0].inputs, played[0].inputs.assumptions
    return {
        "start": instant(inputs.start),
        "hours": inputs.hours,
        "users": len(inputs.people.users),
        "assumptions": {
            "sync": format_duration(assumed.sync),
            "podStart": format_duration(assumed.pod_start),
            "failing": assumed.failing,
            "concurrency": assumed.concurrency,
        },
        "variants": [
            {
                "name": name,
                "total": _hour(each.total),
                "hours": [_hour(hour) for hour in each.hours],
                "advice": [{"topic": found.topic.value, "sentence": found.sentence} for found in each.warnings],
            }
            for name, each in zip(names, played, strict=True)
        ],
    }


def _hour(hour: Hour) -> dict[str, Any]:
    return {
        "start": instant(hour.start),
        "isMarketHours": hour.is_open_at_start,
        "synced": hour.synced,
        "failed": hour.failed,
        "jobs": hour.jobs,
        "pods": hour.batches,
        "mostPods": hour.most_pods,
        "mostActive": hour.most_active,
        "mostWaiting": hour.most_waiting,
        "mostStale": hour.most_stale,
        "waited": {reason.value: format_duration(waited) for reason, waited in hour.waited.items()},
        "lag": hour.lag
        and {
            "p50": format_duration(hour.lag.p50),
            "p99": format_duration(hour.lag.p99),
            "longest": format_duration(hour.lag.longest),
        },
        "apiWrites": _writes(hour.writes),
    }


def _writes(writes: Writes) -> dict[str, int]:
    return {
        "jobs": writes.jobs,
        "batchFiles": writes.batch_files,
        "ledger": writes.ledger,
        "status": writes.status,
        "state": writes.state,
        "operator": writes.operator,
        "cluster": writes.cluster,
        "total": writes.total,
    }


def table(names: Sequence[str], played: Sequence[Simulation]) -> RenderableType:
    """One policy with its chart, or several side by side."""
    inputs = played[0].inputs
    begun = Text(f"{inputs.hours} h from {instant(inputs.start)}, {len(inputs.people.users)} users", style="bold")
    chart = _chart(played[0]) if len(played) == 1 else _charts(names, played)
    parts: list[RenderableType] = [begun, Text(), _totals(names, played), Text(), chart, _legend(played[0])]
    for name, each in zip(names, played, strict=True):
        parts += [Text(), *_advice(name if len(played) > 1 else "", each)]
    return Group(*parts)


ROWS: tuple[tuple[str, Callable[[Hour], str]], ...] = (
    ("syncs", lambda total: str(total.synced)),
    ("failed", lambda total: str(total.failed)),
    ("Jobs", lambda total: str(total.jobs)),
    ("pods", lambda total: str(total.batches)),
    ("pods at once, at most", lambda total: str(total.most_pods)),
    ("active users, at most", lambda total: str(total.most_active)),
    ("waiting users, at most", lambda total: str(total.most_waiting)),
    ("due to synced, median", lambda total: _lag(total.lag, lambda lag: lag.p50)),
    ("due to synced, 99 of 100", lambda total: _lag(total.lag, lambda lag: lag.p99)),
    ("writes to the API server", lambda total: str(total.writes.total)),
    ("of these the operator's", lambda total: str(total.writes.operator)),
)


def _lag(lag: Lag | None, pick: Callable[[Lag], int]) -> str:
    if lag is None:
        return "-"
    return duration(pick(lag)) if pick(lag) >= SECOND else "under 1s"


def _totals(names: Sequence[str], played: Sequence[Simulation]) -> RenderableType:
    found = columns("total", *names, right=names)
    for title, text in ROWS:
        found.add_row(title, *(text(each.total) for each in played))
    return found


def _chart(played: Simulation) -> RenderableType:
    found = columns(
        "hour", "syncs", "", "Jobs", "pods", "writes", "lag p99", right=["syncs", "Jobs", "pods", "writes", "lag p99"]
    )
    highest = max(hour.synced for hour in played.hours)
    for hour in played.hours:
        found.add_row(
            *(_clock(played, hour), str(hour.synced), bar(hour.synced, highest, BAR_WIDTH), str(hour.jobs)),
            *(str(hour.batches), str(hour.writes.total), _lag(hour.lag, lambda lag: lag.p99)),
        )
    return found


def _charts(names: Sequence[str], played: Sequence[Simulation]) -> RenderableType:
    width = BAR_WIDTH // len(played) + 6
    found = columns("hour")
    for name in names:
        found.add_column(f"{name}: syncs".upper(), justify="right")
        found.add_column("")
    highest = max(hour.synced for each in played for hour in each.hours)
    for row in zip(*(each.hours for each in played), strict=True):
        cells = [cell for hour in row for cell in (str(hour.synced), bar(hour.synced, highest, width))]
        found.add_row(_clock(played[0], row[0]), *cells)
    return found


def _clock(played: Simulation, hour: Hour) -> str:
    """In the policy's own time; an hour in which the market is open is marked."""
    zone = find_zone(played.inputs.spec.market_hours.time_zone)
    form = "%a %H:%M" if played.inputs.hours * HOUR > DAY else "%H:%M"
    mark = "*" if hour.is_open_at_start else " "
    return datetime.fromtimestamp(hour.start // SECOND, zone).strftime(form) + mark


def _legend(played: Simulation) -> Text:
    return Text(f"hours of {played.inputs.spec.market_hours.time_zone}, * market hours", style="dim")


def bar(value: int, highest: int, width: int) -> str:
    """In eighths of a character."""
    eighths = round(value * width * 8 / highest) if highest else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _advice(name: str, played: Simulation) -> list[RenderableType]:
    prefix = f"{name}: " if name else ""
    if not played.warnings:
        return [Text(f"{prefix}nothing to warn of", style="green")]
    return [Text(f"{prefix}{found.topic.value}: {found.sentence}", style="yellow") for found in played.warnings]
