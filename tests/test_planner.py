"""Which frame slot each frame uses: what the planner says must come true, and no plan decodes less."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastclips._native import FramePlanner

NEVER = 10**9
ROOM = 10**6


@st.composite
def plans(draw, steps=None, most=80):
    """Tickets: videos, and frames, some of them as padding."""
    steps = draw(st.integers(1, 4)) if steps is None else steps
    tickets = draw(
        st.lists(
            st.tuples(st.integers(0, 1), st.lists(st.integers(-5, 4), min_size=steps, max_size=steps)),
            max_size=most,
        )
    )
    return np.array([video for video, _ in tickets], np.int64), np.array(
        [frames for _, frames in tickets], np.int32
    ).reshape(-1, steps)


def assign(planner, videos, frames, window=None, scales=None):
    """The slots of all tickets, if the planner sees so many ahead."""
    scales = np.zeros(len(videos), np.uint8) if scales is None else scales
    slots, seen = np.full(frames.shape, -2, np.int32), 0
    for at in range(len(videos)):
        until = len(videos) if window is None else min(at + window, len(videos))
        if until > seen:
            assert planner.extend(videos[seen:until], frames[seen:until], scales[seen:until]) == until - seen
            seen = until
        one = slice(at, at + 1)
        assert planner.assign(videos[one], frames[one], slots[one])
    return slots


def run(videos, frames, slots):
    """Do what the slots say, one ticket after the other: what each ticket decodes."""
    held, decoded = {}, []
    for video, shown, named in zip(videos.tolist(), frames.tolist(), slots.tolist(), strict=True):
        places = {(video, max(frame, ~frame)): slot for frame, slot in zip(shown, named, strict=True)}
        used = [slot for slot in places.values() if slot != -1]
        assert len(used) == len(set(used)), "two frames of a ticket share a slot"
        decoded.append([frame for frame, slot in places.items() if slot == -1 or held.get(slot) != frame])
        held.update({slot: frame for frame, slot in places.items() if slot != -1})
    return decoded


def least_decodes(frames, slots):
    """Belady's rule, where a frame need not take a slot."""
    nexts, last = deque(), {}
    for at in range(len(frames) - 1, -1, -1):
        nexts.appendleft(last.get(frames[at], NEVER))
        last[frames[at]] = at
    held, decodes = {}, 0
    for frame, following in zip(frames, nexts, strict=True):
        decodes += frame not in held
        held[frame] = following
        if len(held) > slots:
            del held[max(held, key=held.__getitem__)]
    return decodes


@given(
    plans(),
    st.integers(1, 12),
    st.integers(0, 3),
    st.integers(1, 30),
    st.integers(2, 3),
    st.sampled_from([1.0, 4.0, 1e9]),
)
@settings(max_examples=300)
def test_what_is_planned_comes_true(plan, slots, rest, window, least_uses, margin):
    planner = FramePlanner(slots=slots, least_uses=least_uses, margin=margin, rest=rest, room=ROOM)
    places = assign(planner, *plan, window)
    assert places.size == 0 or (places.min() >= -1 and places.max() < slots)
    uses, hits, fills, _ = planner.counts
    decoded = run(*plan, places)
    assert sum(map(len, decoded)) == uses - hits
    assert planner.used <= min(slots, fills)
    taken = {}  # a slot rests before another frame takes it
    for ticket, (video, shown, of_ticket) in enumerate(zip(*plan, places, strict=True)):
        for frame, slot in zip(shown.tolist(), of_ticket.tolist(), strict=True):
            key = int(video), max(frame, ~frame)
            if slot != -1:
                before, when = taken.get(slot, (key, ticket))
                assert before == key or ticket - when > rest
                taken[slot] = key, ticket


@given(plans(steps=1), st.integers(1, 6))
@settings(max_examples=300)
def test_no_plan_decodes_less(plan, slots):
    planner = FramePlanner(slots=slots, least_uses=2, margin=1.0, rest=0, room=ROOM)
    places = assign(planner, *plan)
    frames = [
        (int(video), max(frame, ~frame)) for video, frame in zip(plan[0], plan[1][:, 0].tolist(), strict=True)
    ]
    assert sum(map(len, run(*plan, places))) == least_decodes(frames, slots)


@given(plans(), st.integers(0, 3))
def test_with_room_for_all_each_frame_is_decoded_once(plan, rest):
    planner = FramePlanner(slots=10 + 10 * len(plan[0]), least_uses=2, margin=1.0, rest=rest, room=ROOM)
    decoded = [frame for ticket in run(*plan, assign(planner, *plan)) for frame in ticket]
    assert len(decoded) == len(set(decoded))


@given(st.lists(st.tuples(plans(steps=2, most=20), st.integers(0, 20)), max_size=4), st.integers(1, 12))
@settings(max_examples=300)
def test_a_plan_that_goes_on_elsewhere(plans_and_cuts, slots):
    planner = FramePlanner(slots=slots, least_uses=2, margin=1.0, rest=1, room=ROOM)
    served = [(np.zeros(0, np.int64), *np.zeros((2, 0, 2), np.int32))]
    for (videos, frames), cut in plans_and_cuts:  # of each plan, some tickets are never assigned
        assert planner.extend(videos, frames, np.zeros(len(videos), np.uint8)) == len(videos)
        served.append((videos[:cut], frames[:cut], np.empty_like(frames[:cut])))
        assert planner.assign(*served[-1])
        planner.restart()
        assert planner.ahead == 0
    uses, hits, fills, _ = planner.counts
    assert sum(map(len, run(*map(np.concatenate, zip(*served, strict=True))))) == uses - hits
    assert planner.used <= min(slots, fills)


def test_slots_hold_their_frames_when_the_plan_goes_on_elsewhere():
    videos, frames = np.zeros(8, np.int64), np.arange(8, dtype=np.int32).reshape(8, 1)
    planner = FramePlanner(slots=8, least_uses=2, margin=1.0, rest=0, room=ROOM)
    twice, again = np.concatenate([videos, videos]), np.concatenate([frames, frames])
    scales = np.zeros(16, np.uint8)
    for begun in range(3):
        assert planner.extend(twice, again, scales) == 16
        slots = np.empty((6, 1), np.int32)
        assert planner.assign(videos[:6], frames[:6], slots)
        assert planner.counts[1:3] == (6 * begun, 6)
        planner.restart()


def test_a_frame_takes_no_slot_if_it_is_not_shown_again():
    frames = np.arange(40, dtype=np.int32).reshape(10, 4)
    planner = FramePlanner(slots=100, least_uses=2, margin=1.0, rest=1, room=ROOM)
    assert (assign(planner, np.zeros(10, np.int64), frames) == -1).all()
    assert (planner.counts, planner.used) == ((40, 0, 0, 0), 0)


def test_frames_at_other_scales_are_other_frames():
    videos, frames = np.zeros(4, np.int64), np.zeros((4, 1), np.int32)
    planner = FramePlanner(slots=4, least_uses=2, margin=1.0, rest=0, room=ROOM)
    slots = assign(planner, videos, frames, scales=np.array([0, 65, 0, 65], np.uint8))
    assert slots[0] == slots[2] != slots[1] == slots[3]


def test_the_window_is_bounded():
    videos, frames, scales = (
        np.zeros(10, np.int64),
        np.arange(30, dtype=np.int32).reshape(10, 3),
        np.zeros(10, np.uint8),
    )
    planner = FramePlanner(slots=4, least_uses=2, margin=1.0, rest=0, room=10)
    assert planner.extend(videos, frames, scales) == 3
    slots = np.empty((1, 3), np.int32)
    assert planner.assign(videos[:1], frames[:1], slots)
    assert planner.extend(videos[3:], frames[3:], scales[3:]) == 1
    assert not planner.assign(videos[:1], frames[:1], slots), "it comes after another one"
    with pytest.raises(ValueError, match="the same tickets"):
        planner.extend(videos[:2], frames, scales)
    with pytest.raises(ValueError, match="the same tickets"):
        planner.assign(videos[:1], frames[:1], np.empty((1, 2), np.int32))
