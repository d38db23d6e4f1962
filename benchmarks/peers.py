"""How fast do other loaders load the same clips and crops from the same folder, on the same cores?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/peers.py /tmp/frames --torch-python /path/to/a/python/with/torch

Clips of 16 frames, windows that do not overlap, or begin every ``--step`` frames, shuffled; batches of 8; one
random crop of 224 (``--crop``) and one random flip per clip; uint8. With ``--to``, crops are resized. Each
loader has its own process, and only one loader works at a time. Loaders that are not installed are left out.

- fastclips: 2 workers, of the folder, and of its packs of JPEGs and of dct frames; with windows that overlap,
  ``cache="auto"``;
- tf.data: `read_file`, `decode_jpeg`, slice; one `map` per clip, everything AUTOTUNE;
- tf.data crop: the same with `decode_and_crop_jpeg`, which skips pixels outside the crop;
- torch: `DataLoader` with 2 persistent workers, simplejpeg decoding into NumPy arrays, slice.

Result, of frames of film::

    loader        version     frames/s  CPU ms/frame   folder / it          dct pack / it
    fastclips     0.1.0          9,285         0.221   1.00 (1.00-1.00)     1.79 (1.70-1.98)
    pack          0.1.0         10,896         0.181   0.82 (0.82-0.86)     1.48 (1.47-1.67)
    dct pack      0.1.0         16,839         0.116   0.56 (0.50-0.59)     1.00 (1.00-1.00)
    tf.data       2.21.0         4,044         0.537   2.30 (2.11-2.38)     4.21 (3.91-4.62)
    tf.data crop  2.21.0         3,808         0.534   2.44 (2.27-2.53)     4.31 (4.26-4.67)

    --crop 112
    fastclips     0.1.0         14,277         0.143   1.00 (1.00-1.00)     3.02 (2.99-3.16)
    pack          0.1.0         28,441         0.070   0.51 (0.51-0.51)     1.55 (1.52-1.60)
    dct pack      0.1.0         44,532         0.046   0.33 (0.32-0.33)     1.00 (1.00-1.00)
    tf.data       2.21.0         4,276         0.505   3.43 (3.30-3.46)     10.25 (9.28-10.41)
    tf.data crop  2.21.0         6,867         0.297   2.09 (1.93-2.15)     6.15 (5.99-6.26)

    --crop 315 --to 224, frames of 640x360
    fastclips     0.1.0          3,859         0.504   1.00 (1.00-1.00)     1.79 (1.70-1.82)
    pack          0.1.0          4,955         0.412   0.80 (0.76-0.80)     1.42 (1.39-1.44)
    dct pack      0.1.0          7,027         0.287   0.56 (0.55-0.59)     1.00 (1.00-1.00)
    tf.data       2.21.0         1,262         1.864   3.06 (2.89-3.18)     5.57 (5.19-5.66)
    tf.data crop  2.21.0         1,422         1.533   2.66 (2.57-2.72)     4.96 (4.39-5.13)

2 cores of a virtual machine whose host has other work.

How to read: compare ratios, which are taken within a round; rates depend on the load of the machine. In a
round every loader has a turn, in an order that is reversed from round to round. A turn begins when the
process is at rest with full buffers. Its first second, which empties them, is not counted. CPU time is that
of all the loader's processes, from rest to rest; with every core busy, it decides the rate.
"""  # noqa: D400 - a question

# ruff: noqa: PLC0415 - each process imports only the loader that it serves

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import fastclips as fc

TIME_STEPS, BATCH = 16, 8
WORKERS = 2
LEAD_S = 1.0  # start of each turn, not counted: batches prepared ahead, and finding a pace
REST_S = 0.3  # without CPU time: the process waits for its consumer


class Task(NamedTuple):
    """What all loaders do.

    Parameters
    ----------
    folder : Path
        Of class/video/frame.jpg.
    step : int
        Frames from one window to the next.
    crop, size : int
        Sides of the square that is cropped, and of the square that it is resized to, in pixels.
    """

    folder: Path
    step: int
    crop: int
    size: int


def fastclips_loader(task: Task, *, codec: str = "") -> fc.ClipLoader:
    """Return a loader of the folder, or of a pack of it; frames that several clips show are kept."""
    import fastclips as fc

    folder, step = task.folder, task.step
    if codec:
        pack = folder.with_name(f"{folder.name}_{codec}")
        if not pack.exists():
            fc.pack(fc.open(folder), pack, codec=codec)
        folder = pack
    crop = [fc.RandomCrop(task.crop)]
    if task.size != task.crop:
        crop.append(fc.Resize((task.size, task.size)))
    return fc.ClipLoader(
        fc.open(folder),
        fc.Windows(TIME_STEPS, step=step),
        [*crop, fc.RandomFlip()],
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        repeat=True,
        workers=WORKERS,
        cache="auto" if step < TIME_STEPS else 0,
    )


def fastclips_batches(task: Task, *, codec: str = "") -> tuple[str, Iterator[Any]]:
    """Return version and batches of fastclips."""
    import fastclips as fc

    return fc.__version__, iter(fastclips_loader(task, codec=codec))


def windows(folder: Path, step: int) -> tuple[list[list[str]], list[int], tuple[int, int]]:
    """Return every clip's files, its label, and the frames' height and width."""
    import simplejpeg

    clips, labels = [], []
    for label, name in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for video in sorted(name.iterdir()):
            files = sorted(str(path) for path in video.glob("*.jpg"))
            starts = range(0, len(files) - TIME_STEPS + 1, step)
            clips += [files[start : start + TIME_STEPS] for start in starts]
            labels += [label] * len(starts)
    height, width, _, _ = simplejpeg.decode_jpeg_header(Path(clips[0][0]).read_bytes())
    return clips, labels, (height, width)


def tfdata_batches(task: Task, *, crop: bool) -> tuple[str, Iterator[Any]]:
    """Return version and batches of tf.data."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import tensorflow as tf

    clips, labels, (height, width) = windows(task.folder, task.step)
    side, size = task.crop, task.size

    def load(files: Any, label: Any) -> Any:  # noqa: ANN401 - tensors
        top = tf.random.uniform((), 0, height - side + 1, tf.int32)
        left = tf.random.uniform((), 0, width - side + 1, tf.int32)
        frames = []
        for time_step in range(TIME_STEPS):
            data = tf.io.read_file(files[time_step])
            if crop:
                frame = tf.io.decode_and_crop_jpeg(data, tf.stack([top, left, side, side]), channels=3)
            else:
                frame = tf.io.decode_jpeg(data, channels=3)[top : top + side, left : left + side]
            frames.append(frame)
        clip = tf.stack(frames)
        if size != side:
            clip = tf.cast(tf.round(tf.image.resize(clip, (size, size))), tf.uint8)
        clip = tf.cond(tf.random.uniform(()) < 0.5, lambda: tf.reverse(clip, [2]), lambda: clip)
        return tf.ensure_shape(clip, (TIME_STEPS, size, size, 3)), label

    batches = (
        tf.data.Dataset.from_tensor_slices((clips, labels))
        .shuffle(len(clips))
        .repeat()
        .map(load, tf.data.AUTOTUNE)
        .batch(BATCH, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return tf.__version__, iter(batches)


def torch_batches(task: Task, *, pin_memory: bool = False) -> tuple[str, Iterator[Any]]:
    """Return version and batches of torch's DataLoader."""
    import cv2
    import simplejpeg
    import torch
    from torch.utils.data import DataLoader, Dataset

    clips, labels, (height, width) = windows(task.folder, task.step)
    side, size = task.crop, task.size
    cv2.setNumThreads(1)

    class Clips(Dataset):
        def __len__(self) -> int:
            return len(clips)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            top, left, flip = (int(torch.randint(n, ())) for n in (height - side + 1, width - side + 1, 2))
            out = np.empty((TIME_STEPS, size, size, 3), np.uint8)
            for time_step, path in enumerate(clips[number]):
                frame = simplejpeg.decode_jpeg(
                    Path(path).read_bytes(), "RGB", fastdct=False, fastupsample=False
                )
                box = frame[top : top + side, left : left + side]
                if size != side:
                    box = cv2.resize(box, (size, size))
                out[time_step] = box[:, ::-1] if flip else box
            return torch.from_numpy(out), labels[number]

    def endless() -> Iterator[Any]:
        batches = DataLoader(
            Clips(),
            BATCH,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=True,
            pin_memory=pin_memory,
        )
        while True:
            yield from batches

    return torch.__version__, endless()


PEERS = {
    "fastclips": fastclips_batches,
    "pack": partial(fastclips_batches, codec="jpeg"),
    "dct pack": partial(fastclips_batches, codec="dct"),
    "tf.data": partial(tfdata_batches, crop=False),
    "tf.data crop": partial(tfdata_batches, crop=True),
    "torch": torch_batches,
}


def serve(make: Callable[[], tuple[str, Callable[[], int]]]) -> None:
    """Be a loader's process: read a number of seconds, load for that long, write frames and time; repeat.

    Parameters
    ----------
    make : callable
        Returns the loader's version, and a function that receives a batch or more and returns the number of
        frames.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    version, take = make()
    take()
    print(json.dumps(version), file=answers, flush=True)
    for line in sys.stdin:
        lead, began = 0, time.perf_counter()
        while time.perf_counter() - began < LEAD_S:
            lead += take()
        frames, began = 0, time.perf_counter()
        while (now := time.perf_counter()) - began < float(line):
            frames += take()
        print(json.dumps([lead, frames, now - began]), file=answers, flush=True)
    os._exit(0)  # TensorFlow's threads may be anywhere


def crops(name: str, task: Task) -> tuple[str, Callable[[], int]]:
    """Return a loader's version, and a function that receives a batch and returns its number of frames."""
    version, batches = PEERS[name](task)

    def take() -> int:
        x, _ = next(batches)
        assert tuple(x.shape) == (BATCH, TIME_STEPS, task.size, task.size, 3)
        return BATCH * TIME_STEPS

    return version, take


class Peer:
    """The process of a loader, seen from outside; its command calls `serve`."""

    def __init__(self, command: Sequence[str]) -> None:
        self.rates: list[float] = []
        self.cpu_ms: list[float] = []  # per frame
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = self._answer()
        self._rest()

    def turn(self, seconds: float) -> None:
        """Let the loader work for some seconds."""
        before = cpu_s(self._process.pid)
        print(seconds, file=self._process.stdin, flush=True)
        lead, frames, took = self._answer()
        self.rates.append(frames / took)
        self._rest()
        self.cpu_ms.append(1e3 * (cpu_s(self._process.pid) - before) / (lead + frames))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(self._process.communicate()[1].strip().rpartition("\n")[2])
        return json.loads(line)

    def _rest(self) -> None:
        """Wait until the loader's buffers are full, so that it uses no CPU time in other loaders' turns."""
        deadline = time.monotonic() + 20
        spent = cpu_s(self._process.pid)
        while time.monotonic() < deadline:
            time.sleep(REST_S)
            before, spent = spent, cpu_s(self._process.pid)
            if spent - before < REST_S / 20:
                return


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of all its descendants, in s."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        total += sum(cpu_s(int(child)) for child in task.read_text().split())
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return total + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(name: str, command: Sequence[str]) -> Peer | None:
    """Start a loader, or print why it is left out."""
    try:
        return Peer(command)
    except ChildProcessError as error:
        print(f"{name}: left out: {error}")
        return None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="fastclips beside other loaders.")
    parser.add_argument("folder", type=Path, help="folder of class/video/frame.jpg")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument(
        "--step", type=int, default=TIME_STEPS, help="from one window to the next (%(default)s)"
    )
    parser.add_argument("--crop", type=int, default=224, help="side of the crop (%(default)s)")
    parser.add_argument("--to", type=int, help="side to which crops are resized")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each turn (%(default)s)")
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    task = Task(args.folder, args.step, args.crop, args.to or args.crop)
    if args.serve:
        serve(lambda: crops(args.serve, task))
    options = [f"--{name}={value}" for name, value in zip(("step", "crop", "to"), task[1:], strict=True)]
    peers = {}
    for name in PEERS:
        python = args.torch_python if name == "torch" else sys.executable
        peer = started(name, [python, __file__, "--serve", name, *options, str(args.folder)])
        if peer:
            peers[name] = peer
    for number in range(args.rounds):
        for peer in list(peers.values())[:: -1 if number % 2 else 1]:
            peer.turn(args.seconds)
    head = f"{'loader':<14}{'version':<12}frames/s  CPU ms/frame   "
    print(f"    {head}{'folder / it':<21}dct pack / it")
    for name, peer in peers.items():
        of_both = []
        for ours in ("fastclips", "dct pack"):
            ratios = [a / b for a, b in zip(peers[ours].rates, peer.rates, strict=True)]
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            of_both.append(f"{middle:.2f} ({low:.2f}-{high:.2f})")
        print(
            f"    {name:<14}{peer.version:<12}{median(peer.rates):>8,.0f}{median(peer.cpu_ms):>14.3f}   "
            f"{of_both[0]:<21}{of_both[1]}"
        )
        peer.close()


if __name__ == "__main__":
    main()
