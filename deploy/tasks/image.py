"""The image: built from `deploy/image/Dockerfile`, named by a hash of what goes into it, kept as an archive to load."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from tasks.engines import Engine
from tasks.paths import BUILD, DOCKERFILE, LOCAL_KIND, PACKAGE, REQUIREMENTS, ROOT, VENV, shown
from tasks.shell import TaskError, capture
from tasks.steps import Progress, Step

LOCK = REQUIREMENTS / "runtime.txt"
WHEELS = BUILD / "wheels"
IMAGES = BUILD / "images"
REPOSITORY = "localhost/periodic-sync"
LOCAL_PYTHON = "3.11"  # of the local cluster's base image
KEPT_ARCHIVES = 2


@dataclass(frozen=True)
class Image:
    """An image by its name, and the archive it is loaded from; no archive: the cluster pulls it."""

    reference: str
    archive: Path | None


def wheels_step() -> Step:
    return Step(
        "wheels", "the image's Python packages", "20 s, nothing the next time", _fetch_wheels, after=("python",)
    )


def build_step(engine: Engine) -> Step:
    return Step(
        "image",
        "the image of operator and worker",
        "40 s the first time, 5 s after a change of code",
        lambda progress: _build(engine, progress),
        after=("base", "wheels"),
    )


def steps(engine: Engine, given: str) -> list[Step]:
    """What has to be done to have the image; nothing where one is given by name or the archive is there."""
    if given:
        return []
    if engine.name == "existing":
        raise TaskError(
            "ENGINE=existing needs an image that the cluster can pull: build it with "
            f"`docker build -f {shown(DOCKERFILE)} -t REGISTRY/periodic-sync:TAG .`, push it, "
            "and say IMAGE=REGISTRY/periodic-sync:TAG"
        )
    return [wheels_step(), build_step(engine)] if engine.name == "local" else [build_step(engine)]


def current(engine: Engine, given: str) -> Image:
    """The image that belongs to the files as they are now."""
    if given:
        return Image(given, None)
    return Image(f"{REPOSITORY}:{_content_hash(engine)}", IMAGES / f"{engine.name}-{_content_hash(engine)}.tar")


def _content_hash(engine: Engine) -> str:
    content = hashlib.sha256(f"{engine.name} {platform.machine()}".encode())
    sources = sorted(path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    for path in [DOCKERFILE, LOCK, *sources]:
        content.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return content.hexdigest()[:12]


def _fetch_wheels(progress: Progress) -> str:
    """The local build has no container network and need not have one: the packages are fetched out here."""
    stamp = WHEELS / "made-from-lock"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return "they are here"
    WHEELS.mkdir(parents=True, exist_ok=True)
    for old in WHEELS.iterdir():
        old.unlink()
    platforms = [f"--platform=manylinux{flavour}_{platform.machine()}" for flavour in ("_2_28", "_2_17", "2014")]
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "download",
        "--progress-bar=off",
        "--disable-pip-version-check",
    ]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={LOCAL_PYTHON}", *platforms]
    progress.run([*command, *target, "--require-hashes", "--no-deps", "-r", LOCK, "-d", WHEELS])
    stamp.write_text(wanted)
    return f"{len(list(WHEELS.glob('*.whl')))} packages"


def _build(engine: Engine, progress: Progress) -> str:
    image = current(engine, "")
    if image.archive is None or image.archive.exists():
        return f"{image.reference} is built already"
    IMAGES.mkdir(parents=True, exist_ok=True)
    draft = image.archive.with_suffix(".new")
    draft.unlink(missing_ok=True)
    if engine.name == "local":
        _build_with_buildah(progress, image.reference, draft)
    else:
        _build_with_container_engine(progress, engine.container, image.reference, draft)
    draft.rename(image.archive)
    archives = sorted(IMAGES.glob("*.tar"), key=lambda path: path.stat().st_mtime)
    for old in archives[:-KEPT_ARCHIVES]:
        old.unlink()
    return f"{image.reference}, {image.archive.stat().st_size / 1e6:.0f} MB"


def _build_with_buildah(progress: Progress, reference: str, archive: Path) -> None:
    base = capture([LOCAL_KIND, "base-image"]).strip()
    build = ["buildah", "bud", "--isolation=chroot", "--layers", "--pull-never"]
    arguments = [f"--build-arg=BASE_IMAGE={base}", "--build-arg=OFFLINE=1"]
    progress.run([*build, *arguments, "-f", DOCKERFILE, "-t", reference, ROOT])
    progress.run(["buildah", "push", reference, f"docker-archive:{archive}:{reference}"])


def _build_with_container_engine(progress: Progress, command: str, reference: str, archive: Path) -> None:
    progress.run([command, "build", "-f", DOCKERFILE, "-t", reference, ROOT])
    progress.run([command, "save", "-o", archive, reference])
