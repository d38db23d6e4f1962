"""A tar whose samples are clips, for readers that take a sample as it is stored."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from peers.common import TIME_STEPS, Clips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.common import Task

KEYS = [f"{step:02d}" for step in range(TIME_STEPS)]


def write_clip_tar(task: Task, path: Path) -> None:
    """Write a sample for each clip: ``NUMBER.00.jpg`` to ``NUMBER.15.jpg``, masks, its class as 4 bytes."""
    clips = Clips(task)
    with tarfile.open(path, "w") as tar:
        for number in range(len(clips)):
            for name, data in members(clips, number):
                entry = tarfile.TarInfo(f"{number:06d}.{name}")
                entry.size = len(data)
                tar.addfile(entry, BytesIO(data))


def members(clips: Clips, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of a clip's files."""
    for kind, files in (("jpg", clips.files(number)), ("png", clips.masks(number))):
        for key, file in zip(KEYS, files, strict=bool(files)):
            yield f"{key}.{kind}", Path(file).read_bytes()
    yield "cls", clips.label(number).to_bytes(4, "little")
