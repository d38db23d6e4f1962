"""The import path of 0.1.0 for `fastclips.compat.datasets`."""

from fastclips.compat.datasets import DataGenerator

__all__ = ["DataGenerator"]
