"""The Keras that is imported, if any: its settings, and its dataset classes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from fastclips.options import checked_choice

__all__ = ["as_keras_dataset", "checked_data_format", "keras_setting"]

_PACKAGES = ("keras", "tf_keras")
_TRUE = {"1", "true", "True"}  # what TensorFlow takes for yes


def keras_setting(name: str, default: str) -> str:
    """Return a setting of the Keras that is imported."""
    for package in _PACKAGES:
        backend = getattr(sys.modules.get(package), "backend", None)
        if hasattr(backend, name):
            return str(getattr(backend, name)())
    return default


def checked_data_format(given: str | None) -> str:
    """Return an order of axes; None stands for the setting of Keras."""
    data_format = keras_setting("image_data_format", "channels_last") if given is None else given
    return checked_choice(data_format, "data_format", ("channels_last", "channels_first"))


def as_keras_dataset(cls: Any) -> Any:  # noqa: ANN401 - a class, which `cache` takes
    """Return a class that is also a dataset of each Keras that is imported, or else of the installed one."""
    loaded = [sys.modules[name] for name in _PACKAGES if name in sys.modules]
    for name in reversed(_PACKAGES) if os.environ.get("TF_USE_LEGACY_KERAS") in _TRUE else ("keras",):
        if not loaded:
            with suppress(ImportError):
                loaded = [import_module(name)]
    bases = (getattr(getattr(module, "utils", None), "Sequence", None) for module in loaded)
    return _with_bases(cls, tuple(dict.fromkeys(base for base in bases if isinstance(base, type))))


@cache
def _with_bases(cls: type[Any], bases: tuple[type, ...]) -> type[Any]:
    missing = tuple(base for base in bases if not issubclass(cls, base))
    if not missing:
        return cls
    return type(cls.__name__, (cls, *missing), {"__module__": cls.__module__, "__doc__": cls.__doc__})
