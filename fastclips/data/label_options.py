"""Checks of the options labels= and classes= of `fastclips.open`."""

from __future__ import annotations

from collections.abc import Mapping

from fastclips.data.labels import KINDS
from fastclips.data.lists import VIDEO
from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_classes
from fastclips.reserved import LABEL

_SHOWN = 3  # columns that a message shows

__all__ = ["check_not_array", "checked_kinds", "classes_by_label", "only_default", "refuse_kinds"]


def check_not_array(labels: object) -> None:
    """Raise OptionError unless labels are those of files: "auto", None or a mapping of columns."""
    if labels is None or isinstance(labels, Mapping) or (isinstance(labels, str) and labels == "auto"):
        return
    names = [labels] if isinstance(labels, str) else labels if isinstance(labels, (list, tuple)) else []
    if names and all(isinstance(name, str) for name in names):
        kinds = dict.fromkeys(names[:_SHOWN], "label")
        more = ", ..." if len(names) > _SHOWN else ""
        raise OptionError(
            f"labels={labels!r:.80}: must be 'auto' or None; or, of a list of videos, its columns and their "
            f"kinds, as in labels={str(kinds)[:-1]}{more}}}. An array is only for images="
        )
    raise OptionError(
        "labels= takes an array only with images=; give a list of videos with the column label instead"
    )


def refuse_kinds(kinds: Mapping[str, str] | None, of: str) -> None:
    """Raise OptionError if `labels` is a mapping of columns, which only lists have."""
    if kinds is not None:
        raise OptionError(
            f"labels={dict(kinds)}: names columns of a list, but these are {of}; add labels with "
            "dataset.with_labels(name, values, kind=...)"
        )


def checked_kinds(labels: object) -> dict[str, str] | None:
    """Return the columns of labels and their kinds, or None if `labels` is no mapping."""
    if not isinstance(labels, Mapping):
        return None
    if not labels:
        raise OptionError("labels={}: must name columns and their kinds, as in labels={'verb': 'label'}")
    for name, kind in labels.items():
        if name in VIDEO:
            raise OptionError(f"labels={labels!r}: {name!r} is a column with another meaning; rename it")
        checked_choice(kind, f"labels= of {name!r}", KINDS)
    return dict(labels)


def classes_by_label(classes: object, kinds: Mapping[str, str] | None) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by the name of their labels."""
    if not isinstance(classes, Mapping):
        names = checked_classes(classes)
        if names is not None and kinds is not None and LABEL not in kinds:
            some = next(iter(kinds))
            raise OptionError(f"classes={names!r}: must be a mapping here, as in classes={{{some!r}: [...]}}")
        return {} if names is None else {LABEL: names}
    found: dict[str, tuple[str, ...]] = {}
    for name, given in classes.items():
        if kinds is not None and name not in kinds:
            raise OptionError(f"classes= names the labels {name!r}, but labels= is {dict(kinds)}")
        names = checked_classes(given)
        if names is not None:
            found[name] = names
    return found


def only_default(classes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the names of the classes of ``"label"``; raise if others are given."""
    others = [name for name in classes if name != LABEL]
    if others:
        raise OptionError(f"classes= names the labels {others[0]!r}, but these data have only {LABEL!r}")
    return classes.get(LABEL)
