"""One uncached look at all objects of a policy, in the order that the protocol needs: batch files, Jobs, pods."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from periodic_sync.core.ledger import Ledger, OpenJob, Phase
from periodic_sync.core.protocol import Look
from periodic_sync.core.views import JobView, PodView, job_view, pod_view
from periodic_sync.kube.client import Object
from periodic_sync.kube.policy_objects import PolicyObjects


@dataclass(frozen=True, slots=True)
class Sight:
    """What was there. `pods` is None where no open Job made them worth a request."""

    files: Mapping[str, Object]
    """Metadata of this policy's batch files, by name."""
    foreign_files: frozenset[str]
    """Names of those of a policy of the same name that was deleted."""
    jobs: Mapping[str, JobView]
    """This policy's own, by name."""
    foreign_jobs: Mapping[str, JobView]
    """Those that carry this policy's label and belong to nobody, or to a policy that was deleted."""
    pods: tuple[PodView, ...] | None
    now: int
    _by_job: dict[str, list[PodView]] = field(default_factory=dict)

    def pods_of(self, job_name: str) -> list[PodView]:
        if not self._by_job and self.pods:
            for pod in self.pods:
                self._by_job.setdefault(pod.job_name, []).append(pod)
        return self._by_job.get(job_name, [])

    def look(self, open_job: OpenJob) -> Look:
        pods = self.pods_of(open_job.name)
        has_file, job = open_job.name in self.files, self.jobs.get(open_job.name)
        # A pod without a Job that looks after it, without a node and without its batch file will never start.
        unfinished = [pod for pod in pods if pod.unfinished_at(self.now) and (has_file or job or pod.node)]
        return Look(
            has_batch_file=has_file,
            job=job,
            is_foreign=open_job.name in self.foreign_jobs,
            has_unfinished_pods=bool(unfinished),
            has_pods=bool(pods),
            has_only_unbound_pods=bool(unfinished) and not any(pod.node for pod in unfinished),
            unfinished_indexes=frozenset(pod.index for pod in unfinished if pod.index is not None),
        )


async def see(objects: PolicyObjects, ledger: Ledger, *, now: int, with_pods: bool = False) -> Sight:
    """Look at everything. Pods are read where an open Job needs them, or `with_pods`."""
    found = await objects.batch_file_metadata()
    files = {item["metadata"]["name"]: item["metadata"] for item in found.own}
    foreign_files = frozenset(item["metadata"]["name"] for item in found.foreign)
    listed = await objects.jobs()
    jobs = _by_name(job_view(item) for item in listed.own)
    foreign = _by_name(job_view(item) for item in listed.foreign)
    needed = with_pods or any(_needs_pods(job, job.name in files, jobs.get(job.name)) for job in ledger.jobs)
    pods = tuple(pod_view(item) for item in await objects.pods()) if needed else None
    return Sight(files, foreign_files, jobs, foreign, pods, now)


def _by_name(views: Iterable[JobView]) -> dict[str, JobView]:
    return {view.name: view for view in views}


def _needs_pods(open_job: OpenJob, has_file: bool, job: JobView | None) -> bool:
    """Pods tell why an index failed, and whether something runs that should not. While all is well nobody asks."""
    if job is None or not has_file or open_job.phase is Phase.ABANDONED:
        return True
    return job.finished or job.deleting or bool(open_job.open & (job.completed | job.failed))
