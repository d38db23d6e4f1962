"""Rows of a slot against a plain renderer: every frame decoded whole, cut by slicing, mapped by indexing."""

import io
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.data.storage import Storage
from fastclips.engine.arena import COUNTERS
from fastclips.engine.clip_spec import ClipSpec
from fastclips.engine.renderer import Renderer
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.pixels.geometry.crops import TenCrop, ThreeCrop
from fastclips.pixels.recipe import compile_recipe
from fastclips.reserved import WEIGHT
from fastclips.serving.layout import find_layout
from fastclips.spec import Field, SlotLayout, StreamSpec, Weighting, ticket_dtype

HEIGHT, WIDTH, FRAMES = 20, 28, 6
CLASSES = 5
COLORS = tuple(((50 * i, 200 - 40 * i, 7), i) for i in range(CLASSES))
VALUES = tuple((value * 3 + 1) % 256 for value in range(256))
WEIGHTS = tuple(float(np.float32(0.1 * (value % 11))) for value in range(256))
TABLE = np.array(WEIGHTS, np.float32)
random = np.random.default_rng(0)
PIXELS = random.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
LABELS = random.integers(0, CLASSES, (FRAMES, HEIGHT, WIDTH), np.uint8)


class Store(Storage):
    """Frames of one video in memory; counts what is read."""

    def __init__(self, **streams):
        self.streams, self.reads = streams, []

    def read(self, stream, video, frame):
        assert video == 7
        self.reads.append((stream, frame))
        return self.streams[stream][frame]

    def where(self, stream, video, frame):
        return f"{stream}[{video}, {frame}]"


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def palette(labels, colors=None):
    image = Image.fromarray(labels)
    image.putpalette([channel for color, _ in colors or COLORS for channel in color])
    return image


COLORED = np.array([color for color, _ in COLORS], np.uint8)[LABELS]
JPEGS = [simplejpeg.encode_jpeg(frame, 90, "RGB", "420") for frame in PIXELS]
MIXED = [
    data if kind is None else encoded(frame, kind)
    for data, frame, kind in zip(JPEGS, PIXELS, [None, "PNG", "BMP", None, "TIFF", None], strict=True)
]


def decoded(data, channels=3):
    """A picture's frame, straight from the library."""
    if isinstance(data, np.ndarray):
        return data
    if data[:2] == b"\xff\xd8":
        return simplejpeg.decode_jpeg(
            data, {3: "RGB", 1: "GRAY"}[channels], fastdct=False, fastupsample=False
        )
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert({3: "RGB", 1: "L"}[channels])).reshape(
        image.height, image.width, channels
    )


def render(streams, store, recipe, frames, *, draws=(), view=0, weight=1.0, weighting=None, size=(8, 12)):
    """A row by the renderer, from a row of rubbish, and its counters."""
    steps, fields, pixel_steps = len(frames), [], {}
    for stream in streams:
        if stream.mask:
            fields.append(Field(stream.name, (steps, *size), "uint8"))
        else:
            across = (stream.channels, *size) if recipe.channels_first else (*size, stream.channels)
            compiled = recipe.compiled(stream.channels)
            fields.append(Field(stream.name, (steps, *across), compiled.dtype if compiled else "uint8"))
            pixel_steps |= {stream.name: compiled} if compiled else {}
    if weighting:
        fields.append(Field(WEIGHT, (steps, *size), "float32"))
    layout = SlotLayout(1, tuple(fields))
    spec = ClipSpec(
        store,
        tuple(streams),
        recipe,
        pixel_steps,
        layout,
        steps,
        {stream.name: size for stream in streams},
        fast_dct=False,
        weighting=weighting,
    )
    ticket = np.zeros(1, ticket_dtype(steps, recipe.draws))[0]
    ticket["video"], ticket["view"], ticket["weight"] = 7, view, weight
    ticket["frames"][:steps] = frames
    ticket["draws"] = draws
    memory = np.full(layout.nbytes, 0xA5, np.uint8)
    row = {name: array[0] for name, array in layout.arrays(memory).items()}
    counters = np.zeros(len(COUNTERS))
    Renderer(spec).render(ticket, row, counters)
    return row, dict(zip(COUNTERS, counters.tolist(), strict=True))


def window(recipe, frames, draws=(), view=0, size=(HEIGHT, WIDTH)):
    """Whole frames, (T, H, W, ...), cut and mirrored by slicing."""
    geometry = recipe.geometry(*size, list(draws), view)
    (top, bottom), (left, right) = (tuple(map(int, axis.box)) for axis in (geometry.y, geometry.x))
    cut = frames[:, top:bottom, left:right]
    return cut[:, :, ::-1] if geometry.flip else cut


steps = st.lists(st.integers(-FRAMES, FRAMES - 1), min_size=1, max_size=7)
units = st.floats(0, 1, exclude_max=True)


@given(
    frames=steps,
    draws=st.tuples(units, units, units),
    channels=st.sampled_from([1, 3]),
    channels_first=st.booleans(),
    normalize=st.sampled_from([None, fc.Normalize(0.5, 0.2), fc.Normalize(dtype="float16")]),
    arrays=st.booleans(),
    mapping=st.sampled_from(["indices", "values", "colors", "colors and values"]),
    ignore=st.integers(0, 255),
    weight=st.sampled_from([0.0, 1.0, 0.3]),
)
@settings(max_examples=100)
def test_everything_at_once(
    frames, draws, channels, channels_first, normalize, arrays, mapping, ignore, weight
):
    """Padding and repeats, gray, masks mapped, weights, channels first, arrays, mixed formats."""
    colors = COLORS if "colors" in mapping and not arrays else None
    values = VALUES if "values" in mapping else None
    streams = (
        StreamSpec("image", channels=channels),
        StreamSpec("mask", kind="mask", colors=colors, values=values, ignore=ignore),
    )
    pictures = list(PIXELS[..., :channels]) if arrays else MIXED
    masks = LABELS if arrays else [encoded(frame, "PNG") for frame in (COLORED if colors else LABELS)]
    pixel_steps = [normalize] if normalize else []
    recipe = compile_recipe(
        [fc.RandomCrop((8, 12)), fc.RandomFlip(), *pixel_steps], channels_first=channels_first
    )
    store = Store(image=pictures, mask=masks)
    row, counters = render(
        streams, store, recipe, frames, draws=draws, weight=weight, weighting=Weighting("mask", WEIGHTS)
    )

    shown = [frame if frame >= 0 else ~frame for frame in frames]
    image = window(recipe, np.stack([decoded(pictures[frame], channels) for frame in shown]), draws)
    if normalize:
        image = recipe.compiled(channels).table([])[np.arange(channels), image]
    np.testing.assert_array_equal(row["image"], np.moveaxis(image, -1, 1) if channels_first else image)
    labels = LABELS if values is None else np.array(values, np.uint8)[LABELS]
    mask = window(recipe, labels[shown], draws).copy()
    weights = TABLE[mask] * np.float32(weight)
    padded = np.array(frames) < 0
    mask[padded], weights[padded] = ignore, 0
    np.testing.assert_array_equal(row["mask"], mask)
    np.testing.assert_array_equal(row[WEIGHT], weights)

    seen = [("image", frame) for frame in set(shown)]
    seen += [("mask", frame) for frame in set(frames) if frame >= 0]
    assert sorted(store.reads) == sorted(seen), "each frame is read once"
    stored = [store.streams[stream][frame] for stream, frame in seen]
    assert counters["bytes"] == sum(memoryview(data).nbytes for data in stored)
    decoders = {stream.name: Decoder(stream) for stream in streams}
    for (stream, _), data in zip(seen, stored, strict=True):
        decoders[stream].decode(data)
    assert counters["pillow"] == sum(decoder.pillow_frames for decoder in decoders.values())
    assert (counters["frames"], counters["clips"]) == (len(frames), 1)


def test_padding_before_its_frame():
    """A mask's frame is decoded for the step that is not padding."""
    store = Store(image=JPEGS, mask=[encoded(frame, "PNG") for frame in LABELS])
    streams = (StreamSpec("image"), StreamSpec("mask", kind="mask"))
    row, _ = render(streams, store, compile_recipe([]), [~3, 3, ~3], size=(HEIGHT, WIDTH))
    np.testing.assert_array_equal(row["image"], np.stack([decoded(JPEGS[3])] * 3))
    np.testing.assert_array_equal(row["mask"][1], LABELS[3])
    assert np.unique(row["mask"][::2]).tolist() == [255]


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("normalize", [None, fc.Normalize(0.25, 0.5)])
@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("readonly", [False, True])
def test_gray_is_resampled(channels_first, normalize, flip, readonly):
    transforms = [fc.Resize((9, 13)), fc.RandomFlip(flip)]
    recipe = compile_recipe(
        [*transforms, normalize] if normalize else transforms, channels_first=channels_first
    )
    pixels = PIXELS[..., :1].copy()
    pixels.flags.writeable = not readonly
    row, _ = render(
        [StreamSpec("image", channels=1)], Store(image=pixels), recipe, [2, 0], draws=[0.5], size=(9, 13)
    )
    expected = np.stack([cv2.resize(pixels[frame, ..., 0], (13, 9)) for frame in (2, 0)])[..., None]
    expected = expected[:, :, ::-1] if flip else expected
    expected = recipe.compiled(1).table([])[0][expected] if normalize else expected
    np.testing.assert_array_equal(row["image"], np.moveaxis(expected, -1, 1) if channels_first else expected)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_mask_is_resampled_and_mapped(mapped):
    stream = StreamSpec("mask", kind="mask", values=VALUES if mapped else None)
    row, _ = render([stream], Store(mask=LABELS), compile_recipe([fc.Resize((40, 56))]), [1], size=(40, 56))
    expected = LABELS[1].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(row["mask"][0], np.array(VALUES)[expected] if mapped else expected)


@pytest.mark.parametrize("colors", [None, COLORS])
def test_a_palette_gives_indices_or_colors(colors):
    other = tuple((color, (value + 1) % CLASSES) for color, value in COLORS)
    stream = StreamSpec("mask", kind="mask", colors=other if colors else None)
    masks = [encoded(palette(frame), "PNG") for frame in LABELS]
    row, _ = render([stream], Store(mask=masks), compile_recipe([]), [4], size=(HEIGHT, WIDTH))
    np.testing.assert_array_equal(row["mask"][0], (LABELS[4] + 1) % CLASSES if colors else LABELS[4])


@pytest.mark.parametrize("view", range(10))
def test_each_view(view):
    """Of image and mask alike, by slices of the whole frame."""
    boxes = [(0, 0), (0, 16), (12, 0), (12, 16), (6, 8)]
    top, left = boxes[view % 5]
    store = Store(image=PIXELS, mask=LABELS)
    row, _ = render(
        (StreamSpec("image"), StreamSpec("mask", kind="mask")),
        store,
        compile_recipe([TenCrop((8, 12))]),
        [0, 5],
        view=view,
    )
    for name, whole in (("image", PIXELS), ("mask", LABELS)):
        cut = whole[[0, 5], top : top + 8, left : left + 12]
        np.testing.assert_array_equal(row[name], cut[:, :, ::-1] if view >= 5 else cut)


@pytest.mark.parametrize("view", range(6))
def test_views_of_two_transforms(view):
    class Halves:
        views, fixes_size = 2, False

        def compose_view(self, geometry, number):
            return type(geometry)(geometry.y.crop(10 * number, 10), geometry.x)

    recipe = compile_recipe([Halves(), ThreeCrop((8, 12))])
    row, _ = render([StreamSpec("image")], Store(image=PIXELS), recipe, [3], view=view)
    half, place = divmod(view, 3)
    top, left = 10 * half + 1, (0, 8, 16)[place]
    np.testing.assert_array_equal(row["image"][0], PIXELS[3, top : top + 8, left : left + 12])


@pytest.mark.parametrize(
    ("streams", "frames", "message"),
    [
        ({"image": [encoded(PIXELS[0].astype(np.uint16)[..., 0], "PNG")]}, [0], "image[7, 0]: 16-bit PNG"),
        ({"image": PIXELS[..., :1]}, [5], "image[7, 5]: an array of uint8, (20, 28, 1)"),
        ({"image": PIXELS, "mask": LABELS[:, 1:]}, [4], "mask[7, 4]: is 19x28 while its image is 20x28"),
        ({"mask": LABELS, "image": PIXELS[:, :, 2:]}, [4], "image[7, 4]: is 20x26 while its mask is 20x28"),
    ],
)
def test_refused(streams, frames, message):
    kinds = [StreamSpec(name, kind="mask" if name == "mask" else "image") for name in streams]
    with pytest.raises(fc.FrameError, match=re.escape(message)):
        render(kinds, Store(**streams), compile_recipe([fc.CenterCrop((8, 12))]), frames)


def test_three_numbers_do_not_suit_gray():
    recipe = compile_recipe([fc.Normalize((0.1, 0.2, 0.3))])
    said = r"Normalize's mean=\(0.1, 0.2, 0.3\) is for red, green and blue, .* give one number"
    with pytest.raises(fc.OptionError, match=said):
        render([StreamSpec("image", channels=1)], Store(image=PIXELS), recipe, [0])


class Dataset(SimpleNamespace):
    def __len__(self):
        return len(self.index.keys)


def found(names, transforms=(), channels_first=False, weighting=None, start=0):
    dataset = Dataset(
        streams=(StreamSpec("image"), StreamSpec("gray", channels=1), StreamSpec("mask", kind="mask")),
        storage=Store(image=[b"", JPEGS[0]], gray=PIXELS[..., :1], mask=LABELS),
        index=SimpleNamespace(
            keys=np.array([7]), starts=np.array([start]), frame_counts=np.array([FRAMES - start])
        ),
        mixed=None,
    )
    recipe = compile_recipe(transforms, channels_first=channels_first)
    return {field.name: field for field in find_layout(dataset, recipe, 5, 2, names, weighting).slots.fields}


def test_layout():
    fields = found(["gray", "mask", "label"], [fc.Normalize(0.5)], weighting=Weighting("mask", WEIGHTS))
    assert list(fields) == ["gray", "mask", WEIGHT]
    assert fields["gray"] == Field("gray", (5, 20, 28, 1), "float32")
    assert fields["mask"] == Field("mask", (5, 20, 28), "uint8")
    assert fields[WEIGHT] == Field(WEIGHT, (5, 20, 28), "float32")
    assert found(["gray"], channels_first=True)["gray"].shape == (5, 1, 20, 28)


def test_layout_looks_at_a_rows_first_frame():
    assert found(["image"], start=1)["image"].shape == (5, 20, 28, 3)
    with pytest.raises(fc.FrameError, match=r"image\[7, 0\]: empty file"):
        found(["image"])


@pytest.mark.parametrize("stream", ["gray", "image"])
def test_what_cannot_be_weighted(stream):
    with pytest.raises(fc.OptionError, match=f"pixels of '{stream}' cannot be weighted: .* 'gray', 'mask'"):
        found(["gray", "mask"], weighting=Weighting(stream, WEIGHTS))


def test_a_layout_of_gray_refuses_three_numbers():
    transforms = [fc.Normalize(std=(0.1, 0.2, 0.3))]
    assert found(["image"], transforms, start=1)["image"].dtype == "float32"
    with pytest.raises(fc.OptionError, match=r"Normalize's std=\(0.1, 0.2, 0.3\) is for red"):
        found(["gray"], transforms)


def test_stats_tell_of_frames_that_pillow_decodes():
    names = fc.Stats.__dataclass_fields__
    stats = fc.Stats(**{**dict.fromkeys(names, 0), "pillow_frames": 1234})
    assert "  by Pillow           1,234  other formats, slower than JPEG and PNG" in str(stats)
    assert "Pillow" not in str(fc.Stats(**dict.fromkeys(names, 0)))
