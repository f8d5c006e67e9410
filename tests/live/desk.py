"""What the commands that look at a policy print, in every form, and what a support bundle has in it."""

import asyncio
import tarfile
from collections.abc import Iterator
from pathlib import Path

from cli_support import periodic_sync_here
from cluster_support import Kubectl

FORMS = ("table", "json", "yaml")
FINE = 0
SOMETHING_FAILED = 1
"""Of `check`."""


def said(kubectl: Kubectl, policy: str, user: str, folder: Path, **variables: str) -> Iterator[tuple[str, str]]:
    """Commands and what they print. kubectl: in the policy's namespace. folder: for bundles."""
    looks = {
        "status": (policy,),
        "users": (policy, "--all"),
        "why": (policy, user),
        "plan": (policy,),
        "check": (policy,),
    }
    for command, arguments in looks.items():
        for form in FORMS:
            yield f"{command} -o {form}", _run(kubectl, command, *arguments, "-o", form, **variables)
    for with_ids in ((), ("--with-user-ids",)):
        bundle = folder / f"{policy}-{len(with_ids)}.tar.gz"
        yield "report", _run(kubectl, "report", policy, "-f", str(bundle), *with_ids, **variables)
        with tarfile.open(bundle) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                if content is not None:
                    name = f"{member.name} {' '.join(with_ids)} of the bundle"
                    yield name, f"{member.name}\n{content.read().decode()}"


def _run(kubectl: Kubectl, *arguments: str, **variables: str) -> str:
    done = asyncio.run(
        periodic_sync_here(*arguments, "-n", kubectl.namespace, kubeconfig=kubectl.kubeconfig, **variables)
    )
    assert done.code == FINE or (arguments[0] == "check" and done.code == SOMETHING_FAILED), (arguments, done)
    return done.out + done.err
