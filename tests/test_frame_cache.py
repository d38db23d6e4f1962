"""`FrameCache`: loaders decode each frame once between them, and serve the same batches as without it."""

import copy
import os
import pickle
import re
import signal
from contextlib import suppress

import numpy as np
import pytest
from helpers import write_jpeg
from hypothesis import given
from hypothesis import strategies as st
from stress import digest

import fastclips as fc
from fastclips._native import FrameArea
from fastclips.data.index import find_runs
from fastclips.engine.frame_cache import Wanted
from fastclips.serving.frame_places import find_slots, keys_of
from fastclips.spec import FrameLayout

CROP = [fc.RandomCrop(40), fc.RandomFlip()]


def loader_of(data, cache, transforms=CROP, windows=None, **options):
    windows = windows or fc.Windows(4, step=2)
    return fc.ClipLoader(
        data, windows, transforms, batch_size=4, shuffle=True, **{"workers": 2, "cache": cache, **options}
    )


def epochs(loader, count=2):
    return [[digest(batch) for batch in loader.epoch(epoch)] for epoch in range(count)]


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loaders_share_what_they_decode(frames, masks, workers, draws):
    data = fc.open({"image": frames, "mask": masks})
    options = {"targets": "mask", "draws_per_clip": draws, "workers": workers}
    expected = epochs(loader_of(data, 0, **options))
    cache = fc.FrameCache("64MiB")
    assert cache.used == 0
    total = 2 * int(data.index.frame_counts.sum())
    with loader_of(data, cache, **options) as first, loader_of(data, cache, **options) as second:
        assert epochs(first) == expected
        stats = first.stats()
        assert total <= stats.decoded_frames <= total + (8 * workers if workers > 1 else 0)
        assert stats.cache_hits > 0
        assert stats.cache_evictions == 0
        assert stats.cache_bytes == cache.used >= total // 2 * 48 * 64 * 4
        assert epochs(second) == expected
        assert second.stats().decoded_frames == 0
    with loader_of(data, cache, [fc.CenterCrop(32)], **options) as third:  # another part of the same frames
        epochs(third)
        assert third.stats().decoded_frames == 0


def test_parts_of_a_dataset_share_no_frames_but_memory(frames):
    data = fc.open(frames)
    cache = fc.FrameCache("64MiB")
    parts = data.split(0.5)
    loaders = [loader_of(part, cache, workers=0) for part in (*parts, data)]
    found = [epochs(loader, 1) for loader in loaders]
    decoded = [loader.stats().decoded_frames for loader in loaders]
    assert decoded == [*(int(part.index.frame_counts.sum()) for part in parts), 0]
    assert found == [epochs(loader_of(part, 0, workers=0), 1) for part in (*parts, data)]


def test_what_has_no_place_is_decoded_each_time(frames):
    data = fc.open(frames)
    cache = fc.FrameCache("200KiB")
    with loader_of(data, cache) as loader:
        assert epochs(loader) == epochs(loader_of(data, 0, workers=0))
        stats = loader.stats()
    kept = cache.used // 9216
    assert 0 < kept < data.index.frame_counts.sum()
    assert 0 < stats.cache_hits < stats.decoded_frames
    assert stats.cache_lost > 0
    assert re.fullmatch(
        r"\d\d% of the frames shown are not kept, as the FrameCache is full: with 1 MiB more it would hold "
        "them all.",
        stats.cache_advice,
    )
    assert cache.used <= cache.nbytes


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_for_which_the_cache_has_no_room(frames, workers, draws):
    data, other = fc.open(frames), fc.open(frames)
    options = {"workers": workers, "draws_per_clip": draws}
    cache = fc.FrameCache("100KiB")  # less than the frames of one loader
    loader_of(data, cache, workers=0)
    with loader_of(other, cache, **options) as loader:
        assert epochs(loader) == epochs(loader_of(other, 0, **options))
        assert loader.stats().cache_hits == 0
        assert loader.stats().cache_advice.startswith("100% of the frames shown are not kept")


def test_other_scales_and_methods_have_frames_of_their_own(frames):
    data = fc.open(frames)
    cache = fc.FrameCache("64MiB")
    half, total = [fc.Resize((24, 32))], int(data.index.frame_counts.sum())
    for transforms, options, decoded in (
        (CROP, {}, total),
        (half, {}, total),
        (CROP, {"fast_dct": True}, total),
        (half, {"dct_scaling": False}, 0),
        (half, {}, 0),
    ):
        with loader_of(data, cache, transforms, workers=0, **options) as loader:
            assert epochs(loader) == epochs(loader_of(data, 0, transforms, workers=0, **options))
            assert loader.stats().decoded_frames == decoded, (transforms, options)


def test_a_loader_with_less_max_pixels_is_served_no_larger_frames(tmp_path):
    for video, height in enumerate((60, 90)):
        for frame in range(8):
            pixels = np.random.default_rng(frame).integers(0, 255, (height, 80, 3), np.uint8)
            write_jpeg(tmp_path / f"{video}/{frame}.jpg", pixels)
    data, cache = fc.open(tmp_path), fc.FrameCache("64MiB")
    with loader_of(data, cache, workers=0) as loader:
        epochs(loader)
    for kept in (0, cache):
        too_large = pytest.raises(fc.FrameError, match="more than max_pixels=5,000")
        with loader_of(data, kept, workers=0, max_pixels=5000) as loader, too_large:
            epochs(loader)


def test_a_forked_process_makes_a_cache_of_its_own(frames):
    data, cache = fc.open(frames), fc.FrameCache("64MiB")
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            with suppress(fc.EngineError):
                loader_of(data, cache, workers=0)
                code = 2
            code = 0 if code == 1 else code
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_clips_of_several_scales(tmp_path):
    for frame in range(6):
        pixels = np.random.default_rng(frame).integers(0, 255, (120, 160, 3), np.uint8)
        write_jpeg(tmp_path / f"video/{frame}.jpg", pixels)
    data, zoom = fc.open(tmp_path), [fc.RandomResizedCrop(24)]
    with loader_of(data, fc.FrameCache("64MiB"), zoom, workers=0) as loader:
        assert epochs(loader, 40) == epochs(loader_of(data, 0, zoom, workers=0), 40)
        stats = loader.stats()
    assert stats.cache_lost < 40  # what looked at 16 clips may have missed a rare scale
    assert 6 < stats.decoded_frames <= 6 * 3 + stats.cache_lost


def test_a_killed_worker_and_a_killed_nursery(frames):
    data = fc.open(frames)
    expected = epochs(loader_of(data, 0, workers=0))
    cache = fc.FrameCache("64MiB")
    with loader_of(data, cache, max_deaths=1000) as first, loader_of(data, cache) as second:
        batches = iter(first)
        for batch in range(4):
            next(batches)
            with suppress(ProcessLookupError):  # the last one is not replaced yet
                os.kill(first.pids[1 + batch % 2], signal.SIGKILL)
        assert epochs(first) == expected
        os.kill(first.pids[0], signal.SIGKILL)
        first.close()
        assert epochs(second) == expected
        assert second.stats().decoded_frames == 0


@pytest.mark.parametrize("whole_loader", [False, True])
def test_what_the_dead_were_filling_is_filled_by_others(frames, whole_loader):
    data = fc.open(frames)
    cache = fc.FrameCache("64MiB")
    with loader_of(data, cache) as first, loader_of(data, cache, workers=0) as second:
        ((slots,),) = (shelf.slots for shelf in cache._shelves.values())
        owner = first._engine._stop.peek()[2][2]  # what the pool's finalizer frees
        area = FrameArea(slots, area=0, offset=0, bytes=100, pixel=3, format=0, worker=9, loader=owner.loader)
        assert all(map(area.claim, range(len(slots))))
        expected = epochs(loader_of(data, 0, workers=0), 1)
        assert epochs(second, 1) == expected
        assert cache.used == 0
        if whole_loader:
            first.close()
        else:
            owner.free(9)
        assert epochs(second, 1) == expected
        assert cache.used == len(slots) * slots.stride


def test_a_video_of_which_others_need_more():
    source = object()
    wanted = [Wanted(source, "key", FrameLayout((("image", 5000),)))]

    def keep(*rows):
        kept, (places,) = cache.keep(wanted, *(np.array(column) for column in zip(*rows, strict=True)))
        *columns, missing = places
        return [len(slots) for slots, _, _ in kept.segments], [column.tolist() for column in columns], missing

    cache = fc.FrameCache("1MiB")
    first = [12], [[3, 7], [0, 10], [2, 10], [0, 2]], 0
    assert keep((7, 10, 5), (3, 0, 2), (7, 12, 8)) == first
    assert keep((7, 12, 3)) == first
    assert keep((7, 5, 6)) == ([12, 5], [[3, 7, 7], [0, 5, 10], [2, 5, 10], [0, 12, 2]], 0)
    full = [12, 5, 183], [[3, 7, 7, 9], [0, 5, 10, 0], [2, 5, 10, 183], [0, 12, 2, 17]]
    assert keep((9, 0, 10**6)) == (*full, 10**6 - 183)
    assert keep((11, 0, 1), (9, 182, 3)) == (*full, 3)
    cache = fc.FrameCache("1MiB")
    assert keep((7, 0, 120)) == ([120], [[7], [0], [120], [0]], 0)
    assert keep((7, 0, 150), (9, 0, 2)) == (
        [120, 32],
        [[7, 7, 9], [0, 120, 0], [120, 30, 2], [0, 120, 150]],
        0,
    )


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["20KiB", "60KiB", "1MiB"]),
)
def test_each_frame_has_a_place_of_its_own(loaders, room):
    cache, source = fc.FrameCache(room), object()
    wanted = [Wanted(source, "key", FrameLayout((("image", 500),)))]
    known = {}
    for rows in loaders:
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        shown = {(video, frame) for video, start, count in rows for frame in range(start, start + count)}
        runs = find_runs(*columns).tolist()
        assert [(video, frame) for video, start, end in runs for frame in range(start, end)] == sorted(shown)
        kept, (places,) = cache.keep(wanted, *columns)
        frames = np.arange(30, dtype=np.int32)[None]
        found = {}
        for video in range(5):
            slots = find_slots(places, keys_of(places), np.array([video]), frames)[0].tolist()
            found |= {(video, frame): slot for frame, slot in enumerate(slots) if slot >= 0}
        assert len(set(found.values())) == len(found) == sum(len(slots) for slots, _, _ in kept.segments)
        assert places.missing == len(shown - found.keys())
        assert known.items() <= found.items()
        assert cache._left >= 0
        known = found


def test_only_frames_that_are_shown_have_places(frames):
    names = fc.open(frames).index.names[:]
    rows = [{"path": name, "start": start, "length": 2, "label": 0} for name in names for start in (0, 9)]
    data = fc.open(rows, root=frames)
    options = {"batch_size": 4, "shuffle": True, "workers": 0}
    with fc.ClipLoader(data, fc.Windows(2), CROP, **options) as plain:
        expected = epochs(plain)
    with fc.ClipLoader(data, fc.Windows(2), CROP, cache=fc.FrameCache("240KiB"), **options) as loader:
        assert epochs(loader) == expected
        stats = loader.stats()
    assert (stats.decoded_frames, stats.cache_lost, stats.cache_advice) == (len(names) * 4, 0, "")


def test_clips_whose_places_are_in_several_segments(frames):
    names = fc.open(frames).index.names[:]
    cache, whole = fc.FrameCache("64MiB"), fc.open(frames)
    data = fc.open([{"path": name, "start": 2, "length": 5, "label": 0} for name in names], root=frames)
    object.__setattr__(data, "storage", whole.storage)  # as parts of one dataset have
    with loader_of(data, cache, workers=0) as first, loader_of(whole, cache, workers=0) as second:
        epochs(first)
        assert epochs(second) == epochs(loader_of(whole, 0, workers=0))
        shown, decoded = 2 * second.stats().clips * 4, second.stats().decoded_frames
        assert 0 < decoded < shown // 2


def test_bad_caches(frames):
    for wrong in (0, -1, "much", None, True):
        with pytest.raises(
            fc.OptionError, match=f"memory={re.escape(repr(wrong))}: must be a number of bytes"
        ):
            fc.FrameCache(wrong)
    with pytest.raises(
        fc.OptionError, match=r"cache=FrameCache\('1KiB'\): must have at least 17472 bytes, the room"
    ):
        loader_of(fc.open(frames), fc.FrameCache("1KiB"))
    cache = fc.FrameCache("1MiB")
    for use in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="is shared by the loaders of one process"):
            use(cache)
