"""The frames as H.264 files, with a key frame every 16 frames, and clips read from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peers.common import Clips, Task

RATE = 25  # frames per second


def movie(task: Task, name: str) -> Path:
    """Return the file of a video."""
    return task.packed("mp4") / f"{name}.mp4"


def clip_reader(decode: Callable[[str, int], Any]) -> Callable[[Clips, int], tuple[Any, ...]]:
    """Return a reader for `torch_batches`; `decode` returns frames of a file, (T, H, W, 3)."""

    def read(clips: Clips, number: int) -> tuple[Any, ...]:
        from peers.decoding import cut_clip  # noqa: PLC0415 - SPDL cuts by FFmpeg, without OpenCV

        video, start = clips.windows[number]
        return cut_clip(clips, decode(str(movie(clips.task, clips.videos[video].name)), start))

    return read
