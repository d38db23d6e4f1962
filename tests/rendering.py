"""Clips through the renderer alone, without a loader: rows of any transforms, and transforms at random."""

import numpy as np
from helpers import picture
from hypothesis import assume
from hypothesis import strategies as st
from slow_geometry import SlowMap

import fastclips as fc
from fastclips.data.storage import Storage
from fastclips.engine.arena import COUNTERS
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.worker import make_renderer
from fastclips.pixels.recipe import compile_recipe
from fastclips.reserved import WEIGHT
from fastclips.spec import Field, SlotLayout, StreamSpec, Weighting

IGNORE = 77
WEIGHTS = tuple(float(np.float32(value / 7)) for value in range(256))
SHIFTING = ("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
MODES = ("nearest", "constant", "reflect", "wrap")


class Store(Storage):
    """One video's frames, in memory."""

    def __init__(self, **streams):
        self.streams = streams

    def read(self, stream, _, frame):
        return self.streams[stream][frame]

    def where(self, stream, video, frame):
        return f"{stream}[{video}, {frame}]"


def render(transforms, pixels, labels=None, *, frames=(0,), draws=(), view=0, stored=None, **options):
    """The rows of a clip: of its picture, of its mask if there is one, and of the mask's weights.

    Frames are shown as padding where ``~frame`` says so. `stored` holds them in another form. A list of draws
    for each of several rows gives the rows of one ticket.
    """
    recipe = compile_recipe(transforms, time_steps=len(frames), **options)
    draws = list(draws) or [0.5] * recipe.draws
    rows = len(draws) if np.ndim(draws) > 1 else 1
    geometry = recipe.geometry(*pixels.shape[1:3], draws[0] if rows > 1 else draws, view)
    size, steps, channels = (geometry.y.size, geometry.x.size), len(frames), pixels.shape[3]
    shape = (channels, *size) if recipe.channels_first else (*size, channels)
    compiled = recipe.compiled(channels)
    dtype = compiled.dtype if compiled else "uint8"
    streams, fields = [StreamSpec("image", channels=channels)], [Field("image", (steps, *shape), dtype)]
    store = {"image": pixels}
    if labels is not None:
        streams.append(StreamSpec("mask", kind="mask", ignore=IGNORE))
        fields += [Field("mask", (steps, *size), "uint8"), Field(WEIGHT, (steps, *size), "float32")]
        store["mask"] = labels
    layout = SlotLayout(rows, tuple(fields), rows)
    weighting = Weighting("mask", WEIGHTS) if labels is not None else None
    store = stored or Store(**store)
    spec = ClipSpec(
        store,
        tuple(streams),
        recipe,
        {"image": compiled} if compiled else {},
        layout,
        steps,
        {stream.name: size for stream in streams},
        fast_dct=False,
        weighting=weighting,
    )
    ticket = np.zeros(1, spec.ticket_dtype)[0]
    ticket["view"], ticket["weight"], ticket["draws"] = view, 1, draws
    ticket["frames"][:steps] = frames
    row = layout.of_ticket(layout.arrays(np.full(layout.nbytes, 0xA5, np.uint8)), 0)
    make_renderer(spec).render(ticket, row, np.zeros(len(COUNTERS)))
    return row


def scene(height, width, frames=1, channels=3):
    pixels = np.stack([picture(seed, height, width)[..., :channels] for seed in range(frames)])
    labels = np.random.default_rng(0).integers(0, 256, (frames, height, width), np.uint8)
    return pixels, labels


@st.composite
def compositions(draw, height, width):
    """A list of transforms for frames of a size, and the border rule of them all."""
    fill, per = draw(st.sampled_from(MODES)), st.sampled_from(["clip", "frame"])
    value = draw(st.sampled_from([0, 200, (1, 2, 3)])) if fill == "constant" else 0
    border = {"fill": fill, "fill_value": value}

    def moved(kind, *args, **options):
        return kind(*args, **options, **border, per=draw(per))

    sizes, pairs = st.integers(1, 40), st.tuples(st.floats(-60, 60), st.floats(-60, 60))
    factors = st.tuples(st.floats(0.3, 2), st.floats(0.3, 2)).map(sorted).map(tuple)
    moving = [
        pairs.map(lambda pair: moved(fc.RandomRotation, tuple(sorted(3 * angle for angle in pair)))),
        pairs.map(lambda pair: moved(fc.RandomShear, tuple(sorted(pair)))),
        st.tuples(*[st.one_of(st.floats(0, 0.9), st.integers(1, 20))] * 2).map(
            lambda pair: moved(fc.RandomShift, *pair)
        ),
        factors.map(lambda pair: moved(fc.RandomZoom, *pair)),
        st.tuples(factors, factors).map(lambda two: moved(fc.RandomZoom, height=two[0], width=two[1])),
    ]
    moving += [
        st.tuples(st.integers(1, 3), st.floats(0, 30), st.floats(0, 1)).map(
            lambda given: fc.RandAugment(*given[:2], p=given[2], operations=SHIFTING, **border)
        ),
        st.just(fc.TrivialAugment(operations=SHIFTING, **border)),
        st.tuples(sizes, sizes).map(lambda size: fc.Resize(size, pad=value if fill == "constant" else fill)),
    ]
    staying = [
        st.builds(fc.RandomFlip, st.floats(0, 1), st.floats(0, 1), per=per),
        st.tuples(sizes, sizes).map(fc.Resize),
        sizes.map(lambda side: fc.Resize(short_side=side)),
        sizes.map(lambda side: fc.Resize(long_side=side)),
        st.builds(fc.RandomResizedCrop, st.tuples(sizes, sizes), per=per),
        st.builds(fc.MultiScaleCrop, st.tuples(sizes, sizes), per=per),
    ]
    transforms, size = [], (height, width)
    for _ in range(draw(st.integers(1, 4))):
        box = st.tuples(st.integers(1, size[0]), st.integers(1, size[1]))
        crops = [st.builds(fc.RandomCrop, box, per=per), box.map(fc.CenterCrop)]
        if not any(isinstance(one, fc.TenCrop) for one in transforms):
            crops.append(box.map(fc.TenCrop))
        transforms.append(draw(st.one_of(*moving, *staying, *crops)))
        size = SlowMap(transforms, [0.5] * 40, (height, width)).size
        assume(max(size) <= 200)
    return transforms, border
