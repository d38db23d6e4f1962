"""The one launcher of processes, by functions that a fresh interpreter finds in this file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import alive, run_python, wait_until

from fastclips.errors import EngineError
from fastclips.processes import AnsweringProcess, Process, answer, cause_of_death

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])


def add(load, answers):
    answer(load().__add__, answers)


def read_sizes(load, answers):
    factor = load()
    answer(lambda path: factor * Path(path).stat().st_size, answers)


def explore(load, answers):
    sys.stdout.write("what a process prints is no answer\n")
    facts = {
        "path": sys.path,
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "value": load(),
    }
    answer(facts.__getitem__, answers)


def fail(load, _):
    sys.exit(load())


def sleep(load):
    if ready := load():
        Path(ready).touch()
    signal.pause()


def test_answers_come_in_order():
    process = AnsweringProcess("test_processes:add", 40)
    for number in range(100):
        process.send(number)
    assert [process.take() for _ in range(100)] == list(range(40, 140))
    process.stop()
    assert not alive(process.pid)


def test_an_error_is_an_answer_and_the_process_goes_on(tmp_path):
    (tmp_path / "there").write_bytes(b"123")
    process = AnsweringProcess("test_processes:read_sizes", 2)
    process.send(str(tmp_path / "absent"))
    process.send(str(tmp_path / "there"))
    with pytest.raises(FileNotFoundError):
        process.take()
    assert process.take() == 6
    process.stop()


def test_a_process_has_the_callers_path_and_session_but_a_group_of_its_own(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    process = AnsweringProcess("test_processes:explore", b"x" * 2**20)
    for name in ("path", "session", "group", "threads", "value"):
        process.send(name)
    expected = [[*sys.path[:-1], str(tmp_path)], os.getsid(0), process.pid, "1", b"x" * 2**20]
    assert [process.take() for _ in range(5)] == expected
    process.stop()
    assert capfd.readouterr() == ("", "what a process prints is no answer\n")


def test_a_process_that_ends_says_how():
    process = AnsweringProcess("test_processes:fail", 3)
    with pytest.raises(EOFError):
        process.take()
    assert process.cause_of_death() == "with exit code 3"
    process.send("nobody reads this")
    process.stop()
    assert cause_of_death(-signal.SIGSEGV) == "by SIGSEGV"
    assert cause_of_death(-signal.SIGKILL).startswith("by SIGKILL (out of memory?")
    assert cause_of_death(-40) == "by signal 40"


def test_a_process_that_cannot_be_started_leaves_no_descriptor(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(EngineError, match=r"cannot start a worker process: .*'/nowhere/python'"):
        AnsweringProcess("test_processes:add", 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_forked_child_ends_no_process_of_its_parent():
    process = Process("test_processes:sleep", None)
    child = os.fork()
    if child == 0:
        process.stop(5.0)
        os._exit(0)
    os.waitpid(child, 0)
    assert alive(process.pid)
    process.stop()
    assert not alive(process.pid)


@pytest.mark.parametrize("bound", [True, False])
def test_only_a_bound_process_dies_with_its_parent(bound, tmp_path):
    code = """
import sys
from fastclips.processes import Process
print(Process("test_processes:sleep", sys.argv[1], bound=bool(int(sys.argv[2]))).pid, flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "ready", str(int(bound))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=HERE,
    )
    with parent:
        pid = int(parent.stdout.readline())
        wait_until((tmp_path / "ready").exists)
        parent.kill()
    if bound:
        wait_until(lambda: not alive(pid))
    else:
        assert alive(pid)
        os.kill(pid, signal.SIGKILL)


def test_a_parent_that_dies_at_once_leaves_nothing():
    code = """
import os
from fastclips.processes import Process
print(Process("test_processes:sleep", None).pid, flush=True)
os._exit(0)
"""
    pid = int(run_python(code))
    wait_until(lambda: not alive(pid))
