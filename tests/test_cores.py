"""How many workers are the default: made-up control groups, affinities and launchers."""

import math
import os

import pytest

import fastclips as fc
from fastclips import cores
from fastclips.options import checked_workers

MOUNT = "31 23 0:28 / {point} rw,relatime shared:9 - {kind} {kind} {options}\n"


def made_up(tmp_path, groups, mounts, files):
    """Write a folder as /proc/self, and files of control groups."""
    process = tmp_path / "proc"
    process.mkdir()
    (process / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    text = "1 2 8:1 / / rw - ext4 /dev/sda1 rw\n"
    for kind, point, options in mounts:
        folder = str(tmp_path / "cg" / point).replace(" ", "\\040")
        text += MOUNT.format(kind=kind, point=folder, options=options)
    (process / "mountinfo").write_text(text)
    for name, content in files.items():
        path = tmp_path / "cg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return str(process)


SECOND = [("cgroup2", "", "rw,nsdelegate")]
FIRST = [("cgroup", "cpu,cpuacct", "rw,cpu,cpuacct"), ("cgroup", "memory", "rw,memory")]


def first(folder, quota, period=100_000):
    return {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quota"),
    [
        (["0::/"], SECOND, {"cpu.max": "400000 100000"}, 4),
        (["0::/"], SECOND, {}, math.inf),
        (["0::/a/b"], SECOND, {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        (["0::/a/b"], SECOND, {"a/b/cpu.max": "200000 50000", "a/cpu.max": "800000 100000"}, 4),
        (["0::/../.."], SECOND, {"cpu.max": "300000 100000"}, 3),
        (["0::/a"], [("cgroup2", "with space", "rw")], {"with space/a/cpu.max": "2000 1000"}, 2),
        (["0::/a"], SECOND, {"a/cpu.max": "nonsense"}, math.inf),
        (["4:cpu,cpuacct:/", "2:memory:/x"], FIRST, first("cpu,cpuacct", 250_000), 2.5),
        (["4:cpu,cpuacct:/"], FIRST, first("cpu,cpuacct", -1), math.inf),
        (["4:cpu,cpuacct:/"], FIRST, first("cpu,cpuacct", 100_000, 0), math.inf),
        (["4:cpuacct,cpu:/a"], FIRST, first("cpu,cpuacct/a", -1) | first("cpu,cpuacct", 700_000), 7),
        # a container of Docker: the group has the path of the host, and the mount shows the group itself
        (["4:cpu,cpuacct:/docker/1f", "0::/"], FIRST, first("cpu,cpuacct", 600_000), 6),
        # both versions are mounted, and the second has no cpu controller
        (
            ["1:cpu:/a", "0::/a"],
            [("cgroup", "cpu", "rw,cpu"), ("cgroup2", "unified", "rw")],
            first("cpu/a", 200_000) | {"unified/a/cgroup.procs": ""},
            2,
        ),
        (["3:cpuset:/a"], [("cgroup", "cpuset", "rw,cpuset")], first("cpuset/a", 100_000), math.inf),
    ],
)
def test_the_quota_of_control_groups(tmp_path, groups, mounts, files, quota):
    assert cores.cpu_quota(made_up(tmp_path, groups, mounts, files)) == quota


def test_a_mount_of_a_part_of_the_hierarchy(tmp_path):
    """Its root is the group at its mount point."""
    process = made_up(tmp_path, ["0::/pod/box/job"], SECOND, {"job/cpu.max": "500000 100000"})
    path = tmp_path / "proc/mountinfo"
    path.write_text(path.read_text().replace("0:28 / ", "0:28 /pod/box "))
    assert cores.cpu_quota(process) == 5


def test_without_proc_there_is_no_quota(tmp_path):
    assert cores.cpu_quota(str(tmp_path)) == math.inf


@pytest.fixture
def machine(monkeypatch):
    """Set the CPUs of this process and of its parent, a quota, and variables of a launcher."""
    for name in cores._LOCAL_SIZES:
        monkeypatch.delenv(name, raising=False)

    def set_(own, parent=None, quota=None, **variables):
        of = {0: own, os.getppid(): own if parent is None else parent}
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(of[pid])))
        monkeypatch.setattr(cores, "cpu_quota", lambda: math.inf if quota is None else quota)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_


@pytest.mark.parametrize(
    ("own", "parent", "quota", "variables", "alone", "shared"),
    [
        (64, None, None, {}, 64, 64),
        (64, None, 4, {}, 4, 4),
        (64, None, 2.9, {}, 2, 2),
        (64, None, 0.5, {}, 1, 1),
        (2, None, 16, {}, 2, 2),
        (64, None, None, {"LOCAL_WORLD_SIZE": "8"}, 64, 8),
        (64, None, 24, {"LOCAL_WORLD_SIZE": "8"}, 24, 3),
        (3, None, None, {"LOCAL_WORLD_SIZE": "8"}, 3, 1),
        (8, 64, None, {"LOCAL_WORLD_SIZE": "8"}, 8, 8),  # each rank has CPUs of its own
        (32, 64, None, {"LOCAL_WORLD_SIZE": "8"}, 32, 8),  # four ranks share a part of the CPUs
        (64, None, None, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 64, 16),
        (64, None, None, {"LOCAL_WORLD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "4"}, 64, 32),
    ],
)
def test_cores_of_a_process_and_of_a_rank(machine, own, parent, quota, variables, alone, shared):
    machine(own, parent, quota, **variables)
    assert (checked_workers(None), checked_workers(None, shared=True)) == (alone, shared)
    assert checked_workers(5, shared=True) == 5


@pytest.mark.parametrize("text", ["0", "-1", "two", "2.0"])
def test_a_launcher_that_counts_no_ranks(machine, text):
    machine(8, LOCAL_WORLD_SIZE=text)
    with pytest.raises(fc.OptionError, match=rf"LOCAL_WORLD_SIZE='{text}'.* or pass workers="):
        checked_workers(None, shared=True)
    assert checked_workers(3, shared=True) == 3


def test_the_default_never_exceeds_what_is_allowed(machine):
    machine(4096)
    assert checked_workers(None) == 1023


def test_a_loader_takes_the_part_of_its_rank_and_keeps_it(frames, machine):
    machine(4, LOCAL_WORLD_SIZE="2")
    with fc.ClipLoader(fc.open(frames), fc.Windows(4), batch_size=8) as loader:
        os.environ["LOCAL_WORLD_SIZE"] = "4"
        assert loader.workers == 2
        assert fc.ClipLoader(fc.open(frames), fc.Windows(4), batch_size=8).workers == 1
