"""Why, beside an operator: its turns are played, and the API looks at what they left."""

from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.resources import SYNC_POLICIES
from turns_support import NAME, Bench

from .conftest import Place
from .test_users import WALLET


async def test_a_user_is_due_then_in_flight_then_not_due_as_the_operator_works(place: Place) -> None:
    call, bench = place.caller("manager"), Bench(place.client, place.namespace)
    body = await place.client.get(SYNC_POLICIES, place.namespace, NAME)
    bench.policy = PolicyRef(place.namespace, NAME, body["metadata"]["uid"])
    await call("PUT", "users/ada", {"wallet": WALLET})
    bench.now += 2000  # so that the activity is not ahead of the operator's clock
    operator = bench.operator()

    async def reason() -> str:
        return str((await call("GET", "users/ada/why")).json["reason"])

    await operator.turn()
    assert await reason() == "InFlight"
    await bench.run(operator)
    told = (await call("GET", "users/ada/why")).json
    assert (told["reason"], told["dueAt"]) == ("NotDue", told["until"])
    assert (await call("GET", "users/ada")).json["state"]["lastSynced"] is not None
    await bench.edit(spec={"enabled": False})
    assert await reason() == "PolicyDisabled"
