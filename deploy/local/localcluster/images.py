"""The images of a machine without a registry: `pause`, a Debian with Python, a Debian with Redis; and their loading."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localcluster.errors import LocalClusterError
from localcluster.locks import exclusive
from localcluster.packages import IMAGE_TOOLS, ensure_tools
from localcluster.paths import SOURCES, cache_root, digest
from localcluster.progress import step


@dataclass(frozen=True)
class DebianImage:
    """A minimal Debian with a few packages. `folder`: of the cache."""

    name: str
    folder: str
    packages: tuple[str, ...]
    command: str


PAUSE_IMAGE = "localhost/periodic-sync-pause:1"
_SUITE = "bookworm"
BASE = DebianImage(
    f"localhost/periodic-sync-base:{_SUITE}", "base-image", ("python3", "python3-venv", "ca-certificates"), "python3"
)
REDIS = DebianImage(f"localhost/periodic-sync-redis:{_SUITE}", "redis-image", ("redis-server",), "redis-server")
_KEY_LABEL = "sync.moonx.farm/inputs"
# What a container never reads; without it the image is two thirds of its size.
_SUPERFLUOUS = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
)
_SECONDS = 1800
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    machine = os.uname().machine
    return _GO_ARCHITECTURES.get(machine, machine)


def ensure_pause() -> Path:
    source = SOURCES / "images" / "pause.c"
    program = cache_root() / "pause" / digest(source.read_bytes(), architecture()) / "pause"
    with exclusive("pause", 120):
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            draft = program.with_name("pause.new")
            run(["gcc", "-static", "-Os", "-s", "-Wall", "-Werror", "-o", str(draft), str(source)])
            draft.replace(program)
    return program


def pause_archive(program: Path) -> bytes:
    """An image of one file, in the form `docker save` writes."""
    layer = _tar({"pause": (program.read_bytes(), 0o755)})
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {"config.json": config, "manifest.json": manifest}
    return _tar(
        {**{name: (json.dumps(body).encode(), 0o644) for name, body in files.items()}, "layer.tar": (layer, 0o644)}
    )


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (body, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), mode
            archive.addfile(entry, io.BytesIO(body))
    return buffer.getvalue()


def debian_key(image: DebianImage) -> str:
    return digest(_SUITE, *image.packages, *_SUPERFLUOUS, architecture())


def ensure_debian_image(image: DebianImage) -> str:
    if os.geteuid() != 0:
        raise LocalClusterError(
            f"Building the image {image.name} needs root (debootstrap makes a Debian in a folder). Use sudo."
        )
    ensure_tools(IMAGE_TOOLS)
    with exclusive(image.folder, _SECONDS):
        key = debian_key(image)
        if _label_of(image.name) != key:
            archive = cache_root() / image.folder / f"{key}.tar"
            if not archive.exists():
                _bootstrap(image, archive)
            _make_image(image, archive)
    return image.name


def _label_of(image: str) -> str:
    asked = ["buildah", "inspect", "--type", "image", image]
    result = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        return ""
    labels = json.loads(result.stdout)["OCIv1"].get("config", {}).get("Labels") or {}
    return str(labels.get(_KEY_LABEL, ""))


def _bootstrap(image: DebianImage, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=archive.parent) as folder,
        step(f"making a Debian {_SUITE} with {', '.join(image.packages)}", "60 to 90 s"),
    ):
        root = Path(folder) / "root"
        included = f"--include={','.join(image.packages)}"
        run(["debootstrap", "--variant=minbase", included, _SUITE, str(root)])
        for superfluous in _SUPERFLUOUS:
            shutil.rmtree(root / superfluous, ignore_errors=True)
            (root / superfluous).mkdir()
        draft = archive.with_suffix(".new")
        run(["tar", "--numeric-owner", "--one-file-system", "-C", str(root), "-cf", str(draft), "."])
        draft.replace(archive)


def _make_image(image: DebianImage, archive: Path) -> None:
    with step(f"making the image {image.name}", "10 s"):
        container = run(["buildah", "from", "scratch"]).strip()
        try:
            run(["buildah", "add", "--quiet", container, str(archive), "/"])
            label = f"{_KEY_LABEL}={debian_key(image)}"
            run(["buildah", "config", "--label", label, "--env", "LANG=C.UTF-8", "--cmd", image.command, container])
            run(["buildah", "commit", "--quiet", container, image.name])
        finally:
            run(["buildah", "rm", container])


@contextmanager
def saved_image(image: str) -> Iterator[IO[bytes]]:
    """The image as an archive, from whichever of the machine's image stores has it."""
    with tempfile.NamedTemporaryFile(dir=cache_root(), suffix=".tar") as archive:
        if not any(save(image, Path(archive.name)) for save in (_save_from_engine, _save_from_buildah)):
            raise LocalClusterError(
                f'image: "{image}" not present locally: no container engine has it, nor buildah (see `buildah images`).'
            )
        with Path(archive.name).open("rb") as content:
            yield content


def _save_from_engine(image: str, target: Path) -> bool:
    for engine in ("docker", "podman"):
        if shutil.which(engine) and _succeeds([engine, "image", "inspect", image]):
            with target.open("wb") as output:
                subprocess.run([engine, "save", image], stdout=output, timeout=_SECONDS, check=True)
            return True
    return False


def _save_from_buildah(image: str, target: Path) -> bool:
    if not shutil.which("buildah") or not _succeeds(["buildah", "inspect", "--type", "image", image]):
        return False
    # buildah appends to an archive that is there, and refuses one that is not an archive.
    target.unlink()
    run(["buildah", "push", "--quiet", image, f"docker-archive:{target}:{image}"])
    return True


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def run(command: list[str]) -> str:
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])
        raise LocalClusterError(f"'{' '.join(command)}' failed:\n{tail}")
    return result.stdout
