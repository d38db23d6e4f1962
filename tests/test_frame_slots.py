"""Frame slots: who may fill one, and what a reader takes from it."""

import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastclips._native import HELD, Arena, Crop, FrameArea

SIZE, NBYTES = (3, 4), 36


def make_arena(slots=2, areas=1):
    batches = {"slots": 3, "rows": 2, "workers": 2, "ticket_bytes": 16, "slot_bytes": 100}
    return Arena(**batches, frames=slots, areas=areas, frame_bytes=128)


def area_of(arena, worker, number=1, **changes):
    options = {"area": 0, "offset": 0, "bytes": NBYTES, "pixel": 3, "format": 7, "worker": worker}
    made = FrameArea(arena.frame_slots, **{**options, **changes})
    made.set_number(number)
    return made


class FrameStates(RuleBasedStateMachine):
    """Workers claim, finish, abandon and die; a slot has what the last finished claim says."""

    def __init__(self):
        super().__init__()
        self.arena = make_arena()
        self.areas = {worker: area_of(self.arena, worker) for worker in (1, 2, 3)}
        self.numbers = dict.fromkeys(self.areas, 1)
        self.slots = [(0, 0, "empty", None)] * 2  # ticket, worker, state, frame

    @rule(worker=st.integers(1, 3), number=st.integers(1, 9))
    def begin(self, worker, number):
        if not any(w == worker and state == "filling" for _, w, state, _ in self.slots):
            self.areas[worker].set_number(number)
            self.numbers[worker] = number

    @rule(worker=st.integers(1, 3), slot=st.integers(0, 1))
    def claim(self, worker, slot):
        ticket, _, state, _ = self.slots[slot]
        claimed = self.areas[worker].claim(slot)
        if state == "filling":
            assert claimed is None
        else:
            assert claimed == (ticket <= self.numbers[worker])
        if claimed:
            self.slots[slot] = (self.numbers[worker], worker, "filling", None)

    @rule(slot=st.integers(0, 1), video=st.integers(0, 1), frame=st.integers(0, 1), done=st.booleans())
    def settle(self, slot, video, frame, done):
        ticket, worker, state, _ = self.slots[slot]
        if state != "filling":
            return
        area = self.areas[worker]
        if done:
            area.pixels(slot)[:] = 10 * video + frame
            area.finish(slot, video, frame, SIZE, 2, 1, 3)
            self.slots[slot] = (ticket, worker, "full", (video, frame))
        else:
            area.abandon(slot)
            self.slots[slot] = (ticket, worker, "empty", None)

    @rule(worker=st.integers(1, 3))
    def die(self, worker):
        held = [at for at, (_, w, state, _) in enumerate(self.slots) if w == worker and state == "filling"]
        assert self.arena.frame_slots.free(worker) == len(held)
        for at in held:
            self.slots[at] = (*self.slots[at][:2], "empty", None)

    @invariant()
    def looks_agree(self):
        for slot, (_, _, state, held) in enumerate(self.slots):
            for video in (0, 1):
                for frame in (0, 1):
                    found = self.areas[1].look(slot, video, frame)
                    if state == "full" and held == (video, frame):
                        assert found[1:] == (*SIZE, 2, 1, 3)
                        assert (self.areas[1].pixels(slot) == 10 * video + frame).all()
                        assert self.areas[1].unchanged(slot, found[0])
                    else:
                        assert found is None


TestFrameStates = FrameStates.TestCase
TestFrameStates.settings = settings(max_examples=60, stateful_step_count=40)


def test_what_another_process_fills():
    arena = make_arena(areas=2)
    other = Arena.attach(arena.fd)
    assert (len(other.frame_slots), other.nbytes) == (2, arena.nbytes)
    mine, its = area_of(arena, 1), area_of(other, 2)
    assert its.claim(1)
    its.pixels(1)[:] = 9
    its.finish(1, 2**40, 5, SIZE, 1, 1, 0)
    assert (mine.pixels(1) == 9).all()
    assert mine.look(1, 2**40, 5)
    assert area_of(arena, 1, area=1, offset=64).look(1, 2**40, 5) is None, "another stream"
    assert area_of(arena, 1, format=8).look(1, 2**40, 5) is None, "decoded in another way"


def test_a_reader_notices_what_changes_under_it():
    arena = make_arena()
    reader, filler = area_of(arena, 1), area_of(arena, 2)
    filler.claim(0)
    filler.finish(0, 1, 1, SIZE, 1, 1, 0)
    word = reader.look(0, 1, 1)[0]
    assert reader.unchanged(0, word)
    filler.set_number(2)
    filler.claim(0)
    assert not reader.unchanged(0, word)
    filler.finish(0, 1, 1, SIZE, 1, 1, 0)
    assert not reader.unchanged(0, word)


def test_a_wait_for_a_stopped_worker_ends():
    arena = make_arena()
    assert area_of(arena, 2).claim(0)
    area_of(arena, 1).wait(0, 1)
    assert area_of(arena, 1).claim(0) is None


def test_crops_are_whole_while_slots_change():
    """Threads fill slots with even frames again and again; no reader takes a mixture."""
    arena = make_arena(slots=4)
    over = threading.Event()

    def fill(worker):
        area = area_of(arena, worker)
        for number in range(1, 10**9):
            if over.is_set():
                return
            area.set_number(number)
            slot, frame = number % 4, number // 4 % 3
            if area.claim(slot):
                area.pixels(slot)[:] = 50 * frame + worker
                area.finish(slot, worker, frame, SIZE, 1, 1, 0)

    threads = [threading.Thread(target=fill, args=(worker,)) for worker in (1, 2)]
    for thread in threads:
        thread.start()
    reader, held, turn = area_of(arena, 3), 0, 0
    try:
        while held < 300:
            turn += 1
            held += read_crops(reader, 1 + turn % 2, turn // 2 % 3, mirrored=bool(turn % 5))
    finally:
        over.set()
        for thread in threads:
            thread.join()


def read_crops(reader, worker, frame, *, mirrored):
    """How many of four slots held a frame, whose pixels must all be of one value."""
    out, held, slots = np.zeros((4, 2, 4, 3), np.uint8), 0, [0, 1, 2, 3]
    flipped, box = not mirrored, (1, 0, 3, 4) if frame else (0, 0, 3, 3)  # as it is, or stretched
    crop = Crop(SIZE, box, mirrored=mirrored, flipped=flipped)
    marks = reader.copy_crops(worker, [frame] * 4, slots, slots, crop, out)
    for mark, row in zip(marks, out, strict=True):
        if mark == HELD:
            assert (row == 50 * frame + worker).all()
            held += 1
    return held


def test_what_is_no_area_is_refused():
    arena = make_arena()
    for wrong in ({"area": 1}, {"offset": 200}, {"bytes": 200}, {"pixel": 0}):
        with pytest.raises(IndexError):
            area_of(arena, 1, **wrong)
    with pytest.raises(IndexError):
        area_of(arena, 1).claim(2)
    with pytest.raises(ValueError, match="areas"):
        make_arena(areas=0)
