"""Takes away what the tasks made, save what is slow to make and shared: `.venv` and the cache of Kubernetes' parts."""

import shutil

from tasks.engines import NAME, TEST_NAME, Engine
from tasks.image import forget_all
from tasks.paths import BUILD, CLUSTER, ROOT, shown

MADE = (BUILD, CLUSTER, ROOT / ".pytest-kind", ROOT / ".pytest_cache", ROOT / ".mypy_cache", ROOT / ".ruff_cache")


def run(engine: Engine) -> None:
    for name in engine.delete_clusters(NAME, TEST_NAME):
        print(f"deleted cluster {name}")
    forget_all(engine)
    for folder in MADE:
        if folder.exists():
            shutil.rmtree(folder)
            print(f"deleted {shown(folder)}")
    print("kept .venv, and for the local cluster what is in ~/.cache/periodic-sync: delete them by hand if you like")
