"""How fast are clips decoded from video files, beside decord, torchcodec and a pack of the same frames?

    python benchmarks/videos.py /tmp/videos --peers-python /path/to/a/python/with/decord/and/torchcodec

H.264 of film (`frames.py`), 340x256, with a key frame every 16 or every 250 frames; clips of 16 frames from
a random place in each video, one random crop of 224 and one random flip per clip; batches of 8; uint8; 2
workers. The files are written on the first run. Each loader has its own process, and only one loader works
at a time. Loaders that are not installed are left out.

- fastclips: a `ClipLoader` of the video files;
- pack: the same of a pack of their frames, at quality 90;
- decord: torch's `DataLoader`, 2 persistent workers, `VideoReader(path, num_threads=1).get_batch(frames)`;
- torchcodec: the same with `VideoDecoder(path, num_ffmpeg_threads=1).get_frames_at(frames)`.

Both peers open the file for each clip, as their users do, and NumPy crops the frames.

Result::

    key frames  loader      version     clips/s (quartiles)   CPU ms/frame  fastclips / it (quartiles)
            16  fastclips   0.1.0       103.1 (82.3-143.8)    0.835         1.00 (1.00-1.00)
            16  pack        0.1.0       417.6 (342.5-680.1)   0.187         0.23 (0.21-0.29)
            16  decord      0.6.0       63.3 (50.9-89.6)      1.240         1.60 (1.42-1.77)
            16  torchcodec  0.13.0+cpu  64.5 (56.7-83.6)      1.051         1.51 (1.32-1.73)
           250  fastclips   0.1.0       28.2 (21.8-38.8)      1.817         1.00 (1.00-1.00)
           250  pack        0.1.0       268.0 (220.3-372.7)   0.182         0.10 (0.09-0.11)
           250  decord      0.6.0       29.9 (26.7-30.8)      2.562         0.97 (0.78-1.30)
           250  torchcodec  0.13.0+cpu  28.2 (20.2-32.1)      2.184         1.07 (0.68-1.60)

Measured on 2026-11-28, on 2 cores of a virtual machine that had other work during this run, more of it in the
second half. So the rates depend on how many threads a loader has, and their quartiles lie far apart; CPU time
per frame is steady. Packs are read faster since.

How to read: loaders take turns, and batches prepared ahead are not counted; CPU time is that of
all processes. With a key frame every 250 frames, a clip costs some 125 frames before it, whoever decodes; a
pack has no such frames.
"""  # noqa: D400 - a question

# ruff: noqa: PLC0415 - each process imports only the loader that it serves

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from loader_turns import serve, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH, TIME_STEPS, WORKERS = 8, 16, 2
VIDEOS, FRAMES = 32, 300
HEIGHT, WIDTH = 256, 340
CROP = 224
GOPS = (16, 250)


def write_videos(folder: Path) -> None:
    """Write the video files and their packs, unless they exist."""
    from frames import film, write_movie

    import fastclips as fc

    if all((folder / f"pack{gop}" / "pack.index").exists() for gop in GOPS):
        return
    options = {"preset": "veryfast", "crf": "23", "bf": "2"}
    for number in range(VIDEOS):
        frames = list(film(HEIGHT, WIDTH, FRAMES, np.random.default_rng(number)))
        for gop in GOPS:
            path = folder / f"gop{gop}" / f"class_{number % 4}" / f"video_{number}.mp4"
            write_movie(path, frames, gop=gop, options=options)
    for gop in GOPS:
        fc.pack(folder / f"gop{gop}", folder / f"pack{gop}")


def fastclips_batches(source: Path) -> tuple[str, Iterator[Any]]:
    """Return version and batches of fastclips."""
    import fastclips as fc

    loader = fc.ClipLoader(
        fc.open(source),
        fc.RandomWindow(TIME_STEPS),
        [fc.RandomCrop(CROP), fc.RandomFlip()],
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        repeat=True,
        workers=WORKERS,
        cache=0,
    )
    return fc.__version__, iter(loader)


def peer_batches(
    source: Path, version: str, read: Callable[[str, list[int]], Any]
) -> tuple[str, Iterator[Any]]:
    """Return the version of a peer and batches of torch's DataLoader over it; `read` returns (T, H, W, 3)."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    paths = sorted(map(str, source.glob("*/*.mp4")))

    class Clips(Dataset):  # type: ignore[misc,type-arg,unused-ignore]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            limits = (FRAMES - TIME_STEPS + 1, HEIGHT - CROP + 1, WIDTH - CROP + 1, 2)
            start, top, left, flip = (int(torch.randint(limit, ())) for limit in limits)
            frames = read(paths[number], list(range(start, start + TIME_STEPS)))
            box = frames[:, top : top + CROP, left : left + CROP]
            return torch.from_numpy(np.ascontiguousarray(box[:, :, ::-1] if flip else box)), number % 4

    def endless() -> Iterator[Any]:
        batches = DataLoader(
            Clips(), BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
        )
        while True:
            yield from batches

    return version, endless()


def decord_batches(source: Path) -> tuple[str, Iterator[Any]]:
    """Return version and batches of decord."""
    import decord

    return peer_batches(
        source,
        decord.__version__,
        lambda path, frames: decord.VideoReader(path, num_threads=1).get_batch(frames).asnumpy(),
    )


def torchcodec_batches(source: Path) -> tuple[str, Iterator[Any]]:
    """Return version and batches of torchcodec."""
    import torchcodec
    from torchcodec.decoders import VideoDecoder

    def read(path: str, frames: list[int]) -> Any:  # noqa: ANN401 - an array
        decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)
        return decoder.get_frames_at(frames).data.numpy()

    return peer_batches(source, torchcodec.__version__, read)


LOADERS: dict[str, Callable[[Path], tuple[str, Iterator[Any]]]] = {
    "fastclips": fastclips_batches,
    "pack": fastclips_batches,
    "decord": decord_batches,
    "torchcodec": torchcodec_batches,
}


def crops(name: str, source: Path) -> tuple[str, Callable[[], int]]:
    """Return a loader's version, and a function that receives a batch and returns its number of frames."""
    version, batches = LOADERS[name](source)

    def take() -> int:
        x, _ = next(batches)
        assert tuple(x.shape) == (BATCH, TIME_STEPS, CROP, CROP, 3)
        return BATCH * TIME_STEPS

    return version, take


def measure(args: argparse.Namespace, gop: int) -> None:
    """Measure files with a key frame every `gop` frames, and print."""
    loaders = {}
    for name in LOADERS:
        python = sys.executable if name in ("fastclips", "pack") else args.peers_python
        source = args.folder / (f"pack{gop}" if name == "pack" else f"gop{gop}")
        loader = started(name, [python, __file__, str(source), "--serve", name])
        if loader:
            loaders[name] = loader
    for number in range(args.rounds):
        for loader in list(loaders.values())[:: -1 if number % 2 else 1]:
            loader.turn(args.seconds)
    ours = loaders["fastclips"].rates
    for name, loader in loaders.items():
        low, rate, high = np.quantile(loader.rates, (0.25, 0.5, 0.75)) / TIME_STEPS
        clips = f"{rate:.1f} ({low:.1f}-{high:.1f})"
        low, ratio, high = np.quantile(np.divide(ours, loader.rates), (0.25, 0.5, 0.75))
        spread = f"{ratio:.2f} ({low:.2f}-{high:.2f})"
        print(f"{gop:>10}  {name:<12}{loader.version:<12}{clips:<22}{median(loader.cpu_ms):<14.3f}{spread}")
        loader.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="fastclips beside other decoders of video files.")
    parser.add_argument("folder", type=Path, help="where the video files are, or are written")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each turn (%(default)s)")
    parser.add_argument("--serve", choices=LOADERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(lambda: crops(args.serve, args.folder))
    write_videos(args.folder)
    print(
        "key frames  loader      version     clips/s (quartiles)   CPU ms/frame  fastclips / it (quartiles)"
    )
    for gop in GOPS:
        measure(args, gop)


if __name__ == "__main__":
    main()
