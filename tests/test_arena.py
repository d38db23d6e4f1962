"""The real arena against a plain model of it, and leases."""

import gc
import threading
import weakref

import numpy as np
import pytest
from helpers import wait_until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastclips.engine.arena import (
    COUNTERS,
    Arena,
    Lease,
    State,
    drop_ended,
    from_note,
    hand_over,
    leased_arrays,
    ticket_view,
    to_note,
)
from fastclips.spec import Field, SlotLayout, ticket_dtype

SLOTS, ROWS = 3, 3


def make_arena(**changes):
    options = {"slots": SLOTS, "rows": ROWS, "workers": 2, "ticket_bytes": 16, "slot_bytes": 1000}
    return Arena(**{**options, **changes})


class ArenaStates(RuleBasedStateMachine):
    """Any sequence of calls leaves the words as a dict of (number, worker, state) says."""

    def __init__(self):
        super().__init__()
        self.arena = make_arena()
        self.words = dict.fromkeys(range(SLOTS * ROWS), (0, 0, State.EMPTY))
        self.number = 1
        self.worker = 0

    def cells(self, slot):
        return range(slot * ROWS, slot * ROWS + ROWS)

    def is_settled(self, slot):
        return all(self.words[cell][2] not in (State.READY, State.CLAIMED) for cell in self.cells(slot))

    @rule(slot=st.integers(0, SLOTS - 1), rows=st.integers(1, ROWS))
    def publish(self, slot, rows):
        if not self.is_settled(slot):
            with pytest.raises(RuntimeError, match="has not settled"):
                self.arena.publish(slot, self.number, bytes(16 * rows))
            return
        self.arena.publish(slot, self.number, bytes(range(16)) * rows)
        assert (self.arena.tickets()[slot * ROWS : slot * ROWS + rows] == np.arange(16)).all()
        for row, cell in enumerate(self.cells(slot)):
            self.words[cell] = (self.number + row, 0, State.READY if row < rows else State.EMPTY)
        self.number += rows

    @rule()
    def claim(self):
        self.worker += 1
        ready = [(word[0], cell) for cell, word in self.words.items() if word[2] is State.READY]
        claim = self.arena.claim(self.worker, 0)
        if not ready:
            assert claim is None
            return
        number, cell = min(ready)
        assert claim == (cell, number)
        self.words[cell] = (number, self.worker, State.CLAIMED)

    def claimed(self):
        return [cell for cell, word in self.words.items() if word[2] is State.CLAIMED]

    @precondition(lambda self: self.claimed())
    @rule(data=st.data(), ok=st.booleans())
    def finish(self, data, ok):
        cell = data.draw(st.sampled_from(self.claimed()))
        number, worker, _ = self.words[cell]
        assert not self.arena.finish(cell, worker + 1, ok), "only the owner may finish"
        if not ok:
            self.arena.set_note(cell, f"no {number}".encode())
        assert self.arena.finish(cell, worker, ok)
        assert not self.arena.finish(cell, worker, ok), "and only once"
        self.words[cell] = (number, worker, State.DONE if ok else State.FAILED)

    @precondition(lambda self: self.claimed())
    @rule(data=st.data())
    def die(self, data):
        cell = data.draw(st.sampled_from(self.claimed()))
        number, worker, _ = self.words[cell]
        assert self.arena.claimed_by(worker) == [cell]
        assert self.arena.reissue(cell, worker)
        self.words[cell] = (number, 0, State.READY)

    @rule(slot=st.integers(0, SLOTS - 1))
    def cancel(self, slot):
        self.arena.cancel(slot)
        for cell in self.cells(slot):
            number, worker, state = self.words[cell]
            if state is State.READY:
                self.words[cell] = (number, worker, State.EMPTY)

    @invariant()
    def words_agree(self):
        assert {cell: self.arena.word(cell) for cell in self.words} == self.words
        for slot in range(SLOTS):
            assert self.arena.settled(slot) == self.is_settled(slot) == self.arena.wait(slot, 0)
            failed = [cell for cell in self.cells(slot) if self.words[cell][2] is State.FAILED]
            assert self.arena.failed(slot) == (failed[0] if failed else None)


TestArenaStates = ArenaStates.TestCase
TestArenaStates.settings = settings(max_examples=60, stateful_step_count=40)


def test_another_process_sees_the_same():
    arena = make_arena()
    other = Arena.attach(arena.fd)
    arena.slot(2)[:] = 7
    assert (other.slots, other.rows, other.nbytes) == (SLOTS, ROWS, arena.nbytes)
    assert (other.slot(2) == 7).all()
    arena.publish(1, 5, bytes(32))
    assert other.claim(9, 0) == (ROWS, 5)
    other.set_note(ROWS, to_note("ünter \udce9 " * 500))
    assert from_note(arena.note(ROWS)).startswith("ünter \udce9 ünter")
    assert len(arena.note(ROWS)) == 1016
    other.last_words = b"x" * 9000
    assert set(arena.last_words) == set(b"x")


def test_what_is_no_arena_is_refused(tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        file.write(bytes(5000))
        file.flush()
        with pytest.raises(RuntimeError, match="no shared memory of this build"):
            Arena.attach(file.fileno())
    with pytest.raises(ValueError, match="must be positive"):
        make_arena(slots=0)
    with pytest.raises(IndexError):
        make_arena().slot(SLOTS)
    with pytest.raises(IndexError):
        make_arena().settled(SLOTS)
    for tickets in (b"", bytes(15), bytes(16 * ROWS + 16)):
        with pytest.raises(ValueError, match="whole rows"):
            make_arena().publish(0, 1, tickets)


def test_nothing_overlaps():
    """Write everything that has a place of its own; nothing changes anything else."""
    arena = make_arena(ticket_bytes=24)
    arena.tickets()[:] = np.arange(SLOTS * ROWS)[:, None]
    arena.counters()[:] = 3.5
    for slot in range(SLOTS):
        arena.slot(slot)[:] = slot + 100
    for cell in range(SLOTS * ROWS):
        arena.set_note(cell, b"n" * 2000)
    assert (arena.tickets() == np.arange(SLOTS * ROWS)[:, None]).all()
    assert (arena.counters() == 3.5).all()
    assert [set(arena.slot(slot).tolist()) for slot in range(SLOTS)] == [{100}, {101}, {102}]
    assert {arena.word(cell)[2] for cell in range(SLOTS * ROWS)} == {State.EMPTY}


def test_each_worker_has_room_for_its_counters():
    assert len(COUNTERS) <= make_arena().counters().shape[1]


def test_waits_end_when_there_is_something():
    arena = make_arena()
    claims = []
    worker = threading.Thread(target=lambda: claims.append(arena.claim(4, 10_000)))
    worker.start()
    arena.publish(0, 1, bytes(16))
    worker.join(5)
    assert claims == [(0, 1)]
    seen = []
    trainer = threading.Thread(target=lambda: seen.append(arena.wait(0, 10_000)))
    trainer.start()
    arena.finish(0, 4, True)
    trainer.join(5)
    assert seen == [True]


def test_tickets_are_written_where_workers_read():
    dtype = ticket_dtype(3, 2)
    arena = make_arena(ticket_bytes=dtype.itemsize)
    tickets = ticket_view(arena, dtype)
    tickets["draws"][4] = (0.25, 0.5)
    tickets["frames"][4] = (1, 2, 3, 0)
    seen = ticket_view(Arena.attach(arena.fd), dtype)[4]
    assert (seen["draws"].tolist(), seen["frames"].tolist()) == ([0.25, 0.5], [1, 2, 3, 0])


# Leases


def lease_one():
    layout = SlotLayout(ROWS, (Field("a", (2, 5), "uint8"), Field("b", (3,), "float32")))
    arena = make_arena(slot_bytes=layout.nbytes)
    lease = Lease()
    return leased_arrays(layout.arrays(arena.slot(0)), 2, lease), weakref.ref(lease)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keep",
    [
        lambda a: a,
        lambda a: a[1:],
        lambda a: a[0][1:, ::2],
        lambda a: a.reshape(-1)[3:],
        lambda a: a.T.view(np.int8),
        np.from_dlpack,
        lambda a: np.frombuffer(a, np.uint8),
        lambda a: memoryview(a)[1:],
        lambda a: np.asarray(memoryview(a[1])),
    ],
)
def test_a_lease_lives_as_long_as_anything_over_it(keep):
    arrays, lease = lease_one()
    arrays["a"][:] = np.arange(20).reshape(2, 2, 5)
    kept = keep(arrays["a"])
    before = bytes(np.ascontiguousarray(kept))
    del arrays
    gc.collect()
    assert lease() is not None
    assert bytes(np.ascontiguousarray(kept)) == before
    del kept
    gc.collect()
    assert lease() is None


def test_a_lease_ends_with_the_last_of_its_arrays():
    arrays, lease = lease_one()
    assert (arrays["a"].shape, arrays["b"].shape, arrays["b"].dtype) == ((2, 2, 5), (2, 3), "float32")
    del arrays["a"]
    assert lease() is not None
    del arrays["b"]
    assert lease() is None


class Capsule:
    """What takes a capsule by DLPack, as another framework does."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **_):
        return hand_over(self.array)

    def __dlpack_device__(self):
        return 1, 0


def test_a_lease_lives_as_long_as_what_was_handed_over():
    arrays, lease = lease_one()
    arrays["a"][:] = np.arange(20).reshape(2, 2, 5)
    taken = np.from_dlpack(Capsule(arrays["a"]))
    part = taken[1:]
    del arrays, taken
    gc.collect()
    drop_ended()
    assert lease() is not None
    np.testing.assert_array_equal(part, np.arange(10, 20).reshape(1, 2, 5))
    thread = threading.Thread(target=lambda kept: kept.clear(), args=([part],))
    del part
    thread.start()
    thread.join()
    drop_ended()
    assert lease() is None


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8"])
def test_what_is_handed_over_is_the_same_array(dtype):
    array = np.arange(24).astype(dtype).reshape(2, 3, 4)
    array.flags.writeable = False
    taken = np.from_dlpack(Capsule(array))
    assert taken.dtype == array.dtype
    assert np.shares_memory(taken, array)
    np.testing.assert_array_equal(taken, array)


def test_a_capsule_that_nobody_takes_holds_nothing():
    array = np.zeros(4)
    gone = weakref.ref(array)
    hand_over(array)
    del array
    drop_ended()
    assert gone() is None


@pytest.mark.parametrize("what", [[1, 2], np.zeros((3, 4)).T, np.zeros(8)[::2]])
def test_what_cannot_be_handed_over(what):
    with pytest.raises(TypeError, match="must be a C-contiguous array"):
        hand_over(what)


def test_the_arena_lives_as_long_as_its_memory():
    arena = make_arena()
    gone = weakref.ref(arena)
    memory = arena.slot(1)
    del arena
    gc.collect()
    memory[:] = 5
    assert gone() is not None
    del memory
    wait_until(lambda: gone() is None)
