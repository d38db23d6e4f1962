"""What ``fastclips --version`` prints: the versions that a report of a defect needs."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from fastclips import __version__, _native

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = (
    *("numpy", "numba", "simplejpeg", "opencv-python-headless", "opencv-python", "pillow", "cloudpickle"),
    *("av", "keras", "tensorflow", "torch", "jax"),
)


def lines() -> Iterator[str]:
    """Give a line for each part: fastclips, Python, libjpeg-turbo, and the packages that are installed.

    Yields
    ------
    str
        A name and a version, without the end of the line.
    """
    yield f"fastclips {__version__}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    yield f"libjpeg-turbo {_native.libjpeg_turbo()}"
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"
