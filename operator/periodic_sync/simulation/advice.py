"""What a person should change before deploying: warnings from what a simulation has shown, each with the way out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from periodic_sync.api.durations import DAY, HOUR, MINUTE, SECOND, format_duration
from periodic_sync.api.names import Reason
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.calendar import find_zone
from periodic_sync.simulation.account import Hour
from periodic_sync.simulation.assumptions import Assumptions, batch_time, is_too_long

LONG_WAIT = HOUR // 4
"""Waiting that long within an hour is no peak any more."""
SPARE = 1.2
"""Times what is needed on average leaves room for unevenness."""
FEW = 0.01
"""A share of the active users that is not worth a warning."""
JOBS_A_MINUTE = 200
"""About as many Jobs of one pod does the Job controller get done with its default limits: docs/reference/scale.md."""
CONFIG_MAP_USERS = 10_000


class Topic(StrEnum):
    """What a warning is about."""

    CAPACITY = "Capacity"
    RATE = "Rate"
    DEADLINE = "Deadline"
    STALE = "Stale"
    WORKER = "Worker"
    JOBS = "Jobs"
    STORE = "Store"


@dataclass(frozen=True, slots=True)
class Advice:
    """topic: for programs. sentence: for people, with what to do."""

    topic: Topic
    sentence: str


def warnings_of(spec: SyncPolicySpec, assumed: Assumptions, hours: Sequence[Hour], *, users: int) -> list[Advice]:
    """Everything worth a warning, what matters most first."""
    found = [
        *_deadline(spec, assumed),
        *_worker(spec, hours),
        *_capacity(spec, assumed, hours),
        *_rate(spec, hours),
    ]
    if not found:
        found += _stale(spec, hours)
    return [*found, *_jobs(spec, hours), *_store(spec, users)]


def _deadline(spec: SyncPolicySpec, assumed: Assumptions) -> Iterator[Advice]:
    size = spec.batch_size
    if not is_too_long(size, spec, assumed):
        return
    fits = next((n for n in range(size, 0, -1) if not is_too_long(n, spec, assumed)), 0)
    took = _about(batch_time(size, spec, assumed) - assumed.pod_start)
    way_out = f"lower batchSize to {fits} or less" if fits else "let one sync take less time"
    yield Advice(
        Topic.DEADLINE,
        f"A batch of {size} users takes {took}, and jobs.deadline ends it after {format_duration(spec.jobs.deadline)}, "
        f"so that none of them is synced: {way_out}, or raise jobs.deadline or the worker's concurrency.",
    )


def _worker(spec: SyncPolicySpec, hours: Sequence[Hour]) -> Iterator[Advice]:
    for span, chosen in _spans(spec, hours, lambda hour: hour.waited.get(Reason.WORKER_FAILING, 0) > 0):
        waited = sum(hour.waited[Reason.WORKER_FAILING] for hour in chosen)
        yield Advice(
            Topic.WORKER,
            f"So many syncs fail {span} that the worker counts as failing for {_about(waited)}, in which only probes "
            "run: find out why syncs fail, or make batches larger, so that one of them rarely fails as a whole.",
        )


def _capacity(spec: SyncPolicySpec, assumed: Assumptions, hours: Sequence[Hour]) -> Iterator[Advice]:
    limit = spec.jobs.max_concurrent_batches
    for span, chosen in _spans(spec, hours, _waits_long(Reason.WAITING_FOR_CAPACITY)):
        needed = max(_batches_needed(spec, assumed, hour) for hour in chosen)
        enough = f"about {needed} would do" if needed > limit else "it catches up by itself later"
        yield Advice(
            Topic.CAPACITY,
            f"maxConcurrentBatches {limit} is not enough {span}: up to {_most_waiting(chosen)} users wait"
            f"{_lateness(chosen)}. For this many users {enough}; a larger batchSize or more of the worker's "
            "concurrency help as well.",
        )


def _rate(spec: SyncPolicySpec, hours: Sequence[Hour]) -> Iterator[Advice]:
    limit = spec.jobs.users_per_minute
    for span, chosen in _spans(spec, hours, _waits_long(Reason.RATE_LIMITED)):
        needed = max(hour.most_active * MINUTE // _interval(spec, hour) for hour in chosen)
        yield Advice(
            Topic.RATE,
            f"usersPerMinute {limit} holds up users {span}: up to {_most_waiting(chosen)} wait{_lateness(chosen)}. "
            f"These intervals take about {needed} users a minute: raise usersPerMinute to that, or lengthen the "
            "intervals.",
        )


def _stale(spec: SyncPolicySpec, hours: Sequence[Hour]) -> Iterator[Advice]:
    # In the first hour those are stale who were never synced.
    for span, chosen in _spans(spec, hours[1:], lambda hour: hour.most_stale > FEW * hour.most_active):
        threshold = format_duration(spec.thresholds.stale)
        yield Advice(
            Topic.STALE,
            f"Up to {max(hour.most_stale for hour in chosen)} users have data older than {threshold} {span}: those who "
            "come back after a while, and those whose syncs fail. Nothing need be changed where that is few.",
        )


def _jobs(spec: SyncPolicySpec, hours: Sequence[Hour]) -> Iterator[Advice]:
    for span, chosen in _spans(spec, hours, lambda hour: hour.jobs > 60 * JOBS_A_MINUTE):
        most = max(hour.jobs for hour in chosen) // 60
        yield Advice(
            Topic.JOBS,
            f"{most} Jobs a minute {span} are more than the {JOBS_A_MINUTE} or so that Kubernetes' Job controller gets "
            "done with its default limits: raise batchSize, or jobs.batchesPerJob to 10 or 20.",
        )


def _store(spec: SyncPolicySpec, users: int) -> Iterator[Advice]:
    if spec.store.config_map is not None and users > CONFIG_MAP_USERS:
        yield Advice(
            Topic.STORE,
            f"{users} users are more than the {CONFIG_MAP_USERS} that a ConfigMap store is good for: use Redis.",
        )


def _waits_long(reason: Reason) -> Callable[[Hour], bool]:
    return lambda hour: hour.waited.get(reason, 0) >= LONG_WAIT


def _most_waiting(hours: Iterable[Hour]) -> int:
    return max(hour.most_waiting for hour in hours)


def _lateness(hours: Iterable[Hour]) -> str:
    late = max((hour.lag.p99 for hour in hours if hour.lag is not None), default=0)
    return f", and one in a hundred is synced {_about(late)} or more after coming due" if late >= MINUTE else ""


def _batches_needed(spec: SyncPolicySpec, assumed: Assumptions, hour: Hour) -> int:
    """At once, for all who are active in that hour to be synced once an interval."""
    work = hour.most_active / spec.batch_size * batch_time(spec.batch_size, spec, assumed)
    return -(-int(SPARE * work) // _interval(spec, hour))


def _interval(spec: SyncPolicySpec, hour: Hour) -> int:
    """The shorter one of those that hold in that hour."""
    both = spec.intervals.market_hours, spec.intervals.off_hours
    if hour.is_open_at_start == hour.is_open_at_end:
        return both[0] if hour.is_open_at_start else both[1]
    return min(both)


def _spans(
    spec: SyncPolicySpec, hours: Sequence[Hour], chosen: Callable[[Hour], bool]
) -> Iterator[tuple[str, list[Hour]]]:
    """Hours in a row for which that holds, in the policy's own time: `from 09:00 to 17:00 Etc/UTC`."""
    zone = find_zone(spec.market_hours.time_zone)
    is_long = bool(hours) and hours[-1].start - hours[0].start >= DAY
    form = "%a %H:%M" if is_long else "%H:%M"
    for holds, group in groupby(hours, chosen):
        if holds:
            run = list(group)
            ends = (run[0].start, run[-1].start + HOUR)
            begin, end = (datetime.fromtimestamp(at // SECOND, zone).strftime(form) for at in ends)
            yield f"from {begin} to {end} ({spec.market_hours.time_zone})", run


def _about(milliseconds: int) -> str:
    """To the second, above ten minutes to the minute."""
    step = SECOND if milliseconds < 10 * MINUTE else MINUTE
    return format_duration(max(SECOND, milliseconds // step * step))
