"""Plans made from what a Redis store shows, beside those that all users would make."""

from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.ledger import ManualRequest, Scope
from periodic_sync.core.plan import Plan, User, plan, plan_for, with_cohorts
from periodic_sync.core.tick import Tick
from redis_bench import RedisBench
from scheduling import ledger_of, told


async def planned(bench: RedisBench, tick: Tick) -> Plan:
    """As the controller does it."""
    store = bench.open()
    await store.read(tick.now)
    active = await store.active(tick.now - tick.spec.thresholds.active)
    tick, cohorts = with_cohorts(tick, active)
    return plan_for(await store.population(tick), tick, cohorts)


async def everyone(bench: RedisBench) -> list[User]:
    return [(user.record, user.state) async for user in bench.records.users()]


async def difference(bench: RedisBench, tick: Tick) -> str:
    expected, found = told(plan(await everyone(bench), tick)), told(await planned(bench, tick))
    return ", ".join(f"{key}: {found[key]} is not {expected[key]}" for key in found if found[key] != expected[key])


def requesting(spec: SyncPolicySpec, scope: Scope, now: int) -> Tick:
    return Tick(spec, ledger_of(spec, request=ManualRequest("t", scope, 100)), now)
