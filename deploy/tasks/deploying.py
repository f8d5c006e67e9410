"""The image, the CRD and the operator onto a cluster."""

from pathlib import Path

from tasks.engines import NAME, Engine
from tasks.image import Image
from tasks.kubectl import OPERATOR_NAMESPACE, OPERATOR_SELECTOR, Kubectl, wait_for
from tasks.paths import BUILD
from tasks.shell import TaskError
from tasks.steps import Progress, Step

ROLLOUT_SECONDS = 120
NO_IMAGE = ("ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName")

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


def steps(engine: Engine, image: Image) -> list[Step]:
    """Load and install the image, once it and the cluster are there."""

    def load(progress: Progress) -> str | None:
        if image.archive is None:
            return f"the cluster pulls {image.reference}"
        engine.load(progress, image.archive, NAME)
        return None

    def install_operator(progress: Progress) -> str:
        return install(progress, Kubectl(engine.kubeconfig()), image)

    return [
        Step("load", "the image into the cluster", "5 s", load, after=("cluster", "image")),
        Step("operator", "CRD and operator, until it is ready", "10 s", install_operator, after=("load", "python")),
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
        wait_for(lambda: _rolled_out(progress, kubectl), "the operator to be ready", ROLLOUT_SECONDS)
    except TaskError as failure:
        raise TaskError(f"{failure}: {progress.latest}\n{kubectl.diagnosis()}") from failure
    return image.reference


def _rolled_out(progress: Progress, kubectl: Kubectl) -> bool | None:
    """Whether the operator of the latest template is ready.

    Raises: TaskError when it can't become so, since its container ends again and again or has no image.
    """
    deployment = kubectl.json("get", "deployment", "periodic-sync", "-n", OPERATOR_NAMESPACE)
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(f"{kind}Replicas", 0) for kind in ("updated", "available")]
    if seen and counts == [wanted, wanted] and status.get("replicas") == wanted:
        return True
    stuck, note = _starting(kubectl, deployment["spec"]["template"]["spec"]["containers"][0]["image"])
    progress.note(f"{counts[1]} of {wanted} ready; {note or 'starting'}")
    if seen and stuck:
        raise TaskError("the operator does not start")
    return None


def _starting(kubectl: Kubectl, image: str) -> tuple[bool, str]:
    """Of the pods with this image: whether one is hopeless, and what they wait for."""
    pods = kubectl.json("get", "pods", "-n", OPERATOR_NAMESPACE, "-l", OPERATOR_SELECTOR)["items"]
    ours = (pod for pod in pods if pod["spec"]["containers"][0]["image"] == image)
    states = [state for pod in ours for state in pod["status"].get("containerStatuses", ())]
    waiting = [(state["state"].get("waiting", {}).get("reason", ""), state["restartCount"]) for state in states]
    stuck = any(reason in NO_IMAGE or (reason == "CrashLoopBackOff" and restarts >= 2) for reason, restarts in waiting)
    return stuck, ", ".join(f"{reason}, {restarts} restarts" for reason, restarts in waiting if reason)


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
