"""x"""

from tasks.engines import Engine
from tasks.image import Image


def run(engine: Engine, image: Image) -> None:
    """x"""
