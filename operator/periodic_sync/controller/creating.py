"""Creating the Jobs of claims that are in the ledger."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from periodic_sync.api.errors import AlreadyExistsError, ApiError, ConflictError, UnavailableError
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.controller.open_ledger import OpenLedger
from periodic_sync.core import transitions
from periodic_sync.core.job_objects import job
from periodic_sync.core.ledger import OpenJob
from periodic_sync.core.objects import PolicyRef
from periodic_sync.kube.client import Object
from periodic_sync.kube.parallel import answers
from periodic_sync.kube.policy_objects import PolicyObjects

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobMaker:
    """What the Jobs of one turn are made from. Two operators may make the same one: the API server keeps the first."""

    objects: PolicyObjects
    policy: PolicyRef
    spec: SyncPolicySpec
    worker_image: str
    pod_template: Object | None

    async def create(self, jobs: Iterable[OpenJob], ledger: OpenLedger, *, now: int) -> dict[str, str]:
        """POST these Jobs, and stage in the ledger which were created and which are refused, and so abandoned.

        Returns: those of which nobody knows whether they were created, with the error. They stay as they are: the next
        look shows whether they are there.
        """
        wanted = list(jobs)
        created, foreign, refused, message = list[str](), list[str](), list[str](), ""
        unknown: dict[str, str] = {}
        for open_job, answer in zip(wanted, await answers(self._post(each) for each in wanted), strict=True):
            if answer is None:
                created.append(open_job.name)
            elif isinstance(answer, AlreadyExistsError):
                foreign += [] if await self._is_ours(open_job.name) else [open_job.name]
            elif isinstance(answer, UnavailableError | ConflictError):
                unknown[open_job.name] = str(answer)
                log.warning("Job may not have been created", extra={"job": open_job.name, "error": str(answer)})
            else:
                refused.append(open_job.name)
                message = str(answer)
                log.error("Job refused by the API server", extra={"job": open_job.name, "error": message})
        staged = transitions.mark_created(ledger.ledger, created)
        if foreign:
            staged = transitions.abandon(staged, foreign)
        if refused:
            staged = transitions.note_refusal(transitions.abandon(staged, refused), message=message, now=now)
        ledger.stage(staged)
        return unknown

    async def _is_ours(self, name: str) -> bool:
        """Whether the Job of that name is ours to adopt, or gone again by now, as the next look will show."""
        there = await self.objects.job(name)
        if there is None or self.objects.is_own(there):
            return True
        log.error("a Job of that name belongs to somebody else", extra={"job": name})
        return False

    async def _post(self, open_job: OpenJob) -> ApiError | None:
        body = job(self.policy, self.spec, open_job, worker_image=self.worker_image, pod_template=self.pod_template)
        await self.objects.create_job(body)
        return None
