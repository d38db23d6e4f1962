"""How many batches can the training process receive, and what CPU time does it spend on each?

    python benchmarks/consumer.py
    python benchmarks/consumer.py --python jax=/path/to/python torch=/other/python

The workers do empty work: a renderer that writes nothing. So the figures show what the plan, the tickets,
the slots and the training process can carry, whatever decoding costs. A batch is (8, 16, 224, 224, 3) uint8,
19.3 MB; it has 8 tickets. Each line is a process of its own. Compared are:

- ``for batch in loader``;
- ``for batch in loader.to_tf_dataset()``, ``to_torch()`` and ``to_jax()``;
- ``fit`` of a `ClipSequence`, with a model that computes nothing;
- Keras alone: the same ``fit`` with one batch again and again, without a loader. What the loader costs in
  ``fit`` is the difference.

CPU time is that of the training process alone, all its threads, without the workers.

Result, of a machine that had other work::

                                            workers pause  CPU ms a batch (quartiles) batches/s  tickets/s
    for batch in loader                           2     0         0.061 (0.054-0.064)     1,524     12,192
    for batch in loader                          16     0         0.074 (0.063-0.077)     5,137     41,098
    for batch in loader                          64     0         0.084 (0.065-0.115)     3,934     31,473
    for batch in loader                           2    20         0.308 (0.292-0.364)        36        285
    tensorflow: for batch in to_tf_dataset()      2     0         0.132 (0.128-0.137)     5,976     47,809
    tensorflow: fit                               2     0         0.934 (0.758-1.071)       884      7,074
    tensorflow: fit, Keras alone                        0         0.792 (0.780-0.816)     1,196      9,569
    tensorflow: for batch in to_tf_dataset()     16     0         0.227 (0.216-0.240)     3,225     25,798
    tensorflow: fit                              16     0         0.723 (0.596-0.870)     1,290     10,321
    tensorflow: for batch in to_tf_dataset()     64     0         0.231 (0.214-0.249)     2,639     21,110
    tensorflow: fit                              64     0         0.571 (0.563-0.579)     1,541     12,328
    tensorflow: for batch in to_tf_dataset()      2    20         0.745 (0.730-0.780)        47        376
    tensorflow: fit                               2    20         2.028 (1.985-2.116)        34        274
    tensorflow: fit, Keras alone                       20         2.096 (1.983-2.144)        35        278
    jax: fit                                      2     0         0.142 (0.138-0.149)     4,667     37,338
    jax: fit, Keras alone                               0         0.038 (0.038-0.040)     8,471     67,764
    jax: fit                                     16     0         0.236 (0.222-0.270)     1,763     14,104
    jax: fit                                     64     0         0.169 (0.167-0.174)     4,441     35,525
    jax: fit                                      2    20         0.678 (0.663-0.725)        31        248
    jax: fit, Keras alone                              20         0.483 (0.469-0.506)        34        273
    torch: for batch in to_torch()                2     0         0.069 (0.065-0.075)     9,526     76,210
    torch: for batch in to_torch()                2    20         0.464 (0.433-0.509)        48        388
    jax: for batch in to_jax()                    2     0         0.311 (0.306-0.315)     2,729     21,830
    jax: for batch in to_jax()                    2    20         1.054 (0.978-1.144)        46        366
    torch: fit                                    2     0         2.496 (2.462-2.683)       105        842
    torch: fit, Keras alone                             0         2.625 (2.568-2.833)        32        258

How to read: medians, with quartiles. The workers take their empty tickets on the same 2 cores, so with more
cores the rates are higher; other work on the machine lowers them. With a pause of 20 ms after each batch, as
in training, caches are cold and threads sleep, so a batch costs more CPU time than at full speed. Keras on
torch copies each batch.
"""  # noqa: D400 - a question

# ruff: noqa: ANN401 - data of several frameworks pass through

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import numpy as np

import fastclips as fc
from fastclips.engine.clip_spec import ClipSpec
from fastclips.testing import write_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH, TIME_STEPS, CROP = 8, 16, 224
PATHS = {
    "bare": ["loop"],
    "tensorflow": ["loop", "fit", "alone"],
    "jax": ["loop", "fit", "alone"],
    "torch": ["loop", "fit", "alone"],
}
METHODS = {"tensorflow": "to_tf_dataset", "jax": "to_jax", "torch": "to_torch"}
NAMES = {"loop": "for batch in loader", "fit": "fit", "alone": "fit, Keras alone"}
PAUSE_MS = 20
CHUNKS = 12  # measured one after the other


class EmptyRenderer:
    """Writes nothing."""

    def __init__(self, spec: ClipSpec, *, single_threaded: bool = False) -> None:
        """Need nothing."""

    def render(self, ticket: np.void, row: Any, counters: Any) -> None:
        """Leave the row as it is."""


@dataclass(frozen=True)
class EmptySpec(ClipSpec):
    """A spec that names the renderer above."""

    renderer: ClassVar[str] = "consumer:EmptyRenderer"


def make_loader(folder: str, workers: int) -> fc.ClipLoader:
    """Start a loader whose workers do empty work."""
    with mock.patch("fastclips.loader.ClipSpec", EmptySpec):
        return fc.ClipLoader(
            fc.open(folder),
            fc.Windows(TIME_STEPS, step=1),
            [fc.RandomCrop(CROP), fc.RandomFlip()],
            batch_size=BATCH,
            shuffle=True,
            repeat=True,
            workers=workers,
            cache=0,
        )


class Clock:
    """CPU and wall time per batch of this process, over chunks of batches."""

    def __init__(self, chunk: int, pause_ms: float) -> None:
        self.chunk, self.pause_s = chunk, pause_ms / 1e3
        self.batches, self.times = 0, []

    @property
    def total(self) -> int:
        """Batches to receive; the first chunks are not counted."""
        return self.chunk * (CHUNKS + 3)

    def tick(self) -> None:
        """Count a batch."""
        if self.batches % self.chunk == 0:
            self.times.append((time.process_time(), time.perf_counter()))
        self.batches += 1
        if self.pause_s:
            time.sleep(self.pause_s)

    def result(self) -> dict[str, list[float]]:
        """Return quartiles of ms of CPU per batch, and of batches per second."""
        cpu, wall = np.diff(np.array(self.times[2:]), axis=0).T / self.chunk
        quartiles = (0.25, 0.5, 0.75)
        return {
            "cpu_ms": list(np.quantile(cpu * 1e3, quartiles)),
            "rate": list(np.quantile(1 / wall, quartiles)),
        }


def wait_for_workers(loader: fc.ClipLoader, workers: int) -> None:
    """Wait until all workers run: starting them takes the cores for a while."""
    batches = iter(loader)
    while len(loader.pids) <= workers:
        next(batches)
    time.sleep(1)


def receive(batches: Iterator[Any], clock: Clock) -> None:
    """Receive batches in a loop."""
    for _ in range(clock.total):
        next(batches)
        clock.tick()


def fit(data: Any, clock: Clock) -> None:
    """Train a model that computes nothing."""
    import keras  # noqa: PLC0415 - only in some processes

    class Ticks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            clock.tick()

    class Nothing(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.built = self.add_weight(shape=(1,), name="weight"), True

        def call(self, x: Any) -> Any:
            return x

        def train_step(self, *args: Any) -> Any:
            if keras.backend.backend() == "jax":  # state and data, as Keras names them
                return {}, args[0]
            return (
                {"rows": args[0][1].shape[0]} if keras.backend.backend() == "torch" else self._rows(args[0])
            )

        def _rows(self, data: Any) -> Any:
            return {"rows": keras.ops.shape(data[0])[0]}

    model = Nothing()
    model.compile(optimizer="sgd", jit_compile="auto" if keras.backend.backend() == "jax" else False)
    model.fit(data, steps_per_epoch=clock.total, verbose=0, shuffle=False, callbacks=[Ticks()])


def same_batch(loader: fc.ClipLoader, backend: str) -> Any:
    """Return one batch without an end, in the form that costs Keras the least."""
    x, y = loader.batch(0, 0)
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - only in some processes

        return tf.data.Dataset.from_tensors((x, y)).repeat()
    import keras  # noqa: PLC0415 - as above

    class Same(keras.utils.PyDataset):
        @property
        def num_batches(self) -> None:
            return None

        def __getitem__(self, index: int) -> Any:
            return x, y

    return Same()


def measure(backend: str, path: str, workers: int, pause_ms: float, folder: str) -> dict[str, list[float]]:
    """Measure one line in this process."""
    clock = Clock(10 if pause_ms else 100, pause_ms)
    with make_loader(folder, workers) as loader:
        wait_for_workers(loader, workers)
        if path == "loop":
            receive(iter(getattr(loader, METHODS[backend])() if backend in METHODS else loader), clock)
        elif path == "alone":
            fit(same_batch(loader, backend), clock)
        else:
            from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - only in some processes

            fit(ClipSequence(loader), clock)
    return clock.result()


def run(python: str, backend: str, words: list[str]) -> dict[str, list[float]] | str:
    """Measure one line in a new process; return why that failed, otherwise the figures."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend}
    done = subprocess.run(
        [python, str(Path(__file__).resolve()), "--line", backend, *words],
        env={**os.environ, **(quiet if backend != "bare" else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    return (
        json.loads(lines[-1])
        if done.returncode == 0 and lines
        else (done.stderr.strip() or "?").splitlines()[-1]
    )


def has(python: str, module: str) -> bool:
    """Whether an interpreter can import a module."""
    if python == sys.executable:
        return find_spec(module) is not None
    command = [
        python,
        "-c",
        f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))",
    ]
    return subprocess.run(command, check=False).returncode == 0


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="What the training process can receive.")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 16, 64])
    parser.add_argument("--only", nargs="*", default=list(PATHS), help="bare, tensorflow, jax, torch")
    parser.add_argument("--python", nargs="*", default=[], action="extend", help="BACKEND=INTERPRETER")
    parser.add_argument("--line", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.line:
        backend, path, workers, pause, folder = options.line
        print(json.dumps(measure(backend, path, int(workers), float(pause), folder)), flush=True)
        return
    pythons = dict(pair.split("=", 1) for pair in options.python)
    head = f"{'':34}{'workers':>8}{'pause ms':>9}{'CPU ms a batch (quartiles)':>29}"
    print(head + f"{'batches/s (quartiles)':>27}{'tickets/s':>11}")
    with tempfile.TemporaryDirectory() as folder:
        write_frames(folder, videos=4, frames=64, height=256, width=340)
        for backend in options.only:
            python = pythons.get(backend, sys.executable)
            missing = [name for name in (backend, "keras") if backend != "bare" and not has(python, name)]
            if missing:
                print(f"{backend}: missing here: {', '.join(missing)}; see --python")
                continue
            for pause in (0, PAUSE_MS):
                for workers in options.workers if not pause else options.workers[:1]:
                    for path in PATHS[backend]:
                        if path != "alone" or workers == options.workers[0]:
                            words = [path, str(workers), str(pause), folder]
                            print_line(backend, path, workers, pause, run(python, backend, words))


def print_line(
    backend: str, path: str, workers: int, pause: int, found: dict[str, list[float]] | str
) -> None:
    """Print a line of the table."""
    name = NAMES[path]
    if backend != "bare":
        name = f"{backend}: {name.replace('loader', f'{METHODS[backend]}()')}"
    start = f"{name:34}{'' if path == 'alone' else workers:>8}{pause:>9}"
    if isinstance(found, str):
        print(f"{start}  failed: {found}", flush=True)
        return
    cpu, rate = found["cpu_ms"], found["rate"]
    spread = f"{rate[1]:,.0f} ({rate[0]:,.0f}-{rate[2]:,.0f})"
    print(
        f"{start}{f'{cpu[1]:.3f} ({cpu[0]:.3f}-{cpu[2]:.3f})':>29}{spread:>27}{rate[1] * BATCH:>11,.0f}",
        flush=True,
    )


if __name__ == "__main__":
    # The nursery and its workers import this module by its name, so the spec must be of that module here too.
    from consumer import main

    main()
