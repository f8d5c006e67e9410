"""The image, the CRD and the operator onto a cluster."""

from pathlib import Path

from tasks.engines import NAME, Engine
from tasks.image import Image, current
from tasks.kubectl import OPERATOR_NAMESPACE, Kubectl
from tasks.paths import BUILD
from tasks.shell import TaskError
from tasks.steps import Progress, Step

ROLLOUT_SECONDS = 120

# The image's name is set for the operator and handed on to the workers, as deploy/kustomize says.
_OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../deploy/kustomize]
images:
  - name: periodic-sync
    newName: {name}
    {version}
replacements:
  - source: {{kind: Deployment, name: periodic-sync, fieldPath: "spec.template.spec.containers.[name=operator].image"}}
    targets:
      - select: {{kind: Deployment, name: periodic-sync}}
        fieldPaths: ["spec.template.spec.containers.[name=operator].env.[name=WORKER_IMAGE].value"]
"""


def steps(engine: Engine, given: str) -> list[Step]:
    def load(progress: Progress) -> str | None:
        image = current(engine, given)
        if image.archive is None:
            return f"the cluster pulls {image.reference}"
        engine.load(progress, image.archive, NAME)
        return None

    def install_operator(progress: Progress) -> str:
        return install(progress, Kubectl(engine.kubeconfig()), current(engine, given))

    return [
        Step("load", "the image into the cluster", "5 s", load, after=("cluster", "image")),
        Step("operator", "CRD and operator, until it is ready", "10 s", install_operator, after=("load",)),
    ]


def install(progress: Progress, kubectl: Kubectl, image: Image) -> str:
    """Apply deploy/kustomize with the image, and wait until the operator is ready.

    Raises: TaskError with the operator's pods and log when it does not get there.
    """
    progress.run(kubectl.command("apply", "--server-side", "--force-conflicts", "-k", overlay(image)))
    progress.run(
        kubectl.command("wait", "--for=condition=Established", "crd/syncpolicies.sync.moonx.farm", "--timeout=60s")
    )
    try:
        operator = ("deployment/periodic-sync", "-n", OPERATOR_NAMESPACE)
        progress.run(kubectl.command("rollout", "status", *operator, f"--timeout={ROLLOUT_SECONDS}s"))
    except TaskError as failure:
        raise TaskError(f"the operator did not become ready\n{kubectl.diagnosis()}") from failure
    return image.reference


def overlay(image: Image) -> Path:
    """A kustomization on top of deploy/kustomize that differs in the image alone."""
    folder = BUILD / "kustomize"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(_OVERLAY.format(**image_fields(image.reference)))
    return folder


def image_fields(reference: str) -> dict[str, str]:
    """An image's name in the two parts that kustomize wants: with a tag or a digest, and a port is neither."""
    name, _, digest = reference.partition("@")
    if digest:
        return {"name": name, "version": f"digest: {digest}"}
    name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        return {"name": reference, "version": "newTag: latest"}
    return {"name": name, "version": f'newTag: "{tag}"'}
