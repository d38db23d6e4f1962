"""Decoded frames that clips share: the same batches as without, and each frame decoded once."""

import random
import re
from unittest.mock import patch

import numpy as np
import pytest
from helpers import write_jpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jpegs import encode
from stress import digest, make_sources, some_options

import fastclips as fc
from fastclips._native import FrameArea
from fastclips.engine.arena import COUNTERS, damage_to_note
from fastclips.engine.contract import Batch
from fastclips.engine.memory import new_arena
from fastclips.engine.shared_frames import SharedFrames
from fastclips.engine.worker import make_renderer
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.recipe import compile_recipe
from fastclips.serving.frame_check import Looked
from fastclips.serving.frame_plan import find_sharing
from fastclips.spec import StreamSpec

EPOCHS = 3
AHEAD = 3  # batches


class LocalPool:
    """A pool without processes: workers take turns in this one, and do batches ahead in a random order."""

    def __init__(self, spec, *, workers, memory, cache, most_frames, **_):
        self.arena = new_arena(spec, workers, memory, 3, cache, most_frames)
        self.layout, self.pids = spec.layout, []
        self.counters, self.fetcher_counters = (
            np.zeros((workers, len(COUNTERS))),
            np.zeros((0, len(COUNTERS))),
        )
        self.notes, self.waits, self.waited_s = [], [], 0.0
        self.renderers = [make_renderer(spec) for _ in range(workers)]
        shares = [SharedFrames.of(spec, worker, self.arena) for worker in range(1, workers + 1)]
        self.shares = [shared for shared in shares if shared is not None]
        for renderer, shared in zip(self.renderers, self.shares, strict=False):
            renderer.shared = shared
        self.todo, self.done, self.number = {}, {}, 1
        self.chance = random.Random(0)

    frames = property(lambda self: len(self.arena.frame_slots))
    frame_nbytes = property(lambda self: self.arena.frame_slots.stride)
    wanted_nbytes = 0
    states = ()

    def has_room(self, *, beside=False):
        return beside or len(self.todo) < AHEAD

    def submit(self, tickets):
        batch = Batch(self.number, tickets)
        self.todo[batch.slot] = self.layout.arrays(np.full(self.layout.nbytes, 0xA5, np.uint8)), tickets
        self.number += len(tickets)
        return batch

    def collect(self, batch):
        rows = [(first, row) for first, (_, tickets) in self.todo.items() for row in range(len(tickets))]
        self.chance.shuffle(rows)
        for first, row in rows:
            if (first, row) in self.done:
                continue
            arrays, tickets = self.todo[first]
            worker = self.chance.randrange(len(self.renderers))
            if self.shares:
                self.shares[worker].begin(first + row)
            into = self.layout.of_ticket(arrays, row)
            damage = self.renderers[worker].render(tickets[row], into, self.counters[worker])
            self.done[first, row] = damage
        arrays, tickets = self.todo.pop(batch.slot)
        for row, ticket in enumerate(tickets):
            if damage := self.done.pop((batch.slot, row)):
                self.notes.append((ticket, damage_to_note(damage)))
        rows = len(tickets) * self.layout.ticket_rows
        return {name: array[:rows] for name, array in arrays.items()}

    def forget(self):
        self.todo, self.done = {}, {}

    def close(self):
        pass

    def deaths(self):
        return []

    release = close


def local(data, *arguments, workers=2, **options):
    """A loader over a `LocalPool`."""
    with patch("fastclips.engine.engines.Pool", LocalPool):
        return fc.ClipLoader(data, *arguments, workers=workers, **options)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("sources"), videos=2)


def served(loader, epochs=EPOCHS):
    with patch("fastclips.engine.engines.Pool", LocalPool):
        return [[digest(batch) for batch in loader.epoch(epoch)] for epoch in range(epochs)]


def decodes(loader):
    with patch("fastclips.engine.engines.Pool", LocalPool):
        stats = loader.stats()
    return stats.decoded_frames


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(
    st.integers(0, 2**32), st.sampled_from(["auto", "64KiB", "512KiB", "kept", "few kept"]), st.integers(1, 3)
)
@settings(max_examples=80)
def test_any_loader_serves_the_same(sources, seed, cache, workers):
    text, data, arguments, options = some_options(random.Random(seed), sources)
    with fc.ClipLoader(data, *arguments, workers=0, **options) as plain:
        expected = [[digest(batch) for batch in plain.epoch(epoch)] for epoch in range(EPOCHS)]
        damaged = plain.damaged
    kept = {"kept": "64MiB", "few kept": "700KiB"}
    given_cache = fc.FrameCache(kept[cache]) if cache in kept else cache
    with local(data, *arguments, workers=workers, cache=given_cache, memory="64MiB", **options) as loader:
        assert served(loader) == expected, text
        assert sorted(loader.damaged) == sorted(damaged)


WINDOWS = fc.Windows(4, step=1)
CROP = [fc.RandomCrop(40), fc.RandomFlip()]


KINDS = {"crop": CROP, "warp": [fc.RandomRotation(20)], "table": [*CROP, fc.Rescale()]}


@pytest.mark.parametrize("transforms", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_frame_is_decoded_once(frames, masks, shuffle, transforms):
    """And from the second epoch on, none."""
    data = fc.open({"image": frames, "mask": masks})
    with local(data, WINDOWS, transforms, batch_size=4, shuffle=shuffle, targets="mask") as loader:
        counts = []
        for epoch in range(4):
            list(loader.epoch(epoch))
            counts.append(decodes(loader))
        shown = np.unique(loader.plan_table(0)["paths"])
        assert counts[-1] == 2 * len(shown)
        assert counts[0] == counts[-1]
        uses, hits, fills, lost = loader._frame_plan.counts.values()
        assert (uses - hits, lost) == (fills, 0) == (len(shown), 0)


def test_a_small_cache_decodes_what_is_planned(frames):
    """Frames that are used at the same time rest in their slots, so nobody finds another frame."""
    with local(fc.open(frames), WINDOWS, CROP, batch_size=2, cache="300KiB", workers=1) as loader:
        for epoch in range(4):
            list(loader.epoch(epoch))
        with patch("fastclips.engine.engines.Pool", LocalPool):
            stats = loader.stats()
        assert loader._frame_plan.counts["fills"] > 6 * 12
        assert 0.2 < stats.decodes_per_frame < 0.5
        assert stats.cache_bytes <= 300 * 1024
        kept = stats.cache_bytes // loader._engine.frame_nbytes
        assert stats.cache_evictions == loader._frame_plan.counts["fills"] - kept > 0


@pytest.mark.parametrize(("cache", "knob"), [("auto", "memory"), ("300KiB", "cache")])
@pytest.mark.parametrize("interleave", [None, 6])
def test_advice_for_a_shuffle_in_a_small_cache(frames, cache, knob, interleave):
    def advice(**memory):
        options = {"batch_size": 2, "shuffle": True, "interleave": interleave, "workers": 2}
        with fc.ClipLoader(fc.open(frames), WINDOWS, CROP, **memory, **options) as loader:
            served(loader)
            return loader.stats().cache_advice

    lanes = "" if interleave else "; interleave=6 needs less, as it shows clips that overlap near each other"
    given = advice(cache=cache, memory="600KiB")
    found = re.fullmatch(
        rf'{knob}="(\d+MiB)" would save \d+% of decoding, as it holds all frames{lanes}\.', given
    )
    assert found, given
    assert advice(**{"cache": cache, "memory": "9MiB", knob: found[1]}) == ""


def test_advice_where_batches_leave_no_memory(frames):
    data = fc.open(frames)
    with pytest.raises(fc.OptionError) as refused:
        local(data, WINDOWS, CROP, batch_size=3, workers=1, memory=1)
    least = int(re.search(r"at least (\d+) bytes", str(refused.value))[1])
    with local(data, WINDOWS, CROP, batch_size=3, workers=1, memory=least) as loader:
        assert loader._engine.frames == 0
        served(loader)
        with patch("fastclips.engine.engines.Pool", LocalPool):
            stats = loader.stats()
    assert stats.cache_hits == stats.cache_bytes == 0
    assert re.search(r'memory="2MiB" would save \d+% of decoding, as it holds all frames', stats.cache_advice)


def test_without_a_frame_shown_twice_nothing_is_kept(tmp_path):
    for video in range(30):
        for frame in range(40):
            path = tmp_path / "a" / f"{video:02}" / f"{frame:03}.jpg"
            write_jpeg(path, np.full((16, 16, 3), video, np.uint8))
    with local(fc.open(tmp_path), fc.Windows(4, step=4), batch_size=2, cache="64KiB") as loader:
        for _, _ in zip(loader.epoch(0), range(3), strict=False):
            pass
        assert loader._frame_plan.counts["hits"] == 0


def test_batches_beside_the_order_and_new_beginnings(frames):
    data = fc.open(frames)
    with fc.ClipLoader(data, WINDOWS, CROP, batch_size=4, shuffle=True, workers=0) as plain:
        expected = [[digest(batch) for batch in plain.epoch(epoch)] for epoch in range(EPOCHS)]
    with local(data, WINDOWS, CROP, batch_size=4, shuffle=True, cache="100KiB") as loader:
        batches = loader.epoch(0)
        assert [digest(next(batches)) for _ in range(3)] == expected[0][:3]
        with patch("fastclips.engine.engines.Pool", LocalPool):
            assert digest(loader.batch(2, 5)) == expected[2][5]
        assert digest(next(batches)) == expected[0][3]
        assert [digest(batch) for batch in loader.epoch(1, 2)] == expected[1][2:]
        assert [digest(batch) for batch in loader.epoch(0, 7)] == expected[0][7:]


def test_epochs_that_are_given_up_share_frames(frames):
    data = fc.open(frames)
    total = int(data.index.frame_counts.sum())
    with local(data, WINDOWS, CROP, batch_size=4, shuffle=True) as loader:
        for epoch in range(8):
            batches = loader.epoch(epoch)
            for _ in range(len(loader) // 2):
                next(batches)
        stats = loader.stats()
    assert stats.cache_fills <= total
    assert stats.decoded_frames < total + 4 * loader.schedule.time_steps * AHEAD


@example(7)
@given(st.integers(0, 1000))
@settings(max_examples=5)
def test_damage_outside_the_box_stays_unseen(tmp_path_factory, seed):
    """A frame that cannot be decoded whole is no damage where the clip's box can be."""
    folder, chance = tmp_path_factory.mktemp("partly"), np.random.default_rng(seed)
    for frame in range(8):
        path = folder / "a" / "one" / f"{frame:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_restarts(path, chance.integers(0, 256, (96, 96, 3), np.uint8), broken=frame % 3 == 1)
    made = {}
    for damaged in ("error", "repeat"):
        options = {"batch_size": 2, "damaged": damaged, "targets": None}
        if damaged == "repeat":
            options["damaged_limit"] = 1.0
        arguments = fc.open(folder), fc.Windows(4), [fc.CenterCrop((32, 96)), fc.RandomCrop(32)]
        with fc.ClipLoader(*arguments, workers=0, **options) as plain:
            expected = [digest(batch) for batch in plain.epoch(0)]
            damage = plain.damaged
        with local(*arguments, **options) as loader:
            assert served(loader, 1) == [expected]
            assert loader.damaged == damage
            made[damaged] = expected
    assert made["error"] == made["repeat"]


def write_restarts(path, pixels, *, broken):
    """Write a JPEG with restart markers; broken ones have an invalid code in their first row of blocks."""
    data = bytearray(encode(pixels, "444", restart=1))
    if broken:
        scan = data.index(b"\xff\xda") + 14
        first = next(at for at in range(scan, len(data)) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7)
        data[scan:first] = bytes(x if x != 0xFF else 0xFE for x in data[scan:first])
        for at in range(scan, first):
            data[at] = 0xFE
        with pytest.raises(fc.FrameError):
            Decoder(StreamSpec("image")).decode(bytes(data))
    path.write_bytes(bytes(data))


@pytest.mark.slow
def test_a_worker_that_never_finishes_a_slot_holds_up_nobody(frames):
    with fc.ClipLoader(fc.open(frames), WINDOWS, CROP, batch_size=4, workers=0) as plain:
        expected = [digest(batch) for batch in plain.epoch(0)]
    with fc.ClipLoader(fc.open(frames), WINDOWS, CROP, batch_size=4, workers=2) as loader:
        arena = loader._engine._arena
        area = FrameArea(arena.frame_slots, area=0, offset=0, bytes=100, pixel=3, format=0, worker=999)
        assert all(area.claim(slot) for slot in range(len(arena.frame_slots)))
        assert [digest(batch) for batch in loader.epoch(0)] == expected
        assert loader.stats().cache_hits == 0
        assert arena.frame_slots.free(999) == len(arena.frame_slots)
        assert [digest(batch) for batch in loader.epoch(0)] == expected
        assert loader.stats().cache_hits > 0


@pytest.mark.slow
def test_workers_share_what_they_decode(frames):
    with fc.ClipLoader(fc.open(frames), WINDOWS, CROP, batch_size=4, workers=2) as loader:
        for epoch in range(2):
            list(loader.epoch(epoch))
        stats = loader.stats()
        assert stats.cache_fills >= 6 * 12
        assert stats.cache_hits > 0
        assert stats.decodes_per_frame < 1
        assert "from cache" in str(stats)


def test_bad_options(frames):
    def make(**options):
        options = {"batch_size": 4, "workers": 1, **options}
        return fc.ClipLoader(fc.open(frames), WINDOWS, CROP, **options)

    for wrong in (-1, "much", 1.5, True, None):
        with pytest.raises(fc.OptionError, match=f"cache={wrong!r}.*0, 'auto'"):
            make(cache=wrong)
    for options, said in (
        (
            {"cache": "2GiB"},
            "cache='2GiB': must be less than memory='1GiB', of which it is a part; give memory",
        ),
        ({"cache": 1000}, "cache=1000: must be 0, or at least 16448 bytes"),
        (
            {"cache": "1023MiB", "batch_size": 40},
            "cache=1072693248: leaves 1048576 bytes of memory=1073741824",
        ),
    ):
        with pytest.raises(fc.OptionError, match=re.escape(said)) as raised:
            make(**options)
        if remedy := re.search(r'memory="\w+"', str(raised.value)):
            make(**options, memory=remedy[0][8:-1]).close()


def test_what_can_be_shared(tmp_path, frames):
    image, mask = StreamSpec("image"), StreamSpec("mask", kind="mask")
    file, array = Looked((100, 200), 5000), Looked((100, 200), None)
    folder = fc.open(frames)
    fc.pack(folder, tmp_path / "pack", workers=0)
    pack = fc.open(tmp_path / "pack")

    def find(transforms, data=folder, **looked):
        recipe = compile_recipe(transforms, time_steps=4, dct_scaling=True)
        return find_sharing(data, [image, mask], recipe, {name: [one] for name, one in looked.items()})

    both = find([fc.CenterCrop(50)], image=file, mask=file)
    assert dict(both.layout.areas) == {"image": 60_000, "mask": 20_000}
    assert both.scales is None
    assert dict(find([], image=array, mask=file).layout.areas) == {"mask": 20_000}
    assert find([], image=array) is None
    assert find([], image=Looked()) is None
    assert find([fc.CenterCrop(10)], pack, image=file).least_uses == 255  # 22,400 pixels / (100 - 12)
    assert find([fc.CenterCrop(100)], pack, image=file).least_uses == 3  # 22,400 pixels / (10,000 - 1,200)
    assert find([fc.CenterCrop(10)], image=file).least_uses == 5  # half of the codes are read, too
    assert find([], image=file).least_uses == 2
    small = find([fc.Resize(25)], image=file)
    assert dict(small.layout.areas) == {"image": 25 * 50 * 3}
    assert find([fc.RandomResizedCrop(20)], image=file).scales is not None
    assert find([fc.RandomResizedCrop(20, per="frame")], image=file) is None
