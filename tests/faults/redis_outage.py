"""1,000 users on Redis, whose server is killed in the middle of a run and away for 30 s: once it comes back with its
data, and once with a copy of them two minutes old. It takes a quarter of an hour; by hand, on the cluster of
`make demo STORE=redis`:

    PYTHONPATH=tests .venv/bin/python -m faults.redis_outage --kubeconfig .cluster/kubeconfig

It prints what was said meanwhile, and what a witness counted that shares no code with the operator.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster_support import Kubectl, eventually
from faults.redis_pod import RedisPod, start_redis
from faults.telling import conditions_told, say
from live.api import Api, proxied
from live.counting import Claim, claims, overlapping, recount, runs
from live.operator import Operator
from live.scene import POLICY, Scene, every, spec, staged

USERS = 1000
PREFIX = "portfolios:"
AWAY_SECONDS = 30
COPY_AGE_SECONDS = 120


@dataclass
class Outage:
    """The experiment, from its first user to its figures."""

    scene: Scene
    redis: RedisPod
    operator: Operator
    worker: dict[str, Any]
    interval: int
    users: list[str] = field(default_factory=lambda: [f"user-{number:04d}" for number in range(USERS)])

    def play(self) -> None:
        now = datetime.now(UTC).isoformat()
        lines = [json.dumps({"userId": user, "wallet": f"0x{user}", "lastActive": now}) for user in self.users]
        say(self.redis.register("\n".join(lines), PREFIX))
        self.scene.apply(self._spec())
        with conditions_told(self.scene):
            _await(lambda: len(self._begun()) > USERS // 4, "a quarter of the users is synced")
            self._go_away("with its data", lambda: None)
            _await(self._is_in_the_middle, "a run is in the middle again")
            self.redis.copy()
            copied = time.time()
            say(f"its data is copied; in {COPY_AGE_SECONDS} s or more the copy takes their place")
            time.sleep(COPY_AGE_SECONDS)  # the age of the copy is the experiment
            _await(self._is_in_the_middle, "a run is in the middle")
            self._go_away(f"with the copy of {time.time() - copied:.0f} s before", self.redis.put_copy_back)
            self.scene.patch({"enabled": False})
            eventually(self._assert_at_rest, seconds=180)
        self._tell_figures()

    def _spec(self) -> dict[str, Any]:
        timing = {"intervals": every(f"{self.interval}s"), "thresholds": {"stale": "20m"}}
        store = {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "keyPrefix": PREFIX}}
        return {**spec(self.worker, **timing), "batchSize": 10, "store": store}

    def _go_away(self, how: str, meanwhile: Callable[[], None]) -> None:
        running, gone = self._running(), time.time()
        self.redis.kill()
        say(f"redis-server killed while {running} Jobs run")
        meanwhile()
        time.sleep(max(0.0, gone + AWAY_SECONDS - time.time()))  # the length of the outage is the experiment
        back = time.time()
        self.redis.start()
        say(f"redis-server started {how}, {back - gone:.0f} s later")
        eventually(self._assert_store_ready, seconds=60)
        say(f"StoreReady=True again after {time.time() - back:.1f} s")
        _await(lambda: len(self._begun(back)) == USERS, "everyone is synced since", seconds=4 * self.interval)
        latest = max(self._begun(back).values()) - back
        say(f"the last of {len(self._begun(back))} users after {latest:.0f} s; two intervals: {2 * self.interval} s")
        say(f"claims so soon that they are an extra sync: {len(list(self._early()))}")

    def _tell_figures(self) -> None:
        witness, status = self.scene.witness, self.scene.status()
        found, counted = claims(witness, POLICY), recount(witness, POLICY)
        say(f"users never synced: {USERS - len(self._begun())} of {USERS}")
        say(f"users in two running batches at once: {len(overlapping(witness))}")
        say(f"claims: {len(found)}, so soon that they are an extra sync: {len(list(self._early()))}")
        times = Counter(user for run in runs(witness) for user in run.users)
        say(f"users by times synced: {dict(sorted(Counter(times.values()).items()))}")
        totals = (status["usersSynced"], status["usersFailed"])
        say(f"synced and failed: {totals} by status, {(counted.synced, counted.failed)} counted from the Jobs")
        for reason, note in dict.fromkeys(self.scene.told()):
            say(f"event {reason}: {note}")
        lines = [line for line in self.operator.log() if self.scene.namespace in line.get("policy", "")]
        for line in lines:
            if line["message"] not in ("scheduling batch", "batch done", "running check", "found stale users"):
                say(f"log {json.dumps(line)}")
        say(f"log lines: {dict(Counter(line['message'] for line in lines))}")
        say(f"restarts of the operator: {self.operator.restarts()}")

    def _running(self) -> int:
        return len([job for job in self.scene.jobs() if not job["status"].get("completionTime")])

    def _is_in_the_middle(self) -> bool:
        return self._running() > 5

    def _begun(self, since: float = 0) -> dict[str, float]:
        """When the first batch of each user began after that moment."""
        begun: dict[str, float] = {}
        for run in sorted(runs(self.scene.witness), key=lambda run: run.started):
            if run.started > since:
                begun = {**dict.fromkeys(run.users, run.started), **begun}
        return begun

    def _early(self) -> Iterator[Claim]:
        """Claims of users whose last claim was less than 0.9 of an interval ago."""
        last: dict[str, int] = {}
        for claim in claims(self.scene.witness, POLICY):
            if claim.user in last and claim.at - last[claim.user] < 900 * self.interval:
                yield claim
            last[claim.user] = claim.at

    def _assert_store_ready(self) -> None:
        assert self.scene.condition("StoreReady")["status"] == "True"

    def _assert_at_rest(self) -> None:
        status = self.scene.status()
        assert (status["enabled"], status["inFlightUsers"], status["activeJobs"]) == (False, 0, 0)


def _await(is_so: Callable[[], bool], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            say(f"NOT within {seconds:g} s: {what}")
            return
        time.sleep(1)
    say(what)


def _images(api: Api) -> tuple[str, str]:
    """Of operator and Redis, as they run in the cluster."""
    pods = [pod for pod in api.items("/api/v1/pods") if pod["status"]["phase"] == "Running"]
    images = {container["name"]: container["image"] for pod in pods for container in pod["spec"]["containers"]}
    return images["operator"], images["redis"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument(
        "--interval", type=int, default=180, help="seconds; 100 pods have to fit (default: %(default)s)"
    )
    given = parser.parse_args()
    cluster = Kubectl(given.kubeconfig.absolute())
    with proxied(cluster.kubeconfig) as api, staged(cluster, api, "redis-outage") as scene:
        ours, theirs = _images(api)
        redis = start_redis(scene.kubectl, redis_image=theirs, client_image=ours)
        worker = {"image": theirs, "command": ["sleep", "1"]}
        Outage(scene, redis, Operator(cluster.within("periodic-sync"), api), worker, given.interval).play()


if __name__ == "__main__":
    main()
