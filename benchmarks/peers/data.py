"""The data: film made by `frames.py`, masks, video files, and the packed form of each peer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from frames import write_frames, write_movie
from PIL import Image

from peers.common import LARGE, SMALL, TIME_STEPS, Clips, task_of
from peers.decoding import rgb_file
from peers.environments import python_of, why_absent
from peers.registry import PEERS
from peers.videos_of import RATE, movie

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peers.common import Task

VIDEOS = {SMALL: 32, LARGE: 16}


def write_data(names: Iterable[str], work: Path, *, tasks: Iterable[str], share: float = 1.0) -> None:
    """Write the data sets that do not exist yet.

    Parameters
    ----------
    names : iterable of str
        Peers whose packed forms are written.
    work : Path
        The data come into its folder `data`.
    tasks : iterable of str
        Whose data are written.
    share : float
        Of the number of videos, for a trial.
    """
    data = work / "data"
    wanted = {name: task_of(name, data) for name in tasks}
    for task in wanted.values():
        if not task.frames.exists():
            width, height = map(int, task.frames.name.split("x"))
            videos = int(VIDEOS[task.frames.name] * share)
            write_frames(task.frames, height=height, width=width, videos=videos, frames=64)
        if task.masks and not task.mask_folder.exists():
            write_masks(Clips(task))
    for name in names:
        if why_absent(name, work):
            continue
        for form, can in PEERS[name].forms.items():
            for task_name, task in wanted.items():
                if form != "folder" and task_name in can and not task.packed(form).exists():
                    print(f"{name}: {task.packed(form).name}", flush=True)
                    write_form(name, form, task_name, work)


def write_masks(clips: Clips) -> None:
    """Write a grey PNG of 20 classes for each frame, as Pillow does: areas of 40 pixels that move."""
    random = np.random.default_rng(0)
    height, width = clips.shape
    for video in clips.videos:
        coarse = random.integers(0, 20, (height // 20, width // 20), np.uint8)
        areas = cv2.resize(coarse, (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST)
        for number, path in enumerate(video.files):
            target = Path(clips.mask_of(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(areas[number : number + height, 2 * number : 2 * number + width]).save(target)


def write_form(name: str, form: str, task_name: str, work: Path) -> None:
    """Write a packed form in a process of the peer, or nothing if that fails."""
    task = task_of(task_name, work / "data")
    target = task.packed(form)
    if form == "mp4":
        write_movies(task)
        return
    home = str(Path(__file__).parent)
    command = [python_of(name, work), home, "write", str(work), "--side", name, form, task_name]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, stdout=sys.stderr, text=True)
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        target.unlink(missing_ok=True)
        print(f"{name}: {target.name} was not written:\n{done.stderr[-2000:]}", flush=True)


def write_movies(task: Task) -> None:
    """Write the frames as H.264, with a key frame every 16 frames."""
    for video in Clips(task).videos:
        path = movie(task, video.name)
        write_movie(path, map(rgb_file, video.files), gop=TIME_STEPS, rate=RATE, options={"crf": "18"})


def bytes_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
