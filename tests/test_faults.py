"""Real processes are killed; batches do not change, nothing hangs, nothing is left behind."""

import itertools
import linecache
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import alive, make_frames, make_loader, run_python, threads, wait_until
from storages import Poison, Unloadable

import fastclips as fc
from fastclips.engine.arena import COUNTERS
from fastclips.spec import StreamSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("many"), videos=12, frames=24, height=120, width=160)


@pytest.fixture(scope="module")
def expected(many):
    with make_loader(many, transforms=[fc.RandomCrop(100)], shuffle=True) as loader:
        return [x.copy() for x, _ in itertools.chain(loader, loader)]


def finished(loader):
    """How many clips the workers have finished."""
    return loader._engine.counters[:, COUNTERS.index("clips")].sum()


def is_idle(loader):
    """Whether all that was given to the workers is done."""
    engine = loader._engine
    return all(map(engine._arena.settled, engine._in_flight))


def test_killed_workers_change_nothing(many, expected):
    """A worker is killed at a random moment before each of 36 batches.

    Only once others have gone on: whoever kills three workers over one clip makes it the culprit.
    """
    random = np.random.default_rng(0)
    with make_loader(many, 3, transforms=[fc.RandomCrop(100)], shuffle=True) as loader:
        killed = set()
        for served, wanted in zip(itertools.chain(loader, loader), expected, strict=True):
            np.testing.assert_array_equal(served[0], wanted)
            time.sleep(random.uniform(0, 0.01))
            victim = loader.pids[random.integers(1, 4)] if len(loader.pids) == 4 else None
            if victim is not None and victim not in killed and alive(victim):
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
                done = finished(loader)
                wait_until(lambda done=done: finished(loader) > done + 2 or is_idle(loader))
        assert len(killed) > 3
        wait_until(lambda: all(map(alive, loader.pids)))
        assert len(loader.pids) == 4


def test_a_stopped_worker_is_not_taken_for_dead(many, expected):
    """Its clip is done when it goes on, and by nobody else."""
    with make_loader(many, 2, transforms=[fc.RandomCrop(100)], shuffle=True) as loader:
        batches = iter(loader)
        np.testing.assert_array_equal(next(batches)[0], expected[0])
        victim = loader.pids[1]
        os.kill(victim, signal.SIGSTOP)
        try:
            time.sleep(0.3)
        finally:
            os.kill(victim, signal.SIGCONT)
        for served, wanted in zip(batches, expected[1:18], strict=True):
            np.testing.assert_array_equal(served[0], wanted)
        assert victim in loader.pids


def test_a_clip_that_kills_every_worker_is_named(many):
    """Three workers die over it, then it is an error; the rest of the epoch is served."""
    dataset = fc.open(many)
    poisoned = fc.Dataset(Poison(dataset.storage, 0), dataset.index, (StreamSpec("image"),))
    with fc.ClipLoader(poisoned, fc.Windows(4), batch_size=4, workers=2) as loader:
        with pytest.raises(fc.FrameError, match="3 workers died over this clip: 3 by SIGSEGV"):
            list(loader)
        assert len(list(loader.epoch(0, start=1))) == 17


def test_workers_that_cannot_start_are_an_error(many):
    """Nothing finishes, so the nursery gives up and the trainer says why."""
    dataset = fc.open(many)
    hopeless = fc.Dataset(Unloadable(dataset.storage), dataset.index, (StreamSpec("image"),))
    with (
        fc.ClipLoader(hopeless, fc.Windows(4), batch_size=4, workers=2) as loader,
        pytest.raises(fc.EngineError, match="storage cannot be unpickled in a worker: RuntimeError: no luck"),
    ):
        list(loader)


def test_a_killed_nursery_is_an_error_not_a_hang(many):
    with make_loader(many, 2) as loader:
        batches = iter(loader)
        next(batches)
        pids = loader.pids
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(
            fc.EngineError, match=r"worker processes are gone: .* died by SIGKILL \(out of memory"
        ):
            list(itertools.chain.from_iterable(map(loader.epoch, range(5))))
        wait_until(lambda: not any(map(alive, pids)))


TRAINER = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from helpers import make_loader
loader = make_loader(sys.argv[1], 2)
x, y = next(iter(loader))
while len(loader.pids) < 3:
    time.sleep(0.01)
child = os.fork() if sys.argv[3] == "fork" else 0
if child == 0 and sys.argv[3] == "fork":
    time.sleep(600)
print(*loader.pids, loader._engine._arena.fd, child, flush=True)
while True:  # busy
    for batch in loader:
        pass
"""


def start_trainer(frames, kind):
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, frames, Path(__file__).parent, kind],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    *pids, fd, child = map(int, trainer.stdout.readline().split())
    return trainer, pids, fd, child


def test_a_killed_trainer_leaves_no_process(frames):
    trainer, pids, _, _ = start_trainer(frames, "alone")
    assert len(pids) == 3
    assert all(map(alive, pids))
    with trainer:
        trainer.kill()
    wait_until(lambda: not any(map(alive, pids)))


def test_a_killed_trainer_leaves_no_memory_to_its_children(frames):
    """A child forked by the trainer lives on, with the arena mapped: processes end, memory goes back."""
    trainer, pids, fd, child = start_trainer(frames, "fork")
    try:
        memfd = Path(f"/proc/{child}/fd/{fd}")
        assert "fastclips" in str(memfd.readlink())
        assert memfd.stat().st_blocks > 0
        with trainer:
            trainer.kill()
        wait_until(lambda: not any(map(alive, pids)))
        assert alive(child)
        assert memfd.stat().st_blocks == 0
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_interrupt_ends_cleanly(frames):
    """Ctrl-C reaches the trainer alone; it unwinds, exits, and takes its processes with it."""
    code = """
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[2])
from helpers import make_loader
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
loader = make_loader(sys.argv[1], 2, repeat=True)
batches = iter(loader)
next(batches)
pids = loader.pids
threading.Timer(0.3, os.killpg, (os.getpid(), signal.SIGINT)).start()
try:
    for x, y in batches:
        pass
except KeyboardInterrupt:
    print(*pids)
"""
    out = run_python(code, frames, Path(__file__).parent, start_new_session=True)
    pids = list(map(int, out.split()))
    assert pids
    wait_until(lambda: not any(map(alive, pids)))


def test_no_thread_is_left(frames):
    before = threads()
    with make_loader(frames, 2) as loader:
        list(loader)
    wait_until(lambda: threads() <= before)


def lets_no_signal_in(frame):
    """Whether it is a line to a tracer alone: a try, or leaving a with statement."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip().startswith(("try:", "with "))


def test_an_interrupt_anywhere_loses_nothing(frames):
    """A KeyboardInterrupt at each line of these modules in turn, in the middle of an epoch."""
    with make_loader(frames) as loader:
        expected = [x.copy() for x, _ in loader]
    sources = tuple(f"fastclips/{name}.py" for name in ("loader", "engine/pool", "engine/arena", "processes"))
    with make_loader(frames, 1) as loader:
        engine = loader._engine
        for line in itertools.count(1):
            lines = itertools.count(1)

            def trace(frame, event, _, line=line, lines=lines):
                if not frame.f_code.co_filename.endswith(sources):
                    return None
                if event == "line" and not lets_no_signal_in(frame) and next(lines) == line:
                    raise KeyboardInterrupt
                return trace

            batches = loader.epoch(0)
            served = [next(batches)[0]]
            sys.settrace(trace)
            try:
                served.append(next(batches)[0])
            except KeyboardInterrupt:
                pass
            else:
                break
            finally:
                sys.settrace(None)
            assert loader.state_dict()["batch"] in {1, 2}
            served += [x for x, _ in loader.epoch(0, start=1)]
            for array, wanted in zip(served, expected, strict=True):
                np.testing.assert_array_equal(array, wanted)
            del served, array, batches
            assert not any(map(engine._is_leased, range(engine.slots)))
            assert len(engine._in_flight) == engine._ahead
        assert line > 30, "every line had its turn"


def test_a_trainer_that_ignores_its_children(frames):
    """SIGCHLD ignored is inherited by the nursery, which must be able to reap all the same."""
    code = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
sys.path.insert(0, sys.argv[2])
from helpers import make_loader
with make_loader(sys.argv[1], 1) as loader:
    next(iter(loader))
    for _ in range(2):
        os.kill(loader.pids[1], signal.SIGKILL)
        print(len(list(loader)))
"""
    assert run_python(code, frames, Path(__file__).parent) == "5\n5\n"


def test_closing_while_another_thread_waits(frames):
    """It is told so, whatever it was at; nothing is read from memory that was given back."""
    for delay in np.linspace(0, 0.05, 12):
        loader = make_loader(frames, 1, repeat=True)
        ends = []

        def consume(loader=loader, ends=ends):
            try:
                for x, _ in loader:
                    assert x.any()
            except fc.FastclipsError as error:
                ends.append(type(error))

        thread = threading.Thread(target=consume)
        next(iter(loader))
        thread.start()
        time.sleep(delay)
        loader.close()
        thread.join(20)
        assert ends == [fc.ClosedError]
