"""Pods of an index that has ended, for tests of what is made of them."""

import json
from dataclasses import replace

from job_support import batch
from periodic_sync.core.views import Exit, PodView

USERS = batch("u0", "u1", "u2").users


def exit_of(code: int = 1, message: str = "", *, signal: int | None = None, reason: str = "Error", at: int = 9) -> Exit:
    return Exit(code, signal, reason, message, at)


def pod(end: Exit | None = None, **fields: object) -> PodView:
    """A pod of the index that has ended."""
    view = PodView(
        name="pod",
        uid="pod-uid",
        policy="portfolios",
        job_name="job",
        job_uid="job-uid",
        index=0,
        unfinished=False,
        gone_by=None,
        created_at=1,
        worker_exit=end,
        disrupted=False,
        deleting=False,
        deadline_exceeded=False,
        waiting=None,
        node="node-1",
    )
    return replace(view, **fields)  # type: ignore[arg-type]


def said(**fields: object) -> str:
    return json.dumps({"version": 1, **fields})


NAMES_U1 = exit_of(1, said(failed={"u1": "rpc timeout"}))
