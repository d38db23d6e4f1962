"""The original's module, in whose place is the class, so that both names of the original work.

::

    from fastclips.compat import TimeDistributedImageDataGenerator as M
    M.TimeDistributedImageDataGenerator(time_steps=5)      # as with the original, where M is a module
    M(time_steps=5)                                        # the same

The first import of this module, in whatever form, puts the class into `sys.modules`. The names of the module
are attributes of the class. The code is in `fastclips.compat.time_distributed`.
"""

# ruff: noqa: N999 - the original is a module of this name

import sys
from typing import Any

from fastclips.compat.time_distributed import (
    TimeDistributedDataFrameIterator,
    TimeDistributedDirectoryIterator,
    TimeDistributedImageDataGenerator,
)

__all__ = [
    "TimeDistributedDataFrameIterator",
    "TimeDistributedDirectoryIterator",
    "TimeDistributedImageDataGenerator",
]

_module: Any = TimeDistributedImageDataGenerator
_module.TimeDistributedDataFrameIterator = TimeDistributedDataFrameIterator
_module.TimeDistributedDirectoryIterator = TimeDistributedDirectoryIterator
_module.TimeDistributedImageDataGenerator = TimeDistributedImageDataGenerator
_module.__all__ = __all__
sys.modules[__name__] = _module
