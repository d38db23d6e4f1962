"""Attributes and hooks of the originals that have no effect here: using them is an error.

The originals read their attributes whenever they make a batch, and call methods that subclasses may override.
Here batches are planned ahead and made by workers, so a changed attribute would count in part or not at all,
and an override would never be called.
"""

from __future__ import annotations

from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AGAIN", "AS_ARGUMENT", "Fixed"]

AS_ARGUMENT = "make a new iterator with {name}={value}"
AGAIN = "make a new iterator"
_SHORT = (bool, int, float, str, type(None))
_UNSET = object()


class Fixed:
    """Mixin that refuses other values for attributes, and overrides that would never be called.

    Attributes
    ----------
    _fixed : mapping of str to str
        Attributes that keep their first value, and the remedy for an assignment; ``{name}`` and ``{value}``
        stand for what was assigned. A class adds its own to those of its bases.
    _uncalled : mapping of str to str
        Methods of the original that are never called, and the remedy for an override.
    """

    _fixed: ClassVar[Mapping[str, str]] = {}
    _uncalled: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - passed on
        """Refuse overrides that would have no effect."""
        super().__init_subclass__(**options)
        own = (vars(base).get("_fixed", {}) for base in reversed(cls.__mro__))
        cls._fixed = {name: remedy for fixed in own for name, remedy in fixed.items()}
        for name in (*cls._uncalled, *cls._fixed):
            owner = next((base for base in cls.__mro__ if name in vars(base)), None)
            if owner is not None and not owner.__module__.startswith("fastclips."):
                remedy = cls._uncalled.get(name, "give it as an argument, or leave it out")
                raise OptionError(f"{owner.__name__}.{name} would have no effect: {remedy}")

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, unless that would have no effect."""
        kind = type(self).__name__
        if name in self._uncalled:
            raise AttributeError(f"{kind}.{name} would have no effect: {self._uncalled[name]}")
        if name in self._fixed and self._is_set(name) and value is not vars(self).get(name, _UNSET):
            shown = repr(value) if isinstance(value, _SHORT) else "..."
            remedy = self._fixed[name].format(name=name, value=shown)
            raise AttributeError(
                f"{kind}.{name}={shown}: cannot be changed after the iterator is made; {remedy}"
            )
        super().__setattr__(name, value)

    def _is_set(self, name: str) -> bool:
        return name in vars(self) or getattr_static(type(self), name, _UNSET) is not _UNSET
