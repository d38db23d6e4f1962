"""Fresh interpreters that work for the caller: the pool's nursery, packing workers, `bench`'s bare loops.

::

    Process(target, value, numbers)  --python -c-->  run  -->  target(load, *numbers)
        value   a memfd with the pickled value; columns are shared by descriptor   ->  load()
        send    length and pickle, on standard input                               ->  receive(0)
        take    length and pickle, from a pipe (`AnsweringProcess`)                <-  answer(function, fd)
    in_order(target, value, tasks, workers)    several such processes; answers in the order of the tasks

A process is not forked from the caller, which may have threads, and not spawned by `multiprocessing`, which
would import the caller's script again. Every process has:

- the caller's `sys.path` instead of the current folder, so it imports the modules that the caller imports;
- a process group of its own, so an interrupt at the terminal reaches the caller alone. The session is the
  caller's, because schedulers may share out the machine by session;
- standard error as its standard output, so prints do not mix with the caller's output;
- libraries that start no threads.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
from collections import deque
from contextlib import suppress
from itertools import chain
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from fastclips._native import die_with_parent
from fastclips.data.columns import dump, load
from fastclips.errors import EngineError, FastclipsError, why_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "AnsweringProcess",
    "Process",
    "answer",
    "cause_of_death",
    "fill_standard_streams",
    "in_order",
    "receive",
    "run",
    "send",
]

_BOOT = (
    "import os, sys; os.setpgrp(); argv = sys.argv[1:]; sys.path[:] = argv[2:]; "
    "from fastclips.processes import run; run(*argv[:2])"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # a process that forks needs it
_LENGTH = struct.Struct("<Q")
_STANDARD = 2  # the last number of a standard stream
_END_S = 5.0  # how long the end of a process may take
_TASKS_EACH = 2  # so that a process never waits for the caller, which uses the answers meanwhile
_AHEAD = 8  # tasks per process that may be given out or done before the oldest task is done


class Process:
    """A fresh interpreter that calls a function of this package.

    `subprocess` guards its view of a child by a lock that an interrupt may leave locked for good. A pidfd
    needs no lock, and every wait on it is bounded.

    Parameters
    ----------
    target : str
        ``"module:function"``, called as ``function(load, *numbers)``; ``load()`` returns `value`.
    value : object
        Pickled by `fastclips.data.columns.dump`.
    numbers : sequence of int
        Further arguments of the function.
    fds : sequence of int
        Descriptors that the process inherits under the same numbers.
    bound : bool
        Whether the kernel kills the process when the thread that started it ends.

    Raises
    ------
    EngineError
        If the process cannot be started.
    """

    def __init__(
        self,
        target: str,
        value: object,
        numbers: Sequence[int] = (),
        *,
        fds: Sequence[int] = (),
        bound: bool = True,
    ) -> None:
        try:
            fill_standard_streams()
            self._process = _start(target, value, list(numbers), fds, parent=os.getpid() if bound else 0)
            self.pid = self._process.pid
            self._pidfd = _pidfd_of(self._process)
        except OSError as error:
            of = f" ({error.filename!r})" if error.filename else ""
            raise EngineError(f"cannot start a worker process: {why_failed(error)}{of}") from error
        self._owner = os.getpid()
        self._reaped = False

    def send(self, value: object) -> None:
        """Write a value to the process; nothing happens if it has ended."""
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        with suppress(BrokenPipeError):
            send(self._process.stdin.fileno(), value)

    def ended(self, seconds: float) -> bool:
        """Return whether the process has ended, after waiting for at most `seconds`."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(int(seconds * 1000)))

    def cause_of_death(self) -> str:
        """Return how a process ended that has closed its pipe, such as "by SIGKILL"."""
        if not self.ended(_END_S):
            return "without closing down"
        try:
            _, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return "for an unknown reason (SIGCHLD is ignored)"
        self._reaped = True
        return cause_of_death(os.waitstatus_to_exitcode(status))

    def stop(self, grace_s: float = 0.0) -> None:
        """End the process and reap it; call this once.

        Parameters
        ----------
        grace_s : float
            If not 0, the process is sent a word, and killed only if it has not ended after so many seconds.
        """
        if os.getpid() != self._owner:
            return  # a forked child of the caller ends; the process is not its own
        if not self._reaped:
            if grace_s:
                with suppress(OSError):
                    self.send("stop")
            if not (grace_s and self.ended(grace_s)):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                self.ended(_END_S)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        self._process.returncode = 0  # reaped here: subprocess has nothing left to do
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr] # it is a pipe
        os.close(self._pidfd)


class AnsweringProcess(Process):
    """A process that answers every value it is sent, in order.

    Parameters
    ----------
    target : str
        As of `Process`; called as ``function(load, answers)``, it must call `answer`.
    value : object
        As of `Process`.

    Attributes
    ----------
    answers : int
        Descriptor that can be read when `take` need not wait.
    """

    def __init__(self, target: str, value: object) -> None:
        try:
            fill_standard_streams()
            self.answers, theirs = os.pipe()
        except OSError as error:
            raise EngineError(f"cannot start a worker process: {why_failed(error)}") from error
        try:
            super().__init__(target, value, [theirs], fds=[theirs])
        except BaseException:
            os.close(self.answers)
            raise
        finally:
            os.close(theirs)

    def take(self) -> Any:  # noqa: ANN401 - whatever the function returned
        """Wait for the next answer and return it, or raise it if it is an error.

        Raises EOFError if the process has ended.
        """
        answered = receive(self.answers)
        if isinstance(answered, Exception):
            raise answered
        return answered

    def stop(self, grace_s: float = 0.0) -> None:
        """End the process and reap it; call this once."""
        os.close(self.answers)
        super().stop(grace_s)


def in_order(
    target: str,
    value: object,
    tasks: Iterable[Any],
    workers: int,
    *,
    doing: str,
    place: Callable[[Any], str],
) -> Iterator[Any]:
    """Do tasks in processes and yield their answers in the order of the tasks.

    Parameters
    ----------
    target, value
        As of `AnsweringProcess`.
    tasks : iterable
        In order.
    workers : int
        Processes, at least 1. They end with the iteration.
    doing : str
        What the processes do, in messages, such as ``"packing"``.
    place : callable
        Returns the name of a task's data, in messages.

    Raises
    ------
    EngineError
        A process died, or could not be started.
    """
    pool: list[_Worker] = []
    try:
        pool += (_Worker(AnsweringProcess(target, value), doing, place) for _ in range(workers))
        yield from _in_order(pool, enumerate(tasks))
    finally:
        for worker in pool:
            worker.process.stop()


def _in_order(pool: list[_Worker], tasks: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    given: deque[int] = deque()  # numbers of tasks whose answers were not yielded yet
    done: dict[int, Any] = {}
    poll = select.poll()
    by_fd = {worker.process.answers: worker for worker in pool}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while True:
        for worker in sorted(pool, key=lambda worker: len(worker.tasks)):
            while len(worker.tasks) < _TASKS_EACH and len(given) < _AHEAD * len(pool):
                numbered = next(tasks, None)
                if numbered is None:
                    break
                given.append(numbered[0])
                worker.give(numbered)
        if not given:
            return
        for fd, _ in poll.poll():
            number, result = by_fd[fd].take()
            done[number] = result
        while given and given[0] in done:
            yield done.pop(given.popleft())


class _Worker:
    """The caller's side of a process of `in_order`."""

    def __init__(self, process: AnsweringProcess, doing: str, place: Callable[[Any], str]) -> None:
        self.process = process
        self.tasks: deque[tuple[int, Any]] = deque()
        self._doing, self._place = doing, place

    def give(self, numbered: tuple[int, Any]) -> None:
        """Hand over a task."""
        self.tasks.append(numbered)
        self.process.send(numbered[1])

    def take(self) -> tuple[int, Any]:
        """Wait for the answer to the oldest task, and return it with the task's number."""
        try:
            result = self.process.take()
        except EOFError:
            at = f", at {self._place(self.tasks[0][1])!r}" if self.tasks else ""
            raise EngineError(
                f"a {self._doing} process died {self.process.cause_of_death()}{at}; what it printed is on "
                "standard error"
            ) from None
        number, _ = self.tasks.popleft()
        return number, result


def answer(function: Callable[[Any], object], answers: int) -> None:
    """Answer each value on standard input by a function, until either pipe is closed.

    An `OSError` or `FastclipsError` of the function is an answer too: `AnsweringProcess.take` raises it.
    """
    while True:
        try:
            value = receive(0)
        except EOFError:
            return
        try:
            result = function(value)
        except (OSError, FastclipsError) as error:
            result = error
        try:
            send(answers, result)
        except BrokenPipeError:
            return


def send(fd: int, value: object) -> None:
    """Write a value to a pipe."""
    data = pickle.dumps(value)
    data = _LENGTH.pack(len(data)) + data
    with memoryview(data) as left:
        done = 0
        while done < len(left):
            done += os.write(fd, left[done:])


def receive(fd: int) -> Any:  # noqa: ANN401 - whatever was sent
    """Return the next value from a pipe; raises EOFError if the other end is closed."""
    (length,) = _LENGTH.unpack(_read(fd, _LENGTH.size))
    return pickle.loads(_read(fd, length))  # noqa: S301 - our own process wrote it


def _read(fd: int, size: int) -> bytearray:
    data = bytearray()
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def cause_of_death(code: int) -> str:
    """Return an exit code in words, to follow "died" in a sentence."""
    if code >= 0:
        return f"with exit code {code}"
    hint = " (out of memory? see the kernel's log, or try fewer workers)" if -code == signal.SIGKILL else ""
    name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
    return f"by {name}{hint}"


def _start(
    target: str, value: object, numbers: list[int], fds: Sequence[int], *, parent: int
) -> subprocess.Popen[bytes]:
    value_fd = os.memfd_create("fastclips-value")
    low: list[int] = []  # copies of descriptors whose numbers are those of standard streams
    try:
        with os.fdopen(value_fd, "wb", closefd=False) as file:
            columns = [list(block.fds) for block in dump(value, file)]
        for fds_of in columns:
            for at, fd in enumerate(fds_of):
                if fd <= _STANDARD:
                    fds_of[at] = os.dup(fd)
                    low.append(fds_of[at])
        os.lseek(value_fd, 0, os.SEEK_SET)
        arguments = {"value": value_fd, "columns": columns, "numbers": numbers, "parent": parent}
        path = [entry or _current() for entry in sys.path if isinstance(entry, str)]
        return subprocess.Popen(
            [sys.executable, "-c", _BOOT, target, json.dumps(arguments), *path],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=2,
            pass_fds=(value_fd, *chain.from_iterable(columns), *fds),
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
        )
    finally:
        for fd in (value_fd, *low):
            os.close(fd)


def _pidfd_of(process: subprocess.Popen[bytes]) -> int:
    """Return a pidfd of a process; end the process if that fails."""
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        process.kill()
        process.communicate()
        raise


def _current() -> str:
    """Return the current folder, or the name of no folder if it has been deleted."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return os.devnull


def fill_standard_streams() -> None:
    """Open /dev/null in place of closed standard streams.

    A descriptor of ours with the number of a standard stream would be lost in a child.
    """
    fd = 0
    while fd <= _STANDARD:
        fd = os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(fd, True)
    os.close(fd)


def run(target: str, arguments: str) -> None:
    """Be the process that `Process` has started.

    Parameters
    ----------
    target : str
        ``"module:function"``.
    arguments : str
        JSON: the value's descriptor, those of its columns, the function's numbers and the parent's pid, 0 to
        outlive it.
    """
    given = json.loads(arguments)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # printing must not stop a background process group
    if given["parent"]:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != given["parent"]:
            return  # the parent died before this process could ask to die with it

    def load_value() -> Any:  # noqa: ANN401 - whatever was given
        with os.fdopen(given["value"], "rb") as file:
            value = load(file, given["columns"])
        for fd in chain.from_iterable(given["columns"]):
            os.close(fd)
        return value

    resolve_name(target)(load_value, *given["numbers"])
