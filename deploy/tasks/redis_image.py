"""The image of Redis for the local cluster, which pulls none: Debian's. Others pull what examples/redis names."""

from tasks.engines import NAME, Engine
from tasks.paths import LOCAL_KIND
from tasks.shell import capture
from tasks.steps import Progress, Step

USUAL = "1 min the first time, 5 s after that"


def build_step(engine: Engine) -> list[Step]:
    """Make it, for whoever loads it later."""
    if engine.name != "local":
        return []
    return [Step("redis", "the image of Redis, from Debian's package", USUAL, _build, after=("base",))]


def steps(engine: Engine, cluster: str = NAME) -> list[Step]:
    """Make it and load it into the cluster."""
    if engine.name != "local":
        return []

    def load(progress: Progress) -> None:
        progress.run([LOCAL_KIND, "load", "docker-image", reference(), "--name", cluster])

    return [*build_step(engine), Step("load-redis", "Redis into the cluster", "5 s", load, after=("redis", "cluster"))]


def images(engine: Engine) -> dict[str, str]:
    """What examples/redis is to use in place of the images it names."""
    return {"redis": reference()} if engine.name == "local" else {}


def reference() -> str:
    """Its name, once it is made."""
    return capture([LOCAL_KIND, "redis-image"]).strip()


def _build(progress: Progress) -> None:
    progress.run([LOCAL_KIND, "redis-image"])
