"""The image: built from `deploy/image/Dockerfile`, named by a hash of what goes into it, kept as an archive to load."""

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.engines import Engine
from tasks.paths import BUILD, DOCKERFILE, LOCAL_KIND, PACKAGE, REQUIREMENTS, ROOT, VENV, shown
from tasks.shell import TaskError, capture, succeeds
from tasks.steps import Progress, Step

LOCK = REQUIREMENTS / "runtime.txt"
WHEELS = BUILD / "wheels"
IMAGES = BUILD / "images"
REPOSITORY = "localhost/periodic-sync"
LOCAL_PYTHON = "3.11"  # of the local cluster's base image
KEPT_ARCHIVES = 3


@dataclass(frozen=True)
class Image:
    """An image by its name, and the archive it is loaded from; no archive: the cluster pulls it."""

    reference: str
    archive: Path | None


@contextmanager
def sources(engine: Engine, given: str) -> Iterator[tuple[Image, list[Step]]]:
    """The image of the files as they are now, and the steps that build it; files that change later don't matter.

    Raises: TaskError where an image has to be given by name and is not.
    """
    if given:
        yield Image(given, None), []
        return
    if engine.name == "existing":
        raise TaskError(
            "ENGINE=existing needs an image that the cluster can pull: build it with "
            f"`docker build -f {shown(DOCKERFILE)} -t REGISTRY/periodic-sync:TAG .`, push it, "
            "and say IMAGE=REGISTRY/periodic-sync:TAG"
        )
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="context-", dir=BUILD) as folder:
        context = Path(folder)
        _copy_sources(context)
        image = named_by_content(engine, context)
        build = Step(
            "image",
            "the image of operator and worker",
            "40 s the first time, 5 s after a change of code",
            lambda progress: _build(engine, progress, image, context),
            after=("base", "wheels"),
        )
        wheels = Step(
            "wheels", "the image's Python packages", "20 s, nothing the next time", _fetch_wheels, ("python",)
        )
        yield image, [wheels, build] if engine.name == "local" else [build]


def _copy_sources(context: Path) -> None:
    for path in [DOCKERFILE, LOCK]:
        (context / path.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(path, context / path.relative_to(ROOT))
    shutil.copytree(PACKAGE, context / PACKAGE.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__", ".*"))


def named_by_content(engine: Engine, root: Path = ROOT) -> Image:
    """The image that belongs to the files under `root`."""
    content = hashlib.sha256(f"{engine.name} {platform.machine()}".encode())
    package = (root / PACKAGE.relative_to(ROOT)).rglob("*")
    code = sorted(path for path in package if path.is_file() and path.suffix in (".py", ".lua"))
    for path in [root / DOCKERFILE.relative_to(ROOT), root / LOCK.relative_to(ROOT), *code]:
        content.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    name = content.hexdigest()[:12]
    return Image(f"{REPOSITORY}:{name}", IMAGES / f"{engine.name}-{name}.tar")


def _fetch_wheels(progress: Progress) -> str:
    """The local build has no container network and need not have one: the packages are fetched out here."""
    requirements = without_markers(LOCK.read_text())
    stamp, wanted = WHEELS / "made-from-lock", hashlib.sha256(requirements.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return "they are here"
    WHEELS.mkdir(parents=True, exist_ok=True)
    for old in WHEELS.iterdir():
        old.unlink()
    unmarked = WHEELS / "requirements.txt"
    unmarked.write_text(requirements)
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
    progress.run([*command, *target, "--require-hashes", "--no-deps", "-r", unmarked, "-d", WHEELS])
    stamp.write_text(wanted)
    return f"{len(list(WHEELS.glob('*.whl')))} packages"


def without_markers(lock: str) -> str:
    """Every package, whatever Python it is for: pip judges by the one that runs it, and the image's may be older."""
    return re.sub(r" ;[^\\\n]*", " ", lock)


def _build(engine: Engine, progress: Progress, image: Image, context: Path) -> str:
    if image.archive is None or image.archive.exists():
        return f"{image.reference} is built already"
    IMAGES.mkdir(parents=True, exist_ok=True)
    draft = image.archive.with_suffix(".new")
    draft.unlink(missing_ok=True)
    build = _build_with_buildah if engine.name == "local" else _build_with_container_engine
    build(engine, progress, image.reference, context, draft)
    draft.rename(image.archive)
    _forget_old_ones(engine)
    return f"{image.reference}, {image.archive.stat().st_size / 1e6:.0f} MB"


def _forget_old_ones(engine: Engine) -> None:
    archives = sorted(IMAGES.glob(f"{engine.name}-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in archives[:-KEPT_ARCHIVES]:
        tag = old.stem.removeprefix(f"{engine.name}-")
        succeeds([engine.container, "rmi", f"{REPOSITORY}:{tag}"])  # it may be gone already, or still be in use
        old.unlink()


def forget_all(engine: Engine) -> None:
    """Delete the images made here from the machine's own store; what was loaded into clusters stays there."""
    for archive in IMAGES.glob(f"{engine.name}-*.tar"):
        succeeds([engine.container, "rmi", f"{REPOSITORY}:{archive.stem.removeprefix(f'{engine.name}-')}"])


def _build_with_buildah(engine: Engine, progress: Progress, reference: str, context: Path, archive: Path) -> None:
    base = capture([LOCAL_KIND, "base-image"]).strip()
    (context / "wheels").mkdir()
    for wheel in WHEELS.glob("*.whl"):
        shutil.copy(wheel, context / "wheels")
    for path in context.rglob("*"):
        os.utime(path, (0, 0))  # times are part of what buildah compares to find its cached layers
    build = [engine.container, "bud", "--isolation=chroot", "--layers", "--pull-never"]
    arguments = [f"--build-arg=BASE_IMAGE={base}", "--build-arg=OFFLINE=1"]
    progress.run([*build, *arguments, "-f", context / DOCKERFILE.relative_to(ROOT), "-t", reference, context])
    progress.run([engine.container, "push", reference, f"docker-archive:{archive}:{reference}"])


def _build_with_container_engine(
    engine: Engine, progress: Progress, reference: str, context: Path, archive: Path
) -> None:
    progress.run([engine.container, "build", "-f", context / DOCKERFILE.relative_to(ROOT), "-t", reference, context])
    progress.run([engine.container, "save", "-o", archive, reference])
