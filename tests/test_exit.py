"""A script that ends while its threads load: it ends in silence, with its own exit code."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

RUNS = int(os.environ.get("FASTCLIPS_EXIT_RUNS", "2"))  # of each script; raise it to look for rare failures

START = """
import sys, threading, time
import numpy as np
import fastclips as fc
kind, workers, fails = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"
data = fc.open(images=np.random.default_rng(0).integers(0, 255, (4, 16, 64, 64, 3), dtype=np.uint8))
turned = [fc.RandomRotation(20), fc.RandomCrop(48)]
loader = fc.ClipLoader(data, fc.Windows(8), turned, batch_size=2, workers=workers, repeat=True)
first = threading.Event()
"""
END = """
threading.Thread(target=run, daemon=True).start()
first.wait()
time.sleep(time.time_ns() % 50 / 1000)  # the thread may be anywhere
if fails:
    raise RuntimeError("of the script")
"""
LOOPS = {
    "iterate": "def run():\n    for x in loader: first.set()",
    "next": "def run():\n    batches = iter(loader)\n    while True: next(batches), first.set()",
    "batch": "def run():\n    while True: loader.batch(0, 0), first.set()",
    "caught": (
        "def run():\n    while True:\n        try:\n            loader.batch(0, 0), first.set()\n"
        "        except Exception: pass"
    ),
}


def run(script, kind, workers, fails):
    done = subprocess.run(
        [sys.executable, "-c", script, kind, str(workers), str(int(fails))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def check(script, kind, workers, fails, quiet=True):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: run(script, kind, workers, fails), range(RUNS)))
    assert [code for code, _ in done] == [int(fails)] * RUNS, done[0][1]
    for _, errors in done:
        assert ("of the script" in errors) == fails
        if quiet and not fails:
            assert errors == ""


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("kind", "fails"), [*((kind, False) for kind in LOOPS), ("iterate", True)])
def test_a_script_ends_while_a_thread_loads(kind, workers, fails):
    check(START + LOOPS[kind] + END, kind, workers, fails)


FRAMEWORKS = {
    "tensorflow": "def run():\n    for x in loader.to_tf_dataset().prefetch(2): first.set()",
    "keras": (
        "from fastclips.compat.image import ImageDataGenerator\n"
        "flow = ImageDataGenerator(rotation_range=20).flow(np.zeros((64, 64, 64, 3)), batch_size=8)\n"
        "def run():\n    while True: next(flow), first.set()"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "fails"), [*((kind, False) for kind in FRAMEWORKS), ("tensorflow", True)])
def test_a_script_ends_while_a_framework_loads(kind, fails):
    pytest.importorskip("tensorflow")
    check(START + FRAMEWORKS[kind] + END, kind, 1, fails, quiet=False)  # frameworks print at import


def test_an_exit_handler_of_the_user_runs_before_and_after_loaders_close():
    script = (
        "import atexit\natexit.register(lambda: print('after', loader.state_dict()['batch']))\n"
        + START
        + "atexit.register(lambda: print('before', len(next(iter(loader)))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "", "1", "0"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:2] == ["before 2", "after 1"]


def test_a_forked_child_that_exits_leaves_the_loader_to_its_parent():
    script = START + (
        "import os\nnext(iter(loader))\nchild = os.fork()\n"
        "if not child: sys.exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(next(iter(loader))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "", "1", "0"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3 2\n"), done.stderr
