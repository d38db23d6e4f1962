"""The folder into which `fastclips.unpack` writes: resumable after any end.

While files are written, it holds ``.unpacking`` alone::

    lock       held by the process that unpacks
    made       digest of the data; a run of other data does not resume
    files/     everything that is written
    *.part     a file that a process is writing; once complete, it is renamed into files/
    done       a line of JSON for each task whose files are complete, in order
    moving     exists once all files are complete

At the end, what lies in ``files/`` is moved to its place by renaming, the list of videos last, and
``.unpacking`` is removed. So no file has its final name before it and all others are complete.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from fastclips.data.tars import UNPACKING
from fastclips.errors import OptionError, why_failed
from fastclips.packing.folder_lock import lock_folder
from fastclips.packing.frame_files import FILES, FOLDER, check_free, make_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Self

__all__ = ["TargetFolder"]

_LOG = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class TargetFolder:
    """A folder that is being filled; a context manager.

    Parameters
    ----------
    path : Path
        The folder, absolute.
    made : str
        Digest of the data.

    Attributes
    ----------
    done : int
        Number of tasks whose files are complete.
    begun : bool
        Whether an earlier run may have written some of the files.
    work : str
        Path of ``.unpacking``.

    Raises
    ------
    OptionError
        It is a file, a link, or has other content; it cannot be written to, or another process writes into
        it.
    """

    def __init__(self, path: Path, made: str) -> None:
        self._path, self._work = path, path / UNPACKING
        self.work = str(self._work)
        self.done = 0
        self._log = self._top = -1
        self._is_ours = self.begun = False
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise OptionError(f"dst={str(path)!r}: is a file or a link; give a new folder")
        if self._work.is_symlink() or (path.exists() and not self._work.exists() and any(path.iterdir())):
            raise OptionError(f"dst={str(path)!r}: is not empty; give a new folder")
        self._lock = lock_folder(self._work, path, "unpacks")
        try:
            self._prepare(made)
        except OSError as error:
            self.close()
            raise OptionError(f"dst={str(path)!r}: cannot be written to ({why_failed(error)})") from error
        except BaseException:
            self.close()
            raise

    def _prepare(self, made: str) -> None:
        self._top = os.open(self._path, FOLDER)
        self._is_moving = (self._work / "moving").exists()
        others = [entry.name for entry in self._path.iterdir() if entry.name != UNPACKING]
        if others and not self._is_moving:
            raise OptionError(
                f"dst={str(self._path)!r}: has {others[0]!r} beside an unfinished run; remove it, or give a "
                "new folder"
            )
        file = self._work / "made"
        known = file.read_text() if file.exists() else ""
        with make_folder(self._top, UNPACKING) as work:
            self._log = os.open("done", _LOG, 0o666, dir_fd=work)
            count, end = _count_lines(self._log)
            if count and known != made:
                raise OptionError(
                    f"dst={str(self._path)!r}: has the beginning of the files of other data; delete it, or "
                    "give another folder"
                )
            os.ftruncate(self._log, end)
            os.lseek(self._log, end, os.SEEK_SET)
            self.done = count
            self.begun = known == made
            if not self.begun:
                shutil.rmtree(self._work / FILES, ignore_errors=True)
                write_file(work, work, "made", made.encode(), replace=True)
            with make_folder(work, FILES):
                pass
        self._is_ours = True

    def add(self, done: Any) -> None:  # noqa: ANN401 - as JSON can hold it
        """Note that a task's files are complete."""
        data = f"{json.dumps(done)}\n".encode()
        while data:
            data = data[os.write(self._log, data) :]
        self.done += 1

    def results(self) -> Iterator[Any]:
        """Yield the results of all tasks that are done, as JSON has them."""
        with (self._work / "done").open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def finish(self, files: Mapping[str, bytes]) -> None:
        """Write the last files, by their paths, and move all to their places, these last."""
        with make_folder(self._top, UNPACKING) as work, make_folder(work, FILES) as folder:
            if not self._is_moving:
                for path, content in files.items():
                    above, _, name = path.rpartition("/")
                    with make_folder(folder, above) as below:
                        write_file(work, below, name, content, replace=True)
                write_file(work, work, "moving", b"", replace=True)
            last = ["", *dict.fromkeys(path.partition("/")[0] for path in files)]  # in this order
            names = os.listdir(folder)  # noqa: PTH208 - of a descriptor
            for name in sorted(names, key=lambda name: last.index(name) if name in last else 0):
                _move(folder, self._top, name)
        shutil.rmtree(self._work)

    def discard(self) -> None:
        """Have all that was done removed when the folder is closed."""
        self.done = 0

    def close(self) -> None:
        """Unlock the folder; remove what is left of a run that has done nothing."""
        for fd in (self._log, self._top):
            if fd >= 0:
                os.close(fd)
        if self._is_ours and not self.done:
            shutil.rmtree(self._work, ignore_errors=True)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _move(source: int, target: int, name: str) -> None:
    """Move a file or folder from one folder to another, in which it must not exist."""
    check_free(target, name)
    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


def _count_lines(fd: int) -> tuple[int, int]:
    """Return the number of complete lines of a file, and where the last one ends."""
    count = end = at = 0
    while part := os.read(fd, 2**20):
        count += part.count(b"\n")
        end = at + part.rfind(b"\n") + 1 if b"\n" in part else end
        at += len(part)
    return count, end
