"""`simulate`: from a policy, its users and what is assumed of the worker to what happens hour by hour."""

from collections.abc import Callable
from dataclasses import dataclass, field

from periodic_sync.api.durations import HOUR
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.simulation.account import Account, Hour
from periodic_sync.simulation.advice import Advice, warnings_of
from periodic_sync.simulation.assumptions import Assumptions, worker_of
from periodic_sync.simulation.engine import Engine, ledger_for
from periodic_sync.simulation.index import UserIndex
from periodic_sync.simulation.people import People


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is simulated. The policy is played as enabled, whatever it says."""

    spec: SyncPolicySpec
    people: People
    start: int
    """Milliseconds."""
    hours: int = 24
    assumptions: Assumptions = field(default_factory=Assumptions)

    def __post_init__(self) -> None:
        if self.hours < 1:
            raise ValueError(f"a simulation takes at least one hour, not {self.hours}")


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would happen."""

    inputs: Inputs
    hours: tuple[Hour, ...]
    total: Hour
    """Of all hours; of peaks the highest."""
    warnings: tuple[Advice, ...]
    turns: int
    """Of the operator in which something happened, beside those that come every 10 s anyway."""


def simulate(inputs: Inputs, progress: Callable[[int], None] = lambda hours: None) -> Simulation:
    """Play the policy. The same inputs give the same result.

    `progress`: told after each hour how many are over. Raises: UnknownTimeZoneError where the policy's time zone does
    not exist.
    """
    spec = inputs.spec.model_copy(update={"enabled": True})
    users = inputs.people.users
    account = Account(spec, users=len(users), start=inputs.start, hours=inputs.hours)
    work, fate = worker_of(spec, inputs.assumptions)
    engine = Engine(
        spec=spec,
        users=UserIndex(users),
        ledger=ledger_for(spec, (state for _, state in users)),
        now=inputs.start,
        watcher=account,
        work=work,
        fate=fate,
        rest=inputs.assumptions.rest,
    )
    engine.expect(inputs.people.visits)
    for hour in range(1, inputs.hours + 1):
        engine.run(inputs.start + hour * HOUR)
        progress(hour)
    account.end(engine.now)
    hours = account.hours()
    warnings = warnings_of(spec, inputs.assumptions, hours, users=len(users))
    return Simulation(inputs, tuple(hours), account.total(), tuple(warnings), engine.turns)


def most_syncs(spec: SyncPolicySpec, *, users: int, hours: int) -> int:
    """Of so many active users, if nothing holds them up and none has a shorter interval of its own."""
    shorter = min(spec.intervals.market_hours, spec.intervals.off_hours)
    return users * hours * HOUR // shorter
