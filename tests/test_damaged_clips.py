"""Clips in which frames are damaged, through the renderer alone; and how workers tell the trainer."""

from errno import EMFILE

import numpy as np
import pytest
import simplejpeg
from helpers import neighbour, picture
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.data.storage import Storage
from fastclips.engine.arena import COUNTERS, Arena, Damage, damage_to_note, note_to_damage
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.renderer import Renderer
from fastclips.pixels.recipe import compile_recipe
from fastclips.reserved import WEIGHT
from fastclips.spec import Field, SlotLayout, StreamSpec, Weighting, ticket_dtype

HEIGHT, WIDTH, FRAMES = 20, 28, 5
PICTURES = {
    name: [picture(seed + 9 * n, HEIGHT, WIDTH) for seed in range(FRAMES)] for n, name in enumerate("ab")
}
JPEGS = {
    name: [simplejpeg.encode_jpeg(p, 90, "RGB", "420") for p in those] for name, those in PICTURES.items()
}
LABELS = [np.random.default_rng(seed).integers(0, 5, (HEIGHT, WIDTH), np.uint8) for seed in range(FRAMES)]
STREAMS = (
    StreamSpec("a"),
    StreamSpec("m", kind="mask", ignore=77),
    StreamSpec("b"),
    StreamSpec("n", kind="mask", ignore=78),
)


class Store(Storage):
    """One video in memory, of which something is damaged."""

    def __init__(self, damaged=()):
        self.damaged = dict(damaged)

    def read(self, stream, _, frame):
        kind, whole = self.damaged.get((stream, frame)), stream in "mn"
        data = LABELS[frame] if whole else JPEGS[stream][frame]
        if kind is None:
            return data
        if kind == "short" and not whole:
            return data[: len(data) // 2]
        if kind == "text":
            return b"no picture"
        raise fc.FrameError(f"cannot read {stream}[{frame}]") from OSError(
            kind if kind == EMFILE else 2, "gone"
        )

    def where(self, stream, video, frame):
        return f"{stream}[{video}, {frame}]"


def rendered(store, transforms, frames, draws, *, repeats):
    recipe = compile_recipe(transforms, time_steps=len(frames))
    geometry = recipe.geometry(HEIGHT, WIDTH, [0.5] * recipe.draws)
    size = geometry.y.size, geometry.x.size
    compiled = recipe.compiled(3)
    fields = [
        Field(s.name, (len(frames), *size), "uint8")
        if s.mask
        else Field(s.name, (len(frames), *size, 3), compiled.dtype if compiled else "uint8")
        for s in STREAMS
    ]
    fields.append(Field(WEIGHT, (len(frames), *size), "float32"))
    layout = SlotLayout(1, tuple(fields))
    weighting = Weighting("m", tuple(float(value != 77) for value in range(256)))
    spec = ClipSpec(
        store,
        STREAMS,
        recipe,
        {stream.name: compiled for stream in STREAMS if compiled and not stream.mask},
        layout,
        len(frames),
        {stream.name: size for stream in STREAMS},
        fast_dct=False,
        weighting=weighting,
        repeats_damaged=repeats,
    )
    ticket = np.zeros(1, ticket_dtype(len(frames), recipe.draws))[0]
    ticket["frames"][: len(frames)] = frames
    ticket["weight"] = 1
    ticket["draws"] = [draws[n % len(draws)] for n in range(recipe.draws)]
    row = {name: array[0] for name, array in layout.arrays(np.full(layout.nbytes, 0xA5, np.uint8)).items()}
    return row, Renderer(spec).render(ticket, row, np.zeros(len(COUNTERS)))


TRANSFORMS = [
    [],
    [fc.RandomCrop((12, 14)), fc.RandomFlip()],
    [fc.RandomRotation(40, fill="constant", fill_value=9, per="frame"), fc.RandomCrop(16, per="frame")],
    [fc.RandomShift(0.4, 0.4, fill="constant"), fc.Gamma(0.7, 1.4), fc.GaussianNoise(5), fc.Rescale()],
]


@pytest.mark.slow
@given(
    frames=st.lists(st.integers(-FRAMES, FRAMES - 1), min_size=1, max_size=8),
    damaged=st.dictionaries(
        st.tuples(st.sampled_from("abmn"), st.integers(0, FRAMES - 1)),
        st.sampled_from(["short", "gone", "text"]),
        max_size=8,
    ),
    transforms=st.sampled_from(TRANSFORMS),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=9),
)
@settings(max_examples=150)
def test_damage_is_another_ticket(frames, damaged, transforms, draws):
    row, found = rendered(Store(damaged), transforms, frames, draws, repeats=True)
    plain = [frame if frame >= 0 else ~frame for frame in frames]
    lost = {frame for stream, frame in damaged if stream in "ab"}
    intact = [step for step, frame in enumerate(plain) if frame not in lost]
    instead = [neighbour(step, intact) for step in range(len(frames))]
    if intact:
        ticket = [
            plain[other] if frame >= 0 else ~plain[other]
            for frame, other in zip(frames, instead, strict=True)
        ]
        wanted, none = rendered(Store(), transforms, ticket, draws, repeats=False)
        assert none == []
    else:
        wanted = {name: np.zeros_like(array) for name, array in row.items()}
    for stream, ignore in (("m", 77), ("n", 78)):
        for step, frame in enumerate(plain):
            if frame in lost or (stream, frame) in damaged:
                wanted[stream][step] = ignore
                if stream == "m":
                    wanted[WEIGHT][step] = 0
    for name, array in row.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
    listed = {(STREAMS[one.stream].name, one.frame) for one in found}
    assert len(listed) == len(found)
    assert listed <= damaged.keys()
    labelled = {frame if frame >= 0 else ~frame for frame in frames if frame >= 0}
    shown = {(stream, frame) for stream, frame in damaged if frame in (plain if stream in "ab" else labelled)}
    assert listed == shown
    if found:
        with pytest.raises(fc.FrameError, match=r"[abmn]\["):
            rendered(Store(damaged), transforms, frames, draws, repeats=False)


def test_a_shortage_of_the_machine_is_no_damage():
    """Or a limit of open files would turn a data set into zeros."""
    with pytest.raises(fc.FrameError, match=r"cannot read a\[1\]"):
        rendered(Store({("a", 1): EMFILE, ("a", 0): "gone"}), [], [0, 1], [0.5], repeats=True)


# How workers tell

reasons = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
many = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 2**31 - 1), reasons),
    min_size=1,
    max_size=250,
    unique_by=lambda d: d[:2],
)


@given(many)
def test_a_note_holds_whole_entries(found):
    damage = [Damage(*one) for one in found]
    note = damage_to_note(damage)
    assert len(note) <= 1016
    read, rest = note_to_damage(note)
    assert len(read) + rest == len(damage)
    assert [one[:2] for one in read] == [one[:2] for one in damage[: len(read)]]
    for one, whole in zip(read, damage, strict=False):
        assert " ".join(whole.why.split()).startswith(one.why)
    if len(damage) <= 40:
        assert rest == 0, "any 40 frames have a place"
    if len(damage) == 1:
        assert read[0].why == " ".join(damage[0].why.split())


def test_a_note_of_many_bytes_keeps_paths_of_any_bytes():
    why = "cannot \udce9 read \N{GREEK SMALL LETTER ALPHA}\n" * 99
    ((_, _, read),), rest = note_to_damage(damage_to_note([Damage(3, 7, why)]))
    assert rest == 0
    assert 400 < len(read) < 1000
    assert " ".join(why.split()).startswith(read)


def make_arena():
    return Arena(slots=2, rows=3, workers=1, ticket_bytes=16, slot_bytes=64)


def test_notes_are_of_who_finished():
    """A worker that died had noted something; the one that did its ticket again has not."""
    arena = make_arena()
    arena.publish(1, 1, bytes(48))
    for worker, cell in ((7, 3), (7, 4)):
        assert arena.claim(worker, 0)[0] == cell
        arena.set_note(cell, b"damage")
    assert arena.noted(1) == []  # nothing is finished yet
    assert arena.reissue(3, 7)
    assert arena.claim(8, 0)[0] == 3
    assert arena.note(3) == b""
    assert arena.finish(3, 8, True)
    assert arena.finish(4, 7, True)
    assert arena.noted(1) == [4]
    assert arena.claim(9, 0)[0] == 5
    arena.set_note(5, b"no good")
    assert arena.finish(5, 9, False)
    assert (arena.noted(1), arena.failed(1), arena.noted(0)) == ([4], 5, [])


def test_notes_end_with_their_batch():
    """Also in a batch of fewer rows, and where tickets are taken back before anyone claims them."""
    arena = make_arena()
    arena.publish(0, 1, bytes(48))
    for cell in range(3):
        arena.claim(1, 0)
        arena.set_note(cell, b"damage")
        arena.finish(cell, 1, True)
    assert arena.noted(0) == [0, 1, 2]
    arena.publish(0, 4, bytes(32))
    assert arena.noted(0) == []
    assert arena.claim(1, 0)[0] == 0
    arena.finish(0, 1, True)
    arena.cancel(0)
    assert arena.settled(0)
    assert arena.noted(0) == []
