"""The call of `fastclips.open` that opens what `fastclips.unpack` has written, as Python text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.data.streams import MASKS
from fastclips.spec import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["LIST", "SCRIPT", "SERIES", "Written", "call", "script"]

LIST, SCRIPT = "list.csv", "open_dataset.py"
SERIES = "flow_x_", "flow_y_"  # before the numbers of the files of x and of y
_SCRIPT = '''\
"""Opens the videos beside this file, with their order, parts, labels and streams."""

from pathlib import Path

import fastclips as fc

here = Path(__file__).resolve().parent
dataset = fc.open(
    {arguments},
)
'''


class Written(NamedTuple):
    """What lies in a folder that was written.

    Parameters
    ----------
    streams : tuple of StreamSpec
        The streams.
    options : mapping of str to object
        Arguments of `fastclips.open` for the labels.
    lacks_masks : bool
        Whether frames have no mask.
    pairs : collection of str
        Streams of flow in two series of files.
    """

    streams: tuple[StreamSpec, ...]
    options: Mapping[str, Any]
    lacks_masks: bool
    pairs: Collection[str]


def call(folder: str, written: Written) -> str:
    """Return the call.

    Parameters
    ----------
    folder : str
        The folder that was written.
    written : Written
        What it holds.
    """

    def at(name: str) -> str:
        return repr(f"{folder}/{name}".rstrip("/"))

    return f"fc.open({', '.join(_arguments(at, written))})"


def script(written: Written) -> str:
    """Return a script that opens the folder in which it lies."""

    def at(name: str) -> str:
        return f"here / {name!r}" if name else "here"

    return _SCRIPT.format(arguments=",\n    ".join(_arguments(at, written)))


def _arguments(at: Callable[[str], str], written: Written) -> list[str]:
    """Return the arguments; `at` returns the text of the path of what has some name in the folder."""
    found, streams = [at(LIST)], written.streams
    several = len(streams) > 1
    if several or streams[0].name != "image" or streams[0].own_size:
        roots = [
            f"{stream.name!r}: {_root(at(stream.name if several else ''), stream, written)}"
            for stream in streams
        ]
        found.append(f"root={{{', '.join(roots)}}}")
    plain = [stream for stream in streams if not stream.own_size]
    masks = tuple(stream.name for stream in plain if stream.mask)
    if masks != tuple(stream.name for stream in plain if stream.name in MASKS):
        found.append(f"masks={masks!r}")
    if masks:
        found += _of_mask(next(stream for stream in plain if stream.mask))
    found += [f"{name}={value!r}" for name, value in written.options.items()]
    if written.lacks_masks:
        found.append("unpaired='ignore'")
    return found


def _root(path: str, stream: StreamSpec, written: Written) -> str:
    """Return the folder of a stream, declared if it must be."""
    if not stream.own_size:
        return path
    found = [path, f"kind={stream.kind!r}"]
    if stream.mask:
        found += _of_mask(stream)
    if stream.unknown is not None:
        found.append(f"ignore={stream.unknown!r}")
    if stream.name in written.pairs:
        found.append(f"frames={tuple(f'{series}*' for series in SERIES)!r}")
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
