"""Random loaders, disturbed at random: every batch must have the bytes of an undisturbed run.

A round takes a random source, sampler, list of transforms and options, makes two epochs without workers, and
makes them again with workers while a thread kills, stops and continues these. The loop itself is left and
taken up again, resumed in a new loader, or asked for batches beside its order; and it keeps some batches.

    python tests/stress.py --seconds 600            rounds with seeds of their own, which are printed
    python tests/stress.py --seed 7 --rounds 1      a round again
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tarfile
import tempfile
import threading
import time
import warnings
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from helpers import make_masks

import fastclips as fc
from fastclips.testing import write_frames

EPOCHS = 4
KILLS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
PAUSES_S = (0.001, 0.003, 0.01, 0.05)  # between disturbances


def make_sources(root, videos=6):
    """Functions that open the same videos in several forms, by name; `videos` in each of four classes."""
    frames, masks = root / "frames", root / "masks"
    write_frames(frames, videos=videos, frames=14, height=48, width=64)
    make_masks(masks, frames)
    damaged = root / "damaged"
    write_frames(damaged, videos=1, frames=14, height=48, width=64, seed=1)
    for number, path in enumerate(sorted(damaged.rglob("*.jpg"))):
        if number % 5 == 0:
            path.write_bytes(path.read_bytes()[: 200 + number])
    both = {"image": frames, "mask": masks}
    fc.pack(fc.open(both), root / "pack", workers=0)
    fc.pack(fc.open(both), root / "raw", codec="raw", workers=0)
    fc.pack(fc.open(both), root / "dct", codec="dct", workers=0)
    with tarfile.open(root / "frames.tar", "w") as tar:
        tar.add(frames, "frames")
    rows = [
        {"path": name, "start": 1 + at % 3, "length": 8 + at % 4, "label": at % 2}
        for at, name in enumerate(fc.open(frames).index.names[:])
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 14, 48, 64, 3), np.uint8)
    return {
        "folder": lambda: fc.open(both),
        "pack": lambda: fc.open(root / "pack"),
        "raw pack": lambda: fc.open(root / "raw"),
        "dct pack": lambda: fc.open(root / "dct"),
        "tar": lambda: fc.open(root / "frames.tar"),
        "list": lambda: fc.open(rows, root=frames),
        "arrays": lambda: fc.open(images={"image": pixels, "mask": pixels[..., 0] % 3}, labels=[0, 1] * 3),
        "damaged": lambda: fc.open(damaged),
    } | _videos(root)


def _videos(root):
    """Video files, if PyAV is there."""
    if find_spec("av") is None:
        return {}
    from videos import show, write_movie  # noqa: PLC0415 - needs PyAV

    for number in range(6):
        write_movie(root / f"movies/c{number % 2}/{number}.mp4", [show(20 * number + at) for at in range(14)])
    return {"videos": lambda: fc.open(root / "movies")}


def some_options(chance, sources):
    """The arguments of a random loader, but for workers, and a function that opens its data."""
    name = chance.choice(list(sources))
    data = sources[name]()
    samplers = [
        fc.Windows(chance.randint(1, 6), step=chance.randint(1, 4)),
        fc.Windows(4, step=3, tail="pad"),
        fc.RandomWindow(chance.randint(1, 6)),
        fc.Segments(chance.randint(1, 5), jitter=chance.random() < 0.5),
        fc.Views(3, temporal=2),
    ]
    geometry = [
        [fc.RandomCrop(32)],
        [fc.RandomResizedCrop(24, per=chance.choice(["clip", "frame"]))],
        [fc.CenterCrop(40), fc.RandomRotation(20, fill="constant")],
        [fc.Resize((24, 32)), fc.RandomShift(0.2, 0.2)],
        [fc.ThreeCrop(32)],
        [],
    ]
    steps = [
        [],
        [fc.RandomFlip()],
        [fc.Brightness(0.5, 1.5), fc.Blur((0.3, 1.5))],
        [fc.Grayscale(p=0.5), fc.Normalize((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))],
    ]
    has_masks = any(stream.mask for stream in data.streams)
    options = {
        "batch_size": chance.choice([1, 2, 3, 7]),
        "shuffle": chance.random() < 0.7,
        "drop_last": chance.random() < 0.3,
        "seed": chance.randrange(2**32),
        "channels_first": chance.random() < 0.2,
        "dct_scaling": chance.random() < 0.7,
    }
    if chance.random() < 0.3:
        options["interleave"] = chance.randint(1, 2)
    if chance.random() < 0.3:
        options["draws_per_clip"] = chance.randint(2, 3)
        options["batch_size"] *= options["draws_per_clip"]
    if has_masks and chance.random() < 0.7:
        options |= {"targets": "mask", "sample_weight": chance.choice([None, "valid", {1: 3.0}])}
    if name == "damaged":
        options |= {"damaged": "repeat", "damaged_limit": 1.0}
    arguments = chance.choice(samplers), chance.choice(geometry) + chance.choice(steps)
    return f"{name}: {arguments}, {options}", data, arguments, options


def digest(batch):
    """The SHA-256 of a batch's arrays."""
    found = hashlib.sha256()
    for part in batch if isinstance(batch, tuple) else (batch,):
        found.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).data)
    return found.hexdigest()


@contextmanager
def disturbed(loader, chance, done):
    """Kill, stop and continue the loader's workers while the block runs; count it in `done`."""
    over = threading.Event()

    def send(pid, number):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            done[number.name] += 1

    def disturb():
        while not over.wait(chance.choice(PAUSES_S)):
            pids = loader.pids[1:]
            if not pids:
                continue
            pid = chance.choice(pids)
            if chance.random() < 0.2:
                send(pid, signal.SIGSTOP)
                over.wait(chance.choice(PAUSES_S))
                send(pid, signal.SIGCONT)
            else:
                send(pid, chance.choice(KILLS))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def round_of(seed, sources, done):
    """Make two epochs, undisturbed and disturbed; raise AssertionError for a batch that differs."""
    chance = random.Random(seed)
    text, data, arguments, options = some_options(chance, sources)
    try:
        plain = fc.ClipLoader(data, *arguments, workers=0, **options)
    except fc.OptionError:  # a set of so few clips may have no whole batch
        plain = fc.ClipLoader(data, *arguments, workers=0, **(options | {"drop_last": False}))
        options["drop_last"] = False
    with plain:
        expected = [[digest(batch) for batch in plain.epoch(epoch)] for epoch in range(EPOCHS)]

    shared = fc.FrameCache(chance.choice(["300KiB", "64MiB"]))

    def make():
        workers = chance.choice([1, 2, 3, 5])
        memory = chance.choice(["64MiB", "1GiB"])
        cache = chance.choice(["auto", "auto", "100KiB", "1MiB", 0, shared, shared])
        engine = {"workers": workers, "memory": memory, "cache": cache, "max_deaths": 9_999}
        return fc.ClipLoader(data, *arguments, **engine, **options)

    kept, place, loader = [], (0, 0), make()
    try:
        while place[0] < EPOCHS:
            with disturbed(loader, chance, done):
                for batch in loader:
                    epoch, number = place
                    assert digest(batch) == expected[epoch][number], f"batch {place} of seed {seed}: {text}"
                    done["batches"] += 1
                    kept = [*kept, (batch, place)][-chance.randint(1, 6) :]
                    place = (epoch, number + 1) if number + 1 < len(loader) else (epoch + 1, 0)
                    what = chance.random()
                    if what < 0.03:
                        beside = chance.randrange(EPOCHS), chance.randrange(len(loader))
                        assert digest(loader.batch(*beside)) == expected[beside[0]][beside[1]], (seed, text)
                    elif what < 0.08 or place[0] == EPOCHS:
                        break
            for batch, (epoch, number) in kept:  # still the same after all that followed
                assert digest(batch) == expected[epoch][number], f"a kept batch of seed {seed}: {text}"
            if chance.random() < 0.4 and place[0] < EPOCHS:
                state = loader.state_dict()
                assert (state["epoch"], state["batch"]) == place, (seed, text)
                loader.close()
                loader = make()
                loader.load_state_dict(state)
                done["resumes"] += 1
            elif place[0] < EPOCHS:
                loader.load_state_dict(loader.state_dict(*place))
                done["begun anew"] += 1
    finally:
        loader.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; by default, the time")
    given = parser.parse_args()
    seed = time.time_ns() % 2**32 if given.seed is None else given.seed
    warnings.simplefilter("ignore")
    done, began = Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        sources = make_sources(Path(folder))
        try:
            for number in range(given.rounds):
                if time.monotonic() - began > given.seconds:
                    break
                print(f"seed {seed + number}", file=sys.stderr, flush=True)  # noqa: T201 - a command
                round_of(seed + number, sources, done)
                done["rounds"] += 1
        finally:
            print(", ".join(f"{count:,} {what}" for what, count in sorted(done.items())))  # noqa: T201 - as above


if __name__ == "__main__":
    main()
