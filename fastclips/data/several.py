"""Files of a folder that are not one sequence of frames: what the message says about them.

A folder may hold several videos (``clip3_0001.jpg``), which ``videos=`` tells apart; several sequences of
frames (``img_*``, ``flow_x_*``); a cover, or a browser's copy (``00002 (1).png``). A pattern ``frames=`` is
offered only if it selects a whole sequence and nothing else, and ``videos=`` only if each video is a whole
sequence.
"""

from __future__ import annotations

import fnmatch
import re
from contextlib import suppress
from glob import escape
from typing import TYPE_CHECKING

from fastclips.data.names import natural_key, sequences, stem, template_of
from fastclips.errors import DataError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["group", "matcher", "nothing_found", "refuse", "twins"]

_DIGIT = re.compile("[0-9]")
_SECONDS = re.compile(r"(.*[^0-9])?[0-9]+\.").fullmatch  # before the fraction of a second


def matcher(frames: str | None) -> Callable[[str], object] | None:
    """Return a function that matches the file names that a pattern selects; None for all."""
    if frames is None:
        return None
    if not isinstance(frames, str):
        raise OptionError(f"frames={frames!r}: must be a pattern of file names, such as 'img_*.jpg'")
    template = template_of(frames)
    if template is None:
        return re.compile(fnmatch.translate(frames)).match
    width = int(re.search(r"%0(\d+)d", template)[1])  # type: ignore[index] # template_of always writes it
    before, after = (re.escape(part.replace("%%", "%")) for part in template.split(f"%0{width}d"))
    return re.compile(rf"{before}(?:[0-9]{{{width}}}|[1-9][0-9]{{{width},}}){after}").fullmatch


def group(videos: re.Pattern[str], folder: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Tell apart the videos in one folder.

    Parameters
    ----------
    videos : re.Pattern
        Searched in each stem. Its groups, joined by ``_``, or the whole match if it has no groups, name the
        video.
    folder : str
        Path of the folder.
    names : iterable of str
        Names of the frames.

    Returns
    -------
    dict of str to list of str
        The frames of each video, by its name.

    Raises
    ------
    DataError
        The pattern finds nothing in a name, or groups that differ have one joined name.
    """
    found: dict[str, list[str]] = {}
    parts_of: dict[str, tuple[str, ...]] = {}
    unnamed: list[str] = []
    for name in names:
        match = videos.search(stem(name))
        parts = () if match is None else tuple(filter(None, match.groups() or [match[0]]))
        if not parts:
            unnamed.append(name)
            continue
        video = "_".join(parts)
        if parts_of.setdefault(video, parts) != parts:
            raise DataError(
                f"videos={videos.pattern!r} finds {parts_of[video]} and {parts} in {folder!r}, which would "
                f"be one video {video!r}: change the groups."
            )
        found.setdefault(video, []).append(name)
    if unnamed:
        unnamed.sort(key=natural_key)
        raise DataError(
            f"videos={videos.pattern!r} finds no video in {len(unnamed)} names of {folder!r}: "
            f"{first_few(unnamed)}. Correct it, or select the frames by frames=."
        )
    return found


def refuse(folder: str, by_text: Mapping[str, str], *, grouped: bool = False) -> None:
    """Raise DataError unless a folder's frames are one sequence, or none has a number.

    Parameters
    ----------
    folder : str
        Path of the folder.
    by_text : mapping of str to str
        Each frame's name by its stem.
    grouped : bool
        Whether the frames are one video of `group`.
    """
    found = sequences(by_text)
    odd = [name for text, name in by_text.items() if not _DIGIT.search(text)]
    if not found or (len(found) == 1 and not odd):
        return
    shown = sorted(found, key=lambda ends: natural_key("*".join(ends)))
    largest = max(reversed(shown), key=lambda ends: len(found[ends]))
    before, after = largest
    members = {by_text[f"{before}{number}{after}"] for number in found[largest]}
    others = sorted((name for name in by_text.values() if name not in members), key=natural_key)
    select = _selecting(before, after, members, by_text.values())
    counts = [len(numbers) for numbers in found.values()]
    if odd or max(counts) > sorted(counts)[-2] == 1:
        remedy = f", or set frames={select!r}" if select else ""
        raise DataError(
            f"{folder!r} holds the numbered frames {before + '*' + after!r} and others, {first_few(others)}: "
            f"move the others to another folder{remedy}."
        )
    globs = [f"{first}*{last}" for first, last in shown]
    remedy = (
        f"select one with frames=, such as frames={select!r}" if select else "move each to its own folder"
    )
    if all(map(_SECONDS, (first for first, _ in shown))):
        remedy = "if they are one video, set frames='*'; otherwise " + remedy
    elif not grouped and (videos := _telling_apart(found, by_text)):
        remedy = f"if each is a video, set videos={videos!r}; otherwise {remedy}"
    raise DataError(
        f"{folder!r} holds {len(globs)} sequences of numbered frames, {first_few(globs)}: {remedy}."
    )


def _telling_apart(found: Mapping[tuple[str, str], list[str]], by_text: Mapping[str, str]) -> str | None:
    """Return a pattern for `group` that makes each sequence a video; None if there is none."""
    wanted = {
        frozenset(by_text[f"{before}{number}{after}"] for number in numbers)
        for (before, after), numbers in found.items()
    }
    numbers = [rf"(.+){between}\d+" for between in ("_", "-", r"\.", " ")] + [r"(.*\D)\d+"]
    ends = ["", *{f"{re.escape(after)}$" for _, after in found}]
    for pattern in [number + end for end in ends for number in numbers]:
        with suppress(DataError):
            videos = group(re.compile(pattern), "", by_text.values())
            if set(map(frozenset, videos.values())) == wanted:
                return pattern
    return None


def twins(folder: str, names: list[str], first: str, second: str) -> str:
    """Return the message about two frames with one stem."""
    stems = set(map(stem, names))
    patterns = sorted({f"*{name[len(stem(name)) :]}" for name in (first, second)})
    whole = [
        pattern
        for pattern in patterns
        if sorted(stem(name) for name in fnmatch.filter(names, pattern)) == sorted(stems)
    ]
    remedy = f", or select with frames=, such as frames={whole[0]!r}" if whole else ""
    return (
        f"{folder!r} holds two frames with one stem, {min(first, second)!r} and {max(first, second)!r}: "
        f"remove one{remedy}."
    )


def nothing_found(
    top: str,
    pattern: str | None,
    unmatched: list[str],
    others: Counter[str],
    extensions: Iterable[str],
    flow: Iterable[str],
) -> str:
    """Return the message about folders in which a pattern matches no frame, or that hold none."""
    if unmatched:
        return (
            f"frames={pattern!r}: must match frames in {top!r}, such as {min(unmatched, key=natural_key)!r}."
        )
    found = ", ".join(
        f"{count} {extension or 'extensionless'} file{'s' * (count > 1)}"
        for extension, count in others.most_common(5)
    )
    hint = ""
    if any(extension in flow for extension in others):
        hint = " Optical flow is declared, as in {'flow': Stream(path, kind='flow')}."
    return (
        f"no frames in {top!r}: expected class/video/frame with the extensions "
        f"{', '.join(extensions)}, or class/video.mp4; found {found or 'no files'}.{hint}"
    )


def _selecting(before: str, after: str, members: set[str], names: Iterable[str]) -> str | None:
    """Return a pattern that matches the members and no other name; None if there is none."""
    numbers = [name[len(before) : len(stem(name)) - len(after)] for name in members]
    extensions = {name[len(stem(name)) :] for name in members}
    patterns = [f"{escape(before)}*{escape(after)}.*"]
    if len(extensions) == 1:
        patterns.append(f"{before}{{:0{min(map(len, numbers))}d}}{after}{extensions.pop()}")
    for pattern in patterns:
        matches = matcher(pattern)
        if matches is not None and set(filter(matches, names)) == members:
            return pattern
    return None
