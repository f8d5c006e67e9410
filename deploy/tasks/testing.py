"""x"""

from tasks.engines import Engine
from tasks.image import Image


def run(engine: Engine, image: Image, arguments: list[str]) -> int:
    """x"""
    return 0
