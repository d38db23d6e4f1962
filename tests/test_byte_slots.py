"""Byte slots: who may fill one, for which ticket, and what a worker finds there."""

import tarfile
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastclips._native import Arena, State, find_members
from fastclips.data.ranges import join, places, read_table, write_table

SLOTS, ROWS, NBYTES = 2, 2, 128
EMPTY, FILLING, FULL = 0, 1, 2


def make_arena(**changes):
    options = {"slots": SLOTS, "rows": ROWS, "workers": 2, "ticket_bytes": 16, "slot_bytes": 100}
    return Arena(**{**options, "ahead_bytes": NBYTES, **changes})


class ByteStates(RuleBasedStateMachine):
    """Tickets are published, read for, taken, done and withdrawn; fetchers die. Words are as a dict says."""

    def __init__(self):
        super().__init__()
        self.arena = make_arena()
        self.words = dict.fromkeys(range(SLOTS * ROWS), (0, 0, EMPTY))
        self.next, self.fetcher = 1, 0

    def cells(self, *states):
        return [cell for cell in self.words if self.arena.word(cell)[2] in states]

    def filling(self):
        return [cell for cell, word in self.words.items() if word[2] == FILLING]

    @rule(slot=st.integers(0, SLOTS - 1))
    def publish(self, slot):
        if self.arena.settled(slot):
            self.arena.publish(slot, self.next, bytes(16 * ROWS))
            self.next += ROWS

    @rule()
    def claim_read(self):
        self.fetcher += 1
        ready = [(self.arena.word(cell)[0], cell) for cell in self.cells(State.READY)]
        ready = [
            (number, cell)
            for number, cell in ready
            if self.words[cell][2] != FILLING and self.words[cell][0] < number
        ]
        # A slot that was filled for an earlier ticket when this process passed it is not looked at again.
        claim = self.arena.claim_read(self.fetcher, 0)
        if claim is None:
            return
        cell, number = claim
        assert (number, cell) in ready
        self.words[cell] = (number, self.fetcher, FILLING)
        assert not self.arena.finish_read(cell, self.fetcher + 1, True), "only the owner may finish"

    @precondition(lambda self: self.filling())
    @rule(data=st.data(), end=st.sampled_from(["filled", "given up", "died"]))
    def settle(self, data, end):
        cell = data.draw(st.sampled_from(self.filling()))
        number, fetcher, _ = self.words[cell]
        if end == "died":
            assert self.arena.free_reads(fetcher) == 1
        else:
            self.arena.byte_slot(cell)[:] = number % 251
            assert self.arena.finish_read(cell, fetcher, end == "filled")
        assert not self.arena.finish_read(cell, fetcher, True), "and only once"
        self.words[cell] = (number, fetcher, FULL if end == "filled" else EMPTY)

    @rule()
    def take(self):
        claim = self.arena.claim(1, 0)
        if claim is None:
            return
        cell, number = claim
        of, _, state = self.words[cell]
        found = self.arena.take_bytes(cell, number, 0)
        assert found == (of == number and state == FULL)
        if found:
            assert (self.arena.byte_slot(cell) == number % 251).all()
        if state != FILLING and of < number:
            self.words[cell] = (number, 0, EMPTY)

    @precondition(lambda self: self.cells(State.CLAIMED))
    @rule(data=st.data(), done=st.booleans())
    def finish(self, data, done):
        cell = data.draw(st.sampled_from(self.cells(State.CLAIMED)))
        assert self.arena.finish(cell, 1, True) if done else self.arena.reissue(cell, 1)

    @rule(slot=st.integers(0, SLOTS - 1))
    def cancel(self, slot):
        self.arena.cancel(slot)

    @invariant()
    def words_agree(self):
        assert {cell: self.arena.byte_word(cell) for cell in self.words} == self.words


TestByteStates = ByteStates.TestCase
TestByteStates.settings = settings(max_examples=50, stateful_step_count=40)


def test_tickets_are_read_for_in_their_order():
    arena = make_arena()
    arena.publish(1, 1, bytes(32))
    arena.publish(0, 3, bytes(32))
    assert arena.claim(9, 0) == (2, 1)
    assert not arena.take_bytes(2, 1, 0), "so its worker reads for the first"
    assert [arena.claim_read(5, 0) for _ in range(4)] == [(3, 2), (0, 3), (1, 4), None]


def test_a_worker_waits_for_a_fetcher_but_not_for_long():
    arena = make_arena()
    arena.publish(0, 1, bytes(32))
    assert arena.claim_read(5, 0) == (0, 1)
    assert arena.claim(9, 0) == (0, 1)
    assert not arena.take_bytes(0, 1, 1), "the fetcher may be stopped"
    fetcher = threading.Timer(0.05, arena.finish_read, (0, 5, True))
    fetcher.start()
    assert arena.take_bytes(0, 1, 60_000)
    fetcher.join()


def test_a_stopped_fetcher_keeps_its_slot():
    """What it goes on to write is read by nobody, however many tickets have come since."""
    arena = make_arena(slots=1, rows=1)
    arena.publish(0, 1, bytes(16))
    assert arena.claim_read(5, 0) == (0, 1)
    for number in (1, 2):
        assert arena.claim(9, 0) == (0, number)
        assert not arena.take_bytes(0, number, 0)
        assert arena.finish(0, 9, True)
        arena.publish(0, number + 1, bytes(16))
        assert arena.claim_read(6, 0) is None
    arena.byte_slot(0)[:] = 1
    assert arena.finish_read(0, 5, True)
    assert arena.byte_word(0) == (1, 5, FULL)
    assert arena.claim(9, 0) == (0, 3)
    assert not arena.take_bytes(0, 3, 0)
    assert arena.finish(0, 9, True)
    arena.publish(0, 4, bytes(16))
    assert arena.claim_read(6, 0) == (0, 4), "and from then on others read again"


def test_a_fetcher_waits_for_tickets():
    arena, claims = make_arena(), []
    fetcher = threading.Thread(target=lambda: claims.append(arena.claim_read(5, 60_000)))
    fetcher.start()
    time.sleep(0.05)
    arena.publish(0, 1, bytes(16))
    fetcher.join()
    assert claims == [(0, 1)]
    assert arena.claim_read(5, 0) is None


def test_without_byte_slots_there_are_none():
    with_slots, without = make_arena(), make_arena(ahead_bytes=0)
    assert with_slots.nbytes - without.nbytes == SLOTS * ROWS * 4096
    assert without.ahead_bytes == 0
    assert without.free_reads(1) == 0
    for method in (without.byte_slot, without.byte_word):
        with pytest.raises(IndexError):
            method(0)
    with pytest.raises(IndexError):
        without.take_bytes(0, 1, 0)


def test_nothing_overlaps():
    arena = make_arena(frames=1, areas=1, frame_bytes=64)
    for cell in range(SLOTS * ROWS):
        arena.byte_slot(cell)[:] = cell + 1
    for slot in range(SLOTS):
        arena.slot(slot)[:] = 100
    assert [set(arena.byte_slot(cell).tolist()) for cell in range(SLOTS * ROWS)] == [{1}, {2}, {3}, {4}]
    assert {arena.byte_word(cell) for cell in range(SLOTS * ROWS)} == {(0, 0, 0)}
    assert arena.frame_slots.used == 0


RANGES = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 10)).map(lambda r: (r[0], r[0] + r[1])))


@given(RANGES, st.integers(0, 5))
def test_ranges_are_joined_within_their_shards(ranges, gap):
    ends = [30, 60, 100]
    shard = [next(number for number, end in enumerate(ends) if start < end) for start, _ in ranges]
    ranges = [(start, min(end, ends[number])) for (start, end), number in zip(ranges, shard, strict=True)]
    joined = join(ranges, ends, gap)
    for start, end in ranges:
        assert any(first <= start and end <= last for first, last in joined)
    for (_, last), (first, _) in pairwise(joined):
        assert first > last + gap or last in ends or any(last <= end <= first for end in ends)
    for first, last in joined:
        assert not any(first < end < last for end in ends), "a range is in one shard"
        bytes_of = {at for start, end in ranges for at in range(start - gap, end)}
        assert {*range(first, last)} <= bytes_of


@given(RANGES)
def test_a_table_gives_back_what_was_written(ranges):
    data = np.arange(200, dtype=np.uint8)
    *starts, total = places(ranges)
    memory = np.zeros(total, np.uint8)
    for (start, end), at in zip(ranges, starts, strict=True):
        memory[at : at + end - start] = data[start:end]
    write_table(memory, ranges)
    assert [(start, end, bytes(found)) for start, end, found in read_table(memory)] == [
        (start, end, bytes(data[start:end])) for start, end in ranges
    ]


def test_members_are_found_in_any_contiguous_bytes():
    info = tarfile.TarInfo("a")
    info.size = 3
    tar = info.tobuf() + b"abc" + bytes(509)
    arena = make_arena(ahead_bytes=2048)
    arena.byte_slot(1)[: len(tar)] = np.frombuffer(tar, np.uint8)
    for data in (tar, bytearray(tar), memoryview(tar), arena.byte_slot(1).data.toreadonly()):
        ((member,), some_npy) = find_members(data, [512], [3])
        assert (bytes(member), some_npy) == (b"abc", False)
    for data in (memoryview(tar)[::2], memoryview(tar).cast("I"), memoryview(tar).cast("B", (2, 512))):
        with pytest.raises(ValueError, match="contiguous bytes"):
            find_members(data, [512], [3])
    with pytest.raises(TypeError):
        find_members("text", [512], [3])
