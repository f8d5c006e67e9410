"""What keeps Jobs from being made, as the status tells it, and that it is over once it is mended."""

from periodic_sync.api.durations import MINUTE, SECOND
from periodic_sync.kube.resources import CONFIG_MAPS, POD_TEMPLATES, Resource
from turns_support import STORE, Bench, Operator, until

QUOTAS = Resource("/api/v1", "resourcequotas")


class TestRefusals:
    async def refused(self, bench: Bench) -> Operator:
        """A policy whose Job was just refused by a quota."""
        await bench.apply()
        await bench.register(active=["u1"])
        body = {"metadata": {"name": "no-jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
        await bench.client.create(QUOTAS, bench.namespace, body)

        async def in_force() -> bool:
            quota = await bench.client.get(QUOTAS, bench.namespace, "no-jobs")
            return "hard" in quota.get("status", {})

        await until(in_force)
        operator = bench.operator()
        await operator.turn()
        return operator

    async def test_a_refusal_is_told_and_waited_out(self, bench: Bench) -> None:
        operator = await self.refused(bench)
        assert (await bench.conditions())["Ready"] == ("False", "JobRefused")
        assert "exceeded quota: no-jobs" in await bench.condition_message("Ready")
        assert "exceeded quota: no-jobs" in (await bench.events())["JobRefused"]
        refused_at = bench.now
        await bench.client.delete(QUOTAS, bench.namespace, "no-jobs")
        await operator.turn()
        await operator.turn()
        assert (await bench.ledger()).jobs == ()
        assert await bench.batch_files() == set()
        bench.now = refused_at + 30 * SECOND - 1
        await operator.turn()
        assert "POST job" not in operator.client.writes[operator.client.writes.index("POST job") + 1 :]
        bench.now += 1
        await operator.turn()
        assert await bench.in_flight() == {"u1"}
        assert (await bench.conditions())["Ready"] == ("True", "Scheduling")

    async def test_a_changed_spec_is_tried_at_once(self, bench: Bench) -> None:
        operator = await self.refused(bench)
        await operator.turn()
        await bench.client.delete(QUOTAS, bench.namespace, "no-jobs")
        await bench.edit(spec={"batchSize": 7})
        await operator.turn()
        assert await bench.in_flight() == {"u1"}

    async def test_refusals_in_a_row_wait_longer(self, bench: Bench) -> None:
        operator = await self.refused(bench)
        for pause in (30 * SECOND, MINUTE):
            await operator.turn()
            refusal = (await bench.ledger()).refusal
            assert refusal is not None
            assert refusal.until() - refusal.at == pause
            bench.now = refusal.until()
            await operator.turn()


class TestPodsThatCantStart:
    async def held_back(self, bench: Bench) -> Operator:
        """A policy whose only Job has a pod without an image."""
        await bench.apply()
        await bench.register(active=["u1", "u2"])
        operator = bench.operator()
        await operator.turn()

        async def are_there() -> bool:
            return await bench.kubelet.hold_back("ImagePullBackOff") == 1

        await until(are_there)
        bench.now += MINUTE
        await operator.turn()
        assert (await bench.conditions())["Ready"] == ("False", "WorkerFailing")
        return operator

    async def test_their_users_are_free_as_soon_as_the_spec_is_mended(self, bench: Bench) -> None:
        operator = await self.held_back(bench)
        (useless,) = await bench.job_names()
        await bench.edit(spec={"worker": {"image": "registry.example.com/worker:2"}})
        bench.now += MINUTE

        async def is_gone() -> bool:
            await bench.kubelet.start()
            return useless not in await bench.job_names()

        await bench.turns_until(operator, is_gone)
        await bench.run(operator)
        assert bench.kubelet.synced == {"u1": 1, "u2": 1}
        assert {state.failures for state in (await bench.states()).values()} == {0}

    async def test_they_are_waited_for_while_the_spec_stays(self, bench: Bench) -> None:
        operator = await self.held_back(bench)
        names = await bench.job_names()
        bench.now += MINUTE
        await operator.turn()
        assert await bench.job_names() == names
        assert await bench.in_flight() == {"u1", "u2"}


class TestWhatAPersonHasToMend:
    async def test_an_unknown_time_zone(self, bench: Bench) -> None:
        await bench.apply({"marketHours": {"timeZone": "Mars/Olympus"}})
        await bench.register(active=["u1"])
        operator = bench.operator()
        await operator.turn()
        assert (await bench.conditions())["Stalled"] == ("True", "UnknownTimeZone")
        assert "Mars/Olympus" in await bench.condition_message("Stalled")
        assert await bench.job_names() == set()
        await bench.edit(spec={"marketHours": {"timeZone": "Asia/Tokyo"}})
        await operator.turn()
        assert (await bench.conditions()).get("Stalled") is None
        assert await bench.in_flight() == {"u1"}

    async def test_a_missing_pod_template(self, bench: Bench) -> None:
        await bench.apply({"worker": {"podTemplate": {"name": "sync-nodes"}}})
        await bench.register(active=["u1"])
        operator = bench.operator()
        await operator.turn()
        assert (await bench.conditions())["Stalled"] == ("True", "PodTemplateNotFound")
        assert (await bench.status())["totalUsers"] == 1
        assert await bench.job_names() == set()
        pod = {"spec": {"containers": [{"name": "worker", "image": "w"}], "priority": None}}
        await bench.client.create(POD_TEMPLATES, bench.namespace, {"metadata": {"name": "sync-nodes"}, "template": pod})
        await operator.turn()
        assert (await bench.conditions())["Ready"] == ("True", "Scheduling")
        assert await bench.in_flight() == {"u1"}

    async def test_a_missing_store_is_never_no_users(self, bench: Bench) -> None:
        await bench.apply()
        operator = bench.operator()
        await operator.turn()
        assert (await bench.conditions())["StoreReady"] == ("False", "NotReady")
        assert (await bench.conditions())["Ready"] == ("False", "StoreNotReady")
        assert f"create configmap {STORE}" in await bench.condition_message("StoreReady")
        await bench.register(active=["u1"])
        await operator.turn()
        assert (await bench.conditions())["StoreReady"] == ("True", "Readable")
        assert await bench.in_flight() == {"u1"}

    async def test_a_store_that_goes_keeps_the_last_counts_and_what_runs_is_settled_later(self, bench: Bench) -> None:
        await bench.apply()
        await bench.register(active=["u1", "u2"])
        operator = bench.operator()
        await operator.turn()
        await bench.client.delete(CONFIG_MAPS, bench.namespace, STORE)
        await operator.turn()
        status = await bench.status()
        assert (status["totalUsers"], status["inFlightUsers"]) == (2, 2)
        assert (await bench.conditions())["Ready"] == ("False", "StoreNotReady")
        await bench.register(active=["u1", "u2"])
        await bench.run(operator)
        assert bench.kubelet.started == {"u1": 1, "u2": 1}
