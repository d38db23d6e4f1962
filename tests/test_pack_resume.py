"""A pack that is interrupted goes on; what is half-written is never read; what cannot be written is said."""

import errno
import fcntl
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from helpers import alive, make_frames, make_masks, run_python, wait_until
from packing import check_same, content, count_records, packed

import fastclips as fc
from fastclips.data.columns import Columns
from fastclips.errors import DataError, EngineError, OptionError
from fastclips.packing import parts, shards

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Forty videos of 8 frames."""
    return make_frames(tmp_path_factory.mktemp("many"), videos=40, frames=8)


@pytest.fixture(scope="module")
def whole(many, tmp_path_factory):
    """What a run without interruption makes of them."""
    folder = tmp_path_factory.mktemp("whole") / "pack"
    fc.pack(fc.open(many), folder, shard_size="40KiB", workers=0)
    assert len(content(folder)) > 5
    return content(folder)


def start(source, target, *options):
    code = "import sys; from fastclips.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "pack", source, target, "--shard-size", "40KiB", *options]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_moments(many, whole, tmp_path, workers):
    draws = random.Random(workers)
    folder = tmp_path / "pack"
    kills = done = 0
    while not (folder / "pack.index").exists():
        process = start(many, folder, "--workers", workers)
        while not (folder / ".packing" / "made").exists() and process.poll() is None:
            time.sleep(0.002)
        enough = done + draws.randrange(2) if kills < 5 else len(whole)
        while count_records(folder) < enough and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draws.uniform(0.0, 0.02) if kills else 0.0)
        if kills >= 5:
            process.wait(60)
        process.kill()
        process.wait()
        kills += 1
        for path in folder.glob("*.tar"):  # a tar that is there is whole
            assert path.read_bytes() == whole[path.name]
        if not (folder / "pack.index").exists():
            with pytest.raises(DataError, match=r"is an unfinished pack|no frames in|does not exist"):
                fc.open(folder)
        now = count_records(folder)
        assert now >= done or (folder / "pack.index").exists()
        done = now
    assert fc.pack(many, folder, shard_size="40KiB", workers=0).resumed
    assert content(folder) == whole
    assert kills > 1


def test_workers_end_with_whoever_started_them(many, tmp_path):
    process = start(many, tmp_path / "pack", "--workers", "2")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 2)
    pids = list(map(int, children.read_text().split()))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, pids)))


@pytest.fixture
def orphans(many, tmp_path):
    """Workers of a run that was killed while they started: stopped there, with tasks in their pipes."""
    process = start(many, tmp_path / "pack", "--workers", "2")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def started():
        pids = [int(pid) for pid in children.read_text().split()]
        pids = [pid for pid in pids if b"packing.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in pids:  # not before exec, which their parent waits for
            os.kill(pid, signal.SIGSTOP)
        return pids

    wait_until(lambda: len(started()) == 2)
    pids = started()
    wait_until(lambda: all(map(_has_tasks, pids)))
    process.kill()
    process.wait()
    return pids


def let_end(pids):
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not any(map(alive, pids)))


def test_workers_that_outlive_it_do_nothing(orphans, tmp_path):
    let_end(orphans)
    assert not list(tmp_path.rglob("*.part"))


def test_workers_that_outlive_it_change_nothing(orphans, many, whole, tmp_path, monkeypatch):
    add = shards.Shards.add

    def slow(self, part):
        if part.task.number == 1:
            let_end(orphans)
            (own,) = (tmp_path / "pack" / ".packing").glob("parts-*")
            assert [path.name for path in own.iterdir()] == ["1.part"]
        add(self, part)

    monkeypatch.setattr(shards.Shards, "add", slow)
    fc.pack(fc.open(many), tmp_path / "pack", shard_size="40KiB", workers=0)
    assert content(tmp_path / "pack") == whole


def _has_tasks(pid):
    """Whether something waits on a process's standard input."""
    with Path(f"/proc/{pid}/fd/0").open("rb", buffering=0) as pipe:
        return bool(select.select([pipe], [], [], 0)[0])


def test_killed_at_every_sync(many, tmp_path):
    """Whatever it was writing then is written again, and nothing stays beside it."""
    code = """
import os, signal, sys
import fastclips as fc

many, target = fc.open(sys.argv[1]), sys.argv[2]
many = many.select(many.index.names[:16])

def killed(syncs):
    def sync(fd):
        nonlocal syncs
        syncs -= 1
        if not syncs:
            os.kill(os.getpid(), signal.SIGKILL)
    os.fsync = sync

status = syncs = 1
while status:
    folder = f"{target}/{syncs:03d}"
    if os.fork() == 0:
        killed(syncs)
        fc.pack(many, folder, shard_size="80KiB", workers=0)
        os._exit(0)
    _, status = os.wait()
    fc.pack(many, folder, shard_size="80KiB", workers=0)
    syncs += 1
"""
    run_python(code, many, tmp_path)
    *others, whole = (content(folder) for folder in sorted(tmp_path.iterdir()))
    assert len(others) > 4 * (len(whole) - 1)
    assert all(other == whole for other in others)


def test_an_interrupt_leaves_what_is_complete(many, whole, tmp_path):
    folder = tmp_path / "pack"
    process = start(many, folder, "--workers", "1")
    wait_until(lambda: (folder / "00001.tar").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    process.wait()
    assert process.returncode in (0, 130)
    if process.returncode:
        assert not list((folder / ".packing").glob("parts-*"))
        assert not (folder / ".packing" / "shard").exists()
    done, _ = packed(fc.open(many), folder, shard_size="40KiB")
    assert done.resumed
    assert "shards of an earlier run are kept" in str(done)
    assert content(folder) == whole


def cut_short(monkeypatch, after):
    """Let so many parts be added, then fail."""
    add, count = shards.Shards.add, 0

    def some(self, part):
        nonlocal count
        count += 1
        if count > after:
            raise KeyboardInterrupt
        add(self, part)

    monkeypatch.setattr(shards.Shards, "add", some)


def interrupted(many, folder, monkeypatch, after=20, **options):
    with monkeypatch.context() as patch:
        cut_short(patch, after)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(fc.open(many), folder, shard_size="40KiB", workers=0, **options)


@pytest.mark.parametrize("after", [0, 1, 5, 17, 39])
def test_going_on_from_any_video(many, whole, tmp_path, monkeypatch, after):
    interrupted(many, tmp_path / "pack", monkeypatch, after)
    fc.pack(fc.open(many), tmp_path / "pack", shard_size="40KiB", workers=0)
    assert content(tmp_path / "pack") == whole


@pytest.mark.parametrize(
    "harm", ["no tar", "short tar", "no record", "bad record", "rests", "the first record"]
)
def test_what_was_harmed_is_made_again(many, whole, tmp_path, monkeypatch, harm):
    folder = tmp_path / "pack"
    interrupted(many, folder, monkeypatch)
    record = folder / ".packing" / "00001.record"
    assert record.exists()
    match harm:
        case "no tar":
            (folder / "00001.tar").unlink()
        case "short tar":
            os.truncate(folder / "00001.tar", 1000)
        case "no record":
            record.unlink()
        case "bad record":
            record.write_bytes(record.read_bytes()[:-1] + b"!")
        case "rests":
            (folder / ".packing" / "parts-x").mkdir()
            for name in ("parts-x/7.part", "shard"):
                (folder / ".packing" / name).write_bytes(b"rest")
        case "the first record":
            (folder / ".packing" / "00000.record").unlink()
    fc.pack(fc.open(many), folder, shard_size="40KiB", workers=0)
    assert content(folder) == whole


def test_a_pack_that_is_there(many, whole, tmp_path):
    dataset = fc.open(many)
    first = fc.pack(dataset, tmp_path / "pack", shard_size="40KiB", workers=0)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()}
    again = fc.pack(dataset, tmp_path / "pack", shard_size="40KiB", workers=0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()} == times
    assert (again.videos, again.frames, again.bytes_after) == (first.videos, first.frames, first.bytes_after)
    assert again.resumed
    with pytest.raises(
        OptionError, match="is a pack of other data or with other options; delete it, or give"
    ):
        fc.pack(dataset, tmp_path / "pack", restart=1, workers=0)
    (tmp_path / "pack" / ".packing").mkdir()  # killed after the index, before its traces were removed
    fc.pack(dataset, tmp_path / "pack", shard_size="40KiB", workers=0)
    assert content(tmp_path / "pack") == whole
    assert not (tmp_path / "pack" / ".packing").exists()


@pytest.mark.parametrize(
    "options",
    [{"restart": 1}, {"quality": 50}, {"shard_size": "30KiB"}, {"skip_damaged": True}, {"codec": "raw"}],
)
def test_other_options_do_not_go_on(many, tmp_path, monkeypatch, options):
    interrupted(many, tmp_path / "pack", monkeypatch)
    with pytest.raises(OptionError, match="the beginning of a pack of other data or with other options"):
        fc.pack(fc.open(many), tmp_path / "pack", **{"shard_size": "40KiB", "workers": 0, **options})


def test_other_data_do_not_go_on(many, tmp_path, monkeypatch):
    interrupted(many, tmp_path / "pack", monkeypatch)
    for other in (fc.open(many).split(0.1)[0], fc.open(many, labels=None)):
        with pytest.raises(OptionError, match="other data"):
            fc.pack(other, tmp_path / "pack", shard_size="40KiB", workers=0)
    shutil.rmtree(tmp_path / "pack")
    interrupted(many, tmp_path / "pack", monkeypatch, after=0)  # nothing complete: nothing is lost
    fc.pack(fc.open(many, labels=None), tmp_path / "pack", workers=0)


def test_folders_that_are_something_else(many, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_bytes(b"x")
    dataset = fc.open(many)
    with pytest.raises(OptionError, match="is a file; give a folder"):
        fc.pack(dataset, tmp_path / "file", workers=0)
    with pytest.raises(OptionError, match="is not empty; give a new folder"):
        fc.pack(dataset, tmp_path / "full", workers=0)
    assert list((tmp_path / "full").iterdir()) == [tmp_path / "full" / "thesis.txt"]
    with pytest.raises(OptionError, match="cannot be written to"):
        fc.pack(dataset, tmp_path / "file" / "below", workers=0)


def test_one_process_at_a_time(many, tmp_path):
    folder = tmp_path / "pack"
    with shards.Shards(folder, "other", streams=1, shard_bytes=1, drop=False):
        with pytest.raises(OptionError, match="another process packs into"):
            fc.pack(fc.open(many), folder, workers=0)
        assert (folder / ".packing" / "made").read_text() == "other"
    fc.pack(fc.open(many), folder, workers=0)


# When the disk is full


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["a part", "a shard", "the end of a shard", "a record", "the index"])
def test_a_full_disk(many, whole, tmp_path, monkeypatch, place):
    folder = tmp_path / "pack"
    dataset = fc.open(many)
    calls = 0

    def later(function, after):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            return full() if calls > after else function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        match place:
            case "a part":
                patch.setattr(parts.PartMaker, "_add", later(parts.PartMaker._add, 100))
            case "a shard":
                patch.setattr(os, "sendfile", later(os.sendfile, 20))
            case "the end of a shard":
                patch.setattr(shards, "_write_all", later(shards._write_all, 1))
            case "a record":
                patch.setattr(Columns, "save", later(Columns.save, 1))
            case "the index":
                patch.setattr(shards.Shards, "save", full)
        with pytest.raises(
            DataError, match=r"cannot write the pack into .*: No space left on device; .*: make room"
        ):
            fc.pack(dataset, folder, shard_size="40KiB", workers=0)
    assert not (folder / "pack.index").exists()
    assert not list((folder / ".packing").glob("parts-*"))
    assert not (folder / ".packing" / "shard").exists()
    done, pack = packed(dataset, folder, shard_size="40KiB")
    assert done.resumed
    assert content(folder) == whole
    check_same(dataset, pack)


def test_a_full_disk_in_a_worker(many, tmp_path, monkeypatch):
    """The worker's error comes to the caller, with its number."""
    make = shards.tempfile.mkdtemp

    def blocked(**options):
        folder = make(**options)
        (Path(folder) / "3.part").mkdir()  # cannot be written as a file
        return folder

    monkeypatch.setattr(shards.tempfile, "mkdtemp", blocked)
    with pytest.raises(
        DataError, match=r"cannot write .*: Is a directory \(.*3.part\); .*: correct this and pack"
    ):
        fc.pack(fc.open(many), tmp_path / "pack", workers=2)


def test_a_part_that_lost_its_end(many, tmp_path, monkeypatch):
    make = parts.PartMaker.make

    def cut(self, task):
        part = make(self, task)
        os.truncate(part.path, part.size - (task.number == 3))
        return part

    monkeypatch.setattr(parts.PartMaker, "make", cut)
    with pytest.raises(
        DataError, match=r"cannot write .*: the file has \d+ of \d+ bytes \(.*3.part\); .*: correct"
    ):
        fc.pack(fc.open(many), tmp_path / "pack", workers=0)


def test_a_worker_that_dies(many, tmp_path, monkeypatch):
    give = fc.processes._Worker.give

    def deadly(self, numbered):
        give(self, numbered)
        if numbered[0] == 5:
            os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(fc.processes._Worker, "give", deadly)
    with pytest.raises(EngineError, match=r"died by SIGKILL \(out of .*try fewer workers\), at 'class_"):
        fc.pack(fc.open(many), tmp_path / "pack", shard_size="40KiB", workers=2)
    monkeypatch.undo()
    fc.pack(fc.open(many), tmp_path / "pack", shard_size="40KiB", workers=0)


def test_masks_too(many, tmp_path, tmp_path_factory, monkeypatch):
    masks = make_masks(tmp_path_factory.mktemp("masks"), many)
    dataset = fc.open({"image": many, "mask": masks})
    fc.pack(dataset, tmp_path / "whole", shard_size="60KiB", workers=0)
    with monkeypatch.context() as patch:
        cut_short(patch, 19)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(dataset, tmp_path / "pack", shard_size="60KiB", workers=0)
    fc.pack(dataset, tmp_path / "pack", shard_size="60KiB", workers=0)
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


# Whether it is the same that is packed


def test_other_masks_are_other_data(many, tmp_path, monkeypatch):
    """Though images, names and numbers are the same: else half a pack would have the masks of each."""
    roots = [make_masks(tmp_path / name, many) for name in ("one", "other")]
    with monkeypatch.context() as patch:
        cut_short(patch, 20)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(fc.open({"image": many, "mask": roots[0]}), tmp_path / "pack", shard_size=1, workers=0)
    with pytest.raises(OptionError, match="other data"):
        fc.pack(fc.open({"image": many, "mask": roots[1]}), tmp_path / "pack", shard_size=1, workers=0)


def test_frames_that_were_made_anew_are_other_data(tmp_path, monkeypatch):
    source = make_frames(tmp_path / "f", videos=4, frames=2)
    with monkeypatch.context() as patch:
        cut_short(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(fc.open(source), tmp_path / "pack", shard_size=1, workers=0)
    make_frames(source, videos=4, frames=2, height=64)
    with pytest.raises(OptionError, match="other data"):
        fc.pack(fc.open(source), tmp_path / "pack", shard_size=1, workers=0)


def test_a_pack_that_lost_a_shard_is_not_done(many, tmp_path):
    dataset, folder = fc.open(many), tmp_path / "pack"
    fc.pack(dataset, folder, shard_size="40KiB", workers=0)
    os.truncate(folder / "00002.tar", 5000)
    with pytest.raises(DataError, match=r"00002.tar' has 5000 bytes, but .*restore it, or delete '.*pack'"):
        fc.pack(dataset, folder, shard_size="40KiB", workers=0)
    (folder / "00001.tar").unlink()
    with pytest.raises(DataError, match=r"00001.tar': No such file or directory; restore it, or delete"):
        fc.pack(dataset, folder, shard_size="40KiB", workers=0)


def test_after_nothing_could_be_packed_frames_are_looked_at_again(many, tmp_path):
    path = tmp_path / "f" / "a" / "b"
    path.mkdir(parents=True)
    intact = next(many.rglob("*.jpg")).read_bytes()
    (path / "1.jpg").write_bytes(intact)
    (path / "2.jpg").write_bytes(b"x")
    dataset = fc.open(tmp_path / "f")
    with pytest.raises(DataError, match="no video could be packed"):
        fc.pack(dataset, tmp_path / "pack", skip_damaged=True, workers=0)
    assert content(tmp_path / "pack") == {}
    (path / "2.jpg").write_bytes(intact)
    done = fc.pack(dataset, tmp_path / "pack", skip_damaged=True, workers=0)
    assert (done.frames, done.problems, done.resumed) == (2, [], False)


@pytest.mark.parametrize("options", [{}, {"restart": 1}])
def test_a_pack_that_another_process_has_just_finished_stays(many, tmp_path, monkeypatch, options):
    """Whenever that is between a look at the folder and the lock: it is done, or it is refused."""
    folder = tmp_path / "pack"
    look, lock = shards._is_made, fcntl.flock

    def other():
        monkeypatch.undo()
        fc.pack(fc.open(many), folder, shard_size="40KiB", workers=0)

    def look_before(*arguments):
        found = look(*arguments)
        other()
        return found

    def lock_after(*arguments):
        other()
        lock(*arguments)

    waits = (
        ("fastclips.packing.shards._is_made", look_before, bool(options)),
        ("fcntl.flock", lock_after, True),
    )
    for name, slow, refused in waits:
        shutil.rmtree(folder, ignore_errors=True)
        monkeypatch.setattr(name, slow)
        run = partial(fc.pack, fc.open(many), folder, shard_size="40KiB", workers=0, **options)
        if refused:
            with pytest.raises(OptionError, match=r"of other data or with other|another process packs into"):
                run()
        else:
            assert run().resumed
        assert fc.open(folder).storage.read("image", 0, 0)
        times = {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
        fc.pack(fc.open(many), folder, shard_size="40KiB", workers=0)
        assert {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")} == times
