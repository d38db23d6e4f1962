"""How many processes the CPU time of this one can keep busy.

Three things bound it: the CPUs on which it may run (affinity), the CPU time that its control group is given
(such as ``docker run --cpus=4``, which leaves all CPUs visible), and other ranks on the machine.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fastclips.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cpu_quota", "local_ranks", "usable_cores"]

_LOCAL_SIZES = (  # ranks on this machine, as launchers tell them
    "LOCAL_WORLD_SIZE",  # torchrun, accelerate
    "HOROVOD_LOCAL_SIZE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",  # MPICH, Intel MPI
)


def usable_cores(*, shared: bool = False) -> int:
    """Return how many processes can run at once, at least 1.

    Parameters
    ----------
    shared : bool
        Whether to take this rank's part, where a launcher says how many ranks are on the machine.

    Returns
    -------
    int
        The least of CPUs and quota, rounded down. The part of a rank is that of the CPUs on which the process
        may run that started the ranks: a launcher may have given each rank CPUs of its own.

    Raises
    ------
    OptionError
        If the variable of the launcher is no positive number.
    """
    own = os.sched_getaffinity(0)
    ranks = local_ranks() if shared else 1
    all_of_them = own
    if ranks > 1:
        with suppress(OSError):  # it has ended
            all_of_them = own | os.sched_getaffinity(os.getppid())
    return max(1, int(min(len(own), len(all_of_them) // ranks, cpu_quota() / ranks)))


def local_ranks() -> int:
    """Return the number of ranks on this machine, as the launcher tells it; 1 if none does.

    Raises
    ------
    OptionError
        If the launcher's variable is no positive number.
    """
    for name in _LOCAL_SIZES:
        if text := os.environ.get(name):
            if not text.isdecimal() or not int(text):
                raise OptionError(
                    f"{name}={text!r}: must be the number of ranks on this machine, from 1; correct it, "
                    "unset it, or pass workers="
                )
            return int(text)
    return 1


def cpu_quota(process: str = "/proc/self") -> float:
    """Return the CPUs' worth of time that a process's control groups are given, of version 1 or 2.

    Parameters
    ----------
    process : str
        Folder of the process below /proc.

    Returns
    -------
    float
        The least quota of its group and the groups above; infinite if there is none.
    """
    return min(
        (
            quota
            for mount, group, second in _groups(Path(process))
            for folder in _and_above(mount, group)
            if (quota := _quota(folder, second=second)) is not None
        ),
        default=math.inf,
    )


def _groups(process: Path) -> Iterator[tuple[Path, PurePosixPath, bool]]:
    """Yield (mount point, group, whether of version 2) of the hierarchies that may limit CPU time."""
    try:
        lines = (process / "cgroup").read_text("utf-8", "surrogateescape").splitlines()
        mounts = (process / "mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # no /proc, or a kernel without control groups
        return
    groups: dict[bool, PurePosixPath] = {}
    for line in lines:  # hierarchy:controllers:group
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" or "cpu" in controllers.split(","):
            groups[number == "0"] = PurePosixPath(group)
    for line in mounts:  # id parent device root point options ... - type source options
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        fields = before.split(" ")
        second = kind == "cgroup2"
        if kind not in ("cgroup", "cgroup2") or second not in groups or len(fields) < 5:  # noqa: PLR2004 - to the point
            continue
        if second or "cpu" in options.rpartition(" ")[2].split(","):
            root, point = map(_unescaped, fields[3:5])
            seen = groups[second]
            if seen.is_relative_to(root):  # a container sees a part of the hierarchy
                seen = PurePosixPath("/") / seen.relative_to(root)
            yield Path(point), seen, second


def _and_above(mount: Path, group: PurePosixPath) -> Iterator[Path]:
    """Yield the folder of a group and of those above, up to the mount point."""
    parts = [part for part in group.parts if part not in ("/", "..")]
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _quota(folder: Path, *, second: bool) -> float | None:
    """Return the quota of one group, in CPUs, or None if it has none."""
    try:
        if second:
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text("ascii")
            period = (folder / "cpu.cfs_period_us").read_text("ascii")
        limit = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none here, or "max"
        return None
    return limit if limit > 0 else None  # version 1 writes -1 for none


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
