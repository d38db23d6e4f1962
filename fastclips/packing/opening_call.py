"""The call of `fastclips.open` that opens what `fastclips.unpack` has written, as Python text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.data.streams import MASKS
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["LIST", "SCRIPT", "call", "script"]

LIST, SCRIPT = "list.csv", "open_dataset.py"
_SCRIPT = '''\
"""Opens the videos beside this file, with their order, parts, labels and streams."""

from pathlib import Path

import fastclips as fc

here = Path(__file__).resolve().parent
dataset = fc.open(
    {arguments},
)
'''


def call(folder: str, streams: Sequence[StreamSpec], options: Mapping[str, Any], *, lacks_masks: bool) -> str:
    """Return the call.

    Parameters
    ----------
    folder : str
        The folder that was written.
    streams : sequence of StreamSpec
        Its streams.
    options : mapping of str to object
        Arguments for the labels.
    lacks_masks : bool
        Whether frames have no mask.
    """

    def at(name: str) -> str:
        return repr(f"{folder}/{name}".rstrip("/"))

    return f"fc.open({', '.join(_arguments(at, streams, options, lacks_masks))})"


def script(streams: Sequence[StreamSpec], options: Mapping[str, Any], *, lacks_masks: bool) -> str:
    """Return a script that opens the folder in which it lies."""

    def at(name: str) -> str:
        return f"here / {name!r}" if name else "here"

    return _SCRIPT.format(arguments=",\n    ".join(_arguments(at, streams, options, lacks_masks)))


def _arguments(
    at: Callable[[str], str], streams: Sequence[StreamSpec], options: Mapping[str, Any], lacks_masks: bool
) -> list[str]:
    """Return the arguments; `at` returns the text of the path of what has some name in the folder."""
    found = [at(LIST)]
    several = len(streams) > 1
    if several or streams[0].name != "image" or streams[0].own_size:
        roots = [
            f"{stream.name!r}: {_root(at(stream.name if several else ''), stream)}" for stream in streams
        ]
        found.append(f"root={{{', '.join(roots)}}}")
    plain = [stream for stream in streams if not stream.own_size]
    masks = tuple(stream.name for stream in plain if stream.mask)
    if masks != tuple(stream.name for stream in plain if stream.name in MASKS):
        found.append(f"masks={masks!r}")
    if masks:
        found += _of_mask(next(stream for stream in plain if stream.mask))
    found += [f"{name}={value!r}" for name, value in options.items()]
    if lacks_masks:
        found.append("unpaired='ignore'")
    return found


def _root(path: str, stream: StreamSpec) -> str:
    """Return the folder of a stream, declared if it must be."""
    if not stream.own_size:
        return path
    found = [path, f"kind={stream.kind!r}"]
    if stream.mask:
        found += _of_mask(stream)
    if stream.unknown is not None:
        found.append(f"ignore={stream.unknown!r}")
    if stream.kind == "flow" and stream.bound != StreamSpec.bound:
        found.append(f"bound={stream.bound!r}")
    return f"fc.Stream({', '.join(found)})"


def _of_mask(stream: StreamSpec) -> list[str]:
    found = []
    if stream.colors is not None:
        found.append(f"colors={dict(stream.colors)!r}")
    if stream.values is not None:
        changed = {old: new for old, new in enumerate(stream.values) if old != new}
        found.append(f"values={list(stream.values) if stream.smeared else changed!r}")
    if stream.ignore != StreamSpec.ignore:
        found.append(f"ignore={stream.ignore!r}")
    return found
