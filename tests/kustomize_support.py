"""What `kubectl kustomize` makes of the manifests, and of a kustomization of somebody's own with their components."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from cluster_support import KUBECTL, ROOT

Object = dict[str, Any]


def rendered(folder: str | Path) -> list[Object]:
    """folder: from the root of the checkout, or absolute."""
    command = [str(KUBECTL), "kustomize", str(ROOT / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def overlay(*components: str, resources: Sequence[str] = (), **fields: str) -> list[Object]:
    """These folders, from the root of the checkout, in a kustomization elsewhere with these fields."""
    with TemporaryDirectory() as place:
        folder = Path(place).resolve()
        about: Object = {
            "resources": [os.path.relpath(ROOT / each, folder) for each in resources],
            "components": [os.path.relpath(ROOT / each, folder) for each in components],
            **fields,
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(about))
        return rendered(folder)
