"""Fetchers read the bytes of a remote pack ahead: batches are those of the local pack, whoever dies."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import alive, make_frames, make_masks, wait_until, write_jpeg
from object_server import ObjectServer
from storages import FarPack

import fastclips as fc
from fastclips.data.series import SeriesStorage
from fastclips.engine.arena import COUNTERS
from fastclips.engine.fetcher import ComingFrames
from fastclips.serving.stats import Stats

SIZE = 8


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A pack with masks, of which three are missing."""
    top = tmp_path_factory.mktemp("ahead")
    frames = make_frames(top / "frames", videos=6, frames=24)
    masks = make_masks(top / "masks", frames)
    for number in (1, 2, 13):
        (masks / "class_1" / "video_3" / f"frame_{number:05d}.png").unlink()
    fc.pack(fc.open({"image": frames, "mask": masks}, unpaired="ignore"), top / "packed")
    return fc.open(top / "packed")


def make_loader(dataset, workers=2, **options):
    options = {"transforms": [fc.RandomCrop(40)], "shuffle": True, "seed": 3, "cache": 0, **options}
    options = {"batch_size": SIZE, "inputs": "image", "targets": None, **options}
    clips = options.pop("clips", fc.Windows(4, step=1))
    return fc.ClipLoader(dataset, clips, workers=workers, **options)


def batches_of(loader, epochs=1):
    found = []
    for epoch in range(epochs):
        for x in loader.epoch(epoch):
            parts = [x[name] for name in sorted(x)] if isinstance(x, dict) else [x]
            found.append([part.copy() for part in parts])
    return found


def serve_until(condition, loader):
    """Serve epochs until a condition holds: workers are as fast as fetchers here."""
    wait_until(lambda: condition() or not batches_of(loader))


def serve_until_read_ahead(loader, least=1):
    serve_until(lambda: loader.stats().ahead_clips >= least, loader)


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for batch, wanted in zip(found, expected, strict=True):
        for part, of in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(part, of)


@pytest.fixture(scope="module")
def expected(packed):
    with make_loader(packed, workers=0) as loader:
        return batches_of(loader)


def test_batches_are_those_of_the_local_pack(packed, expected):
    with make_loader(FarPack.of(packed, 0.002)) as loader:
        assert_equal(batches_of(loader), expected)
        serve_until_read_ahead(loader, 20)
        assert_equal(batches_of(loader), expected)
        stats = loader.stats()
        pids = loader.pids
    assert len(pids) == 4
    assert 0 < stats.ahead_clips <= stats.clips
    assert stats.ahead_bytes > 0
    assert stats.fetcher_restarts == 0
    assert "  read ahead" in str(stats)
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize(
    "options",
    [
        {"inputs": ("image", "mask")},
        {"inputs": ("image", "mask"), "draws_per_clip": 2},
        {"inputs": ("image", "mask"), "cache": "auto"},
        {"clips": fc.Segments(4), "batch_size": 2},
    ],
)
def test_other_streams_rows_and_frames(packed, options):
    with make_loader(packed, workers=0, **options) as loader:
        wanted = batches_of(loader)
    with make_loader(FarPack.of(packed), **options) as loader:
        serve_until_read_ahead(loader)
        assert_equal(batches_of(loader), wanted)


def test_a_local_pack_has_no_fetcher(packed):
    with make_loader(packed) as loader:
        batches_of(loader)
        assert loader._engine._arena.ahead_bytes == 0
        assert len(loader.pids) == 3
        assert loader.stats().ahead_clips == loader.stats().ahead_bytes == 0


def test_what_frame_slots_hold_is_not_read(packed):
    ahead = {}
    for cache in (0, "auto"):
        with make_loader(FarPack.of(packed), workers=1, cache=cache) as loader:
            batches_of(loader, epochs=3)
            stats = loader.stats()
            ahead[cache] = stats.ahead_bytes / stats.clips
    assert ahead["auto"] < 0.5 * ahead[0]


def test_frames_that_earlier_tickets_bring_are_left_out():
    coming = ComingFrames(apart=4)
    assert coming.without(10, 0, [1, 2, 3], [0, 1, -1]) == [1, 2, 3]
    assert coming.without(13, 0, [1, 2], [0, 1]) == [1, 2], "which may be rendered at the same time"
    assert coming.without(14, 0, [2, 3, 4], [1, -1, 2]) == [3, 4]
    assert coming.without(14, 1, [2], [1]) == [2], "of another video, to which the slot is given"
    assert coming.without(20, 0, [2], [1]) == [2]
    assert coming.without(9, 1, [7], [1]) == [7], "an earlier ticket that is read for late"
    assert coming.without(30, 0, [2], [1]) == []


def test_without_memory_for_bytes_workers_read(packed, expected):
    nbytes = 3 * SIZE * 4 * 40 * 40 * 3
    with pytest.warns(UserWarning, match=r'not read ahead.* give memory="2MiB" or more') as warned:
        loader = make_loader(FarPack.of(packed), memory=nbytes + 2**16)
    assert Path(warned[0].filename).name == "test_read_ahead.py"
    with loader:
        assert_equal(batches_of(loader), expected)
        assert loader._engine._arena.ahead_bytes == 0
        assert loader.stats().ahead_clips == 0


def test_a_clip_larger_than_the_others_is_read_by_its_worker(tmp_path, monkeypatch):
    """A byte slot is at most four times as large as the first clips; the last video is much larger."""
    monkeypatch.setattr("fastclips.serving.byte_room._TICKETS", 16)
    frames = make_frames(tmp_path / "frames", videos=4, frames=11)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for number in range(5):
        write_jpeg(frames / "class_1" / "video_99" / f"frame_{number + 1:05d}.jpg", noise, quality=98)
    fc.pack(frames, tmp_path / "packed")
    dataset = fc.open(tmp_path / "packed")
    with make_loader(dataset, workers=0, shuffle=False) as loader:
        wanted = batches_of(loader)
    with make_loader(FarPack.of(dataset), shuffle=False) as loader:
        serve_until_read_ahead(loader)
        assert_equal(batches_of(loader), wanted)
        slots = loader._engine._arena
        assert slots.ahead_bytes < dataset.storage.clip_bytes(["image"], 4)
        assert loader.stats().ahead_clips < loader.stats().clips


def test_a_read_that_fails_ahead_is_done_by_the_worker(packed, expected):
    with make_loader(FarPack.of(packed, ahead="fails")) as loader:
        assert_equal(batches_of(loader), expected)
        assert loader.stats().ahead_clips == 0
        assert loader.report().restarts == loader.stats().fetcher_restarts == 0


def test_a_missing_shard_is_named(packed, tmp_path):
    shutil.copytree(packed.storage.folder, tmp_path / "packed")
    dataset = FarPack.of(fc.open(tmp_path / "packed"))
    with make_loader(dataset) as loader:
        (tmp_path / "packed" / "00000.tar").write_bytes(b"")
        with pytest.raises(fc.FrameError, match=r"00000\.tar:.*the tar has 0 bytes"):
            batches_of(loader, epochs=2)


@pytest.mark.slow
def test_fetchers_that_die_again_and_again_are_given_up(packed, expected):
    with make_loader(FarPack.of(packed, ahead="dies"), max_deaths=2) as loader:
        assert_equal(batches_of(loader), expected)
        serve_until(lambda: loader.stats().fetcher_restarts == 3, loader)
        wait_until(lambda: len(loader.pids) == 3)
        assert loader.stats().ahead_clips == 0
        assert loader.report().restarts == 0


@pytest.mark.slow
def test_killed_fetchers_and_workers_change_nothing(packed, expected):
    """A fetcher, or now and then a worker, is killed at a random moment before each batch."""
    random = np.random.default_rng(0)
    with make_loader(FarPack.of(packed, 0.005)) as loader:
        wait_until(lambda: len(loader.pids) == 4)
        for _ in range(2):
            for number, x in enumerate(loader.epoch(0)):
                np.testing.assert_array_equal(x, expected[number][0])
                time.sleep(random.uniform(0, 0.01))
                pids = loader.pids
                if len(pids) == 4:
                    victim = pids[1] if number % 5 == 0 else pids[3]
                    if alive(victim):
                        os.kill(victim, signal.SIGKILL)
            assert number + 1 == len(expected)
        wait_until(lambda: loader.stats().fetcher_restarts > 0 and loader.report().restarts > 0)
        wait_until(lambda: len(loader.pids) == 4 and all(map(alive, loader.pids)))


@pytest.mark.slow
def test_a_stopped_fetcher_harms_nobody(packed, expected):
    """It is stopped while it reads; what it goes on to write is for nobody."""
    with make_loader(FarPack.of(packed, 0.01)) as loader:
        wait_until(lambda: len(loader.pids) == 4)
        fetcher = loader.pids[3]
        for epoch in range(2):
            for number, x in enumerate(loader.epoch(0)):
                np.testing.assert_array_equal(x, expected[number][0])
                if number == 2 * epoch:
                    os.kill(fetcher, signal.SIGSTOP)
                if number == len(expected) - 3:
                    os.kill(fetcher, signal.SIGCONT)
        serve_until_read_ahead(loader)
        assert loader.pids[3] == fetcher
        assert loader.stats().fetcher_restarts == 0


@pytest.mark.slow
def test_a_store_that_fails_and_fetchers_that_are_killed(packed, expected, tmp_path, monkeypatch):
    """Over HTTP, with every seventh answer a fault, and a fetcher killed before each batch."""
    pytest.importorskip("obstore")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faults = [503, "reset", "short", 500]
    with ObjectServer(packed.storage.folder) as server:
        options = {"allow_http": True, "timeout": 5, "retry_timeout": 20}
        with make_loader(fc.open(server.url, storage_options=options)) as loader:
            wait_until(lambda: len(loader.pids) == 4)
            server.faults = {number: faults[number % 4] for number in range(0, 2000, 7)}
            for number, x in enumerate(loader.epoch(0)):
                np.testing.assert_array_equal(x, expected[number][0])
                if len(loader.pids) == 4:
                    os.kill(loader.pids[3], signal.SIGKILL)
            assert number + 1 == len(expected)
            assert server.done.total() > 5
            wait_until(lambda: loader.stats().fetcher_restarts > 0)
            serve_until_read_ahead(loader)


def test_the_verdict_where_the_store_is_the_limit():
    counters = dict.fromkeys(COUNTERS, 0.0) | {"read_s": 9.0, "clips": 10.0, "ahead": 3.0}
    measured = {"seconds": 10.0, "frames_served": 100, "waited_s": 9.0, "workers": 2, "resident_bytes": 0}
    assert "move the data to a faster disk" in Stats.of(counters, **measured).verdict
    stats = Stats.of(counters, **measured, ahead_bytes=1000)
    assert stats.ahead_clips == 3
    assert "reading from the store is the limit; " in stats.verdict


def test_ranges_of_two_series(packed):
    """Those of x and y are read in one go."""
    near = packed.storage
    far = SeriesStorage(FarPack(near.columns, near.folder), ("image",))
    assert far.is_remote
    assert not SeriesStorage(near, ("image",)).is_remote
    assert far._names("image") == ["image", "image.y"]
    assert far._names("mask") == ["mask"]
    (wanted,) = far.clip_ranges(0, {"mask": (1, 2)})
    assert far.clip_bytes(["mask"], 2) == near.clip_bytes(["mask"], 2)
    data = far.read_range(*wanted)
    far.lend([(*wanted, memoryview(bytes(len(data))))])
    with pytest.raises(fc.FrameError, match="another member at its place"):
        far.read_many("mask", 0, (1, 2))
    far.lend(())
    assert len(far.read_many("mask", 0, (1, 2))) == 2
