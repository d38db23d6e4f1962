"""Functions of the user's among the pixel steps: what they get, what becomes of what they return."""

import copy
import functools
import random
import threading

import numpy as np
import pytest
from helpers import make_frames, make_masks
from hypothesis import given
from hypothesis import strategies as st
from slow_steps import slow_run

import fastclips as fc
from fastclips.functions import UserFunction
from fastclips.pixels.steps.base import Trial
from fastclips.pixels.steps.compiled import CompiledSteps, count_draws, try_functions

CLIP = fc.Windows(4, tail="pad")  # of each video frames 0 to 3, then 4, 5, 5, 5
GEOMETRY = [fc.RandomCrop(20), fc.RandomFlip()]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = make_frames(tmp_path_factory.mktemp("frames"), videos=3, frames=6)
    return fc.open({"image": root, "mask": make_masks(tmp_path_factory.mktemp("masks"), root)})


def serve(data, steps, workers=0, **options):
    """The inputs of an epoch, one after the other."""
    options = {"inputs": ("image", "mask"), "batch_size": 2, "shuffle": True, "targets": None, **options}
    with fc.ClipLoader(data, CLIP, [*GEOMETRY, *steps], workers=workers, **options) as loader:
        batches = [{name: array.copy() for name, array in x.items()} for x in loader]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


# What it returns


def drawn(array, scale):
    """Uses the generators, and overwrites what it is given."""
    noise = scale * np.random.standard_normal(array.shape) + random.random()  # noqa: NPY002
    array[:] = 7
    return noise


class Threshold:
    """A callable object that keeps what cannot be pickled, from its first call on."""

    def __init__(self):
        self.lock = None

    def __call__(self, clip):
        self.lock = self.lock or threading.Lock()
        return clip > 100


OFFSETS = np.arange(3, dtype=np.float32)
FUNCTIONS = {
    "a picture of its own size": (lambda frame: frame[::2, ::2], "frame", (4, 10, 10, 3), "uint8"),
    "floats": (lambda clip: clip / np.float32(255), "clip", (4, 20, 20, 3), "float32"),
    "doubles": (lambda frame: frame * 0.5, "frame", (4, 20, 20, 3), "float64"),
    "halves": (lambda clip: clip.astype(np.float16), "clip", (4, 20, 20, 3), "float16"),
    "an array of a closure": (lambda frame: frame + OFFSETS, "frame", (4, 20, 20, 3), "float32"),
    "what it got": (lambda clip: clip, "clip", (4, 20, 20, 3), "uint8"),
    "differences": (lambda clip: np.diff(clip.astype(int), axis=0), "clip", (3, 20, 20, 3), "int64"),
    "features": (lambda frame: [frame.mean(), frame.std()], "frame", (4, 2), "float64"),
    "a number": (lambda clip: clip.mean(), "clip", (), "float64"),
    "a number of each frame": (lambda frame: int(frame.max()), "frame", (4,), "int64"),
    "truth": (Threshold(), "clip", (4, 20, 20, 3), "bool"),
    "something drawn": (functools.partial(drawn, scale=3), "frame", (4, 20, 20, 3), "float64"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("function", "per", "shape", "dtype"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_any_result_in_any_number_of_workers(pairs, function, per, shape, dtype):
    """The same bytes; masks, the order and the trainer's generators are as without a function."""
    plain = serve(pairs, [])
    states = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    random_one = function is FUNCTIONS["something drawn"][0]
    inline, *pooled = (
        serve(pairs, [fc.Apply(copy.deepcopy(function), per=per)], workers)
        for workers in ((0, 1, 2) if random_one else (0, 2))
    )
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states  # noqa: NPY002
    for found in (inline, *pooled):
        assert (found["image"].shape, found["image"].dtype) == ((6, *shape), dtype)
        np.testing.assert_array_equal(found["image"], inline["image"])
        np.testing.assert_array_equal(found["mask"], plain["mask"])
    if not random_one:
        given = plain["image"]
        expected = [function(x) if per == "clip" else [function(frame) for frame in x] for x in given]
        np.testing.assert_array_equal(inline["image"], expected)


def test_what_is_drawn_differs_from_frame_to_frame_and_clip_to_clip(pairs):
    for per in ("clip", "frame"):
        found = serve(pairs, [fc.Apply(functools.partial(drawn, scale=1), per=per)])["image"]
        assert len({frame.tobytes() for clip in found for frame in clip}) == 24


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_share_of_clips_or_frames(pairs, workers):
    plain = serve(pairs, [])["image"]
    for per in ("clip", "frame"):
        acted = serve(pairs, [fc.Apply(lambda x: 255 - x, p=0.5, per=per)], workers)["image"] != plain
        touched = acted.any(axis=(2, 3, 4))
        assert 0 < touched.mean() < 1
        assert (touched.all(axis=1) == touched.any(axis=1)).all() == (per == "clip")
    np.testing.assert_array_equal(serve(pairs, [fc.Apply(lambda x: 255 - x, p=0)])["image"], plain)


@pytest.mark.slow
def test_channels_first(pairs):
    """The last axis of a picture moves; any other result is left alone."""
    for function, shape in [
        (lambda clip: clip[..., :1], (4, 1, 20, 20)),
        (lambda clip: clip[..., :2], (4, 20, 20, 2)),
        (lambda clip: np.moveaxis(clip, -1, 1), (4, 3, 20, 20)),
        (lambda clip: clip[0], (20, 20, 3)),
    ]:
        last = serve(pairs, [fc.Apply(function)])["image"]
        first = serve(pairs, [fc.Apply(function)], channels_first=True, workers=1)["image"]
        assert first.shape[1:] == shape
        moved = last.ndim == 5 and last.shape[-1] in (1, 3)
        np.testing.assert_array_equal(first, np.moveaxis(last, -1, 2) if moved else last)


# Among other steps


def invert(array):
    return 255 - array


def halve(array):
    return array[..., ::2, :]


def brightest(array):
    return array.max(axis=-1, keepdims=True)


def standardise(array):
    return (array / np.float32(40)).astype(np.float32)


when = {"p": st.sampled_from([0, 0.5, 1]), "per": st.sampled_from(["clip", "frame"])}
picture_steps = st.one_of(
    st.builds(fc.Brightness, st.just(0.4), **when),
    st.builds(fc.ChannelShift, st.just(50), **when),
    st.builds(fc.GaussianNoise, st.just(9), **when),
    st.builds(fc.Blur, st.just(0.8), **when),
    st.builds(fc.Apply, st.just(invert), **when),
    st.builds(fc.Apply, st.sampled_from([halve, brightest]), per=when["per"]),
)
standardising_steps = st.sampled_from(
    [fc.Rescale(0.1, 2), fc.PerSample(), fc.FeatureWise(3, 4), fc.Apply(standardise, per="frame")]
)


def one_by_one(steps, clip, draws):
    """Each step alone, with a function called on what the steps since the last one make of its result."""
    place = next((at for at, step in enumerate(steps) if isinstance(step, fc.Apply)), len(steps))
    before, rest = steps[:place], steps[place:]
    used = count_draws(before, len(clip))
    if clip.dtype == np.uint8:
        compiled = CompiledSteps(before, clip.shape[-1])
        given = np.empty(clip.shape, compiled.dtype)
        compiled.run(clip, draws[:used], given)
    else:
        given = slow_run(before, clip, draws[:used], standardised=True).astype(np.float32)
    if not rest:
        return given
    function, draws = rest[0], draws[used:]
    count = 2 * (len(clip) if function.per == "frame" else 1)
    acts = [chance < function.p for chance in draws[:count:2]]
    call = function.function._function
    if function.per == "clip":
        result = call(given) if acts[0] else given
    else:
        result = np.stack([call(frame) if act else frame for act, frame in zip(acts, given, strict=True)])
    return one_by_one(rest[1:], np.ascontiguousarray(result), draws[count:])


@pytest.mark.slow
@given(st.lists(picture_steps, max_size=4), st.lists(standardising_steps, max_size=3), st.integers(0, 2**32))
def test_any_list_with_functions(pictures, standardising, seed):
    steps, random = [*pictures, *standardising], np.random.default_rng(seed)
    clip = random.integers(0, 256, (3, 6, 16, 3), np.uint8)
    draws = random.random(count_draws(steps, 3)).tolist()
    trials = try_functions(steps, 3, clip.copy())
    compiled = CompiledSteps(steps, 3, trials)
    out = np.empty(compiled.shape(clip.shape), compiled.dtype)
    compiled.run(clip.copy(), draws, out)
    expected = one_by_one(steps, clip, draws)
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    if out.dtype == np.uint8:
        np.testing.assert_array_equal(out, expected)
    else:
        np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-3)


def test_what_a_function_gets():
    """Bytes rounded as in a batch; float32 behind what standardises, whatever the type of the batch."""

    def look(clip):
        assert clip.flags.c_contiguous
        assert clip.flags.writeable
        return clip

    clip = np.full((2, 4, 5, 3), 101, np.uint8)
    lists = [[], [fc.Brightness(0.5, 0.5)], [fc.Blur(1)], [fc.Rescale(dtype="float16")], [fc.PerSample()]]
    (*bytes_, rescaled, standardised) = [try_functions([*steps, fc.Apply(look)], 3, clip) for steps in lists]
    assert bytes_ == [(Trial(clip.shape, clip.shape, "uint8"),)] * 3
    assert rescaled == standardised == (Trial(clip.shape, clip.shape, "float32"),)
    steps = [fc.Brightness(0.5, 0.5), fc.Apply(lambda clip: clip + 0), fc.Brightness(2, 2)]
    compiled = CompiledSteps(steps, 3, try_functions(steps, 3, clip))
    out = np.empty(clip.shape, np.uint8)
    compiled.run(clip, [0.0] * compiled.draws(2), out)
    assert (out == 102).all(), "101 / 2 is rounded before the function, and only then doubled"


# What cannot be


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [fc.Apply(lambda x: x[0]), fc.Brightness(0.1)],
            r"stands after Apply.* uint8 \(20, 20, 3\) of a clip",
        ),
        ([fc.Apply(lambda x: x[..., :2]), fc.Rescale()], r"of one or three channels, uint8 or floating"),
        ([fc.Apply(lambda x: x.astype(int)), fc.Rescale()], r"function makes int64 \(4, 20, 20, 3\)"),
        (
            [fc.Apply(lambda x: x / 2), fc.Brightness(0.1)],
            r"Brightness.* stands after Apply.*leaves the scale",
        ),
        ([fc.Apply(lambda x: x[..., :1]), fc.Hue(9)], "needs colour, but the pictures are gray"),
        ([fc.Apply(lambda x: x[1:]), fc.Hue(9, per="frame")], "for each of 4 frames: give it per='clip'"),
        ([fc.Apply(np.sum), fc.Apply(np.sum, per="frame")], "for each of 4 frames: give it per='clip'"),
        (
            [fc.Apply(lambda x: x / 2, p=0.5)],
            r"makes float64 .* of uint8 .*: return the shape and dtype",
        ),
        ([fc.Apply(lambda x: x[:, ::2], p=0.5)], r"or give p=1"),
        ([fc.RandomShift(3, fill="constant"), fc.Apply(np.mean)], "fill='constant' .* give another fill"),
    ],
)
def test_lists_that_cannot_be(pairs, steps, said):
    with pytest.raises(fc.OptionError, match=said):
        serve(pairs, steps)


@pytest.mark.parametrize(("dtype", "value"), [("int8", 200), ("bool", 7)])
def test_what_fills_must_be_a_number_of_what_is_made(pairs, dtype, value):
    shift = fc.RandomShift(9, 9, fill="constant", fill_value=value)
    with pytest.raises(fc.OptionError, match=rf"fill_value={value}: must be a number of {dtype}, .* fill"):
        serve(pairs, [shift, fc.Apply(lambda clip: (clip // 2).astype(dtype))])


@pytest.mark.slow
def test_what_is_outside_is_filled_behind_a_function(pairs):
    shift = fc.RandomShift(9, 9, fill="constant", fill_value=200)
    found = serve(pairs, [shift, fc.Apply(lambda clip: clip // 2)], workers=1)["image"]
    assert found[found > 127].min() == 200


@pytest.mark.parametrize(
    ("function", "said"),
    [(None, "Apply's function=None: must be a function"), (3, "Apply's function=3: must be a function")],
)
def test_what_is_no_function(function, said):
    with pytest.raises(fc.OptionError, match=said):
        fc.Apply(function)
    with pytest.raises(fc.OptionError, match="Apply's per='step': must be one of 'clip', 'frame'"):
        fc.Apply(np.mean, per="step")
    with pytest.raises(fc.OptionError, match="Apply's p=2: must be a number from 0 to 1"):
        fc.Apply(np.mean, p=2)


def fails(_):
    raise KeyError("no such thing")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fails, r"Apply's function fails raised KeyError: 'no such thing'"),
        (lambda _: None, r"Apply's function .*<lambda> returned None: it must return an array of numbers"),
        (lambda clip: {"clip": clip}, r"returned \{'clip': array\(\[\[\[\[.*: it must return an array"),
        (lambda clip: clip.astype("V4"), r"returned \|V4 \(4, 20, 20, 3\): .* of a type that NumPy has"),
        (lambda _: "text", "returned 'text': it must return an array of numbers"),
        (lambda clip: clip[:0], r"returned uint8 \(0, 20, 20, 3\): .* not an empty one"),
        (lambda clip: [clip, clip[0]], "raised ValueError: .*inhomogeneous"),
    ],
)
def test_a_function_that_fails_as_it_is_tried_out(pairs, workers, function, said):
    """It is told before anything is started, and what frame it failed on."""
    with pytest.raises(fc.FrameError, match=rf"video_0/frame_00001\.jpg: .*{said}"):
        serve(pairs, [fc.Apply(function)], workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("per", ["clip", "frame"])
def test_a_function_that_fails_later(pairs, workers, per, capfd):
    """On the second video, which is the third folder."""
    second = serve(pairs, [], batch_size=6, shuffle=False)["image"][2, 0]

    def wrong_twice(array):
        frame = array if per == "frame" else array[0]
        if np.array_equal(frame, second):
            raise RuntimeError("this one I do not like")
        return array

    def shrinks(array):
        frame = array if per == "frame" else array[0]
        return array[:3] if np.array_equal(frame, second) else array

    options = {"workers": workers, "shuffle": False, "batch_size": 6}
    with pytest.raises(
        fc.FrameError, match=r"video_2/frame_00001\.jpg: .*wrong_twice raised .*I do not like"
    ):
        serve(pairs, [fc.Apply(wrong_twice, per=per)], **options)
    assert ("RuntimeError: this one I do not like" in capfd.readouterr().err) == bool(workers)
    shape = r"\(20, 20, 3\)" if per == "frame" else r"\(4, 20, 20, 3\)"
    with pytest.raises(
        fc.FrameError, match=rf"video_2/.*shrinks returned uint8 \(3, 20.*, but uint8 {shape}"
    ):
        serve(pairs, [fc.Apply(shrinks, per=per)], **options)


def test_what_cannot_be_sent(pairs):
    """Without workers it need not be."""
    lock = threading.Lock()

    def locked(clip):
        with lock:
            return clip

    assert serve(pairs, [fc.Apply(locked)])["image"].shape == (6, 4, 20, 20, 3)
    with pytest.raises(fc.OptionError, match=r"function=.*locked.* cannot be sent to workers: .*lock"):
        serve(pairs, [fc.Apply(locked)], workers=1)


@pytest.mark.slow
def test_a_function_that_changes_by_being_called(pairs):
    """Loaders try out a copy of it, so that it can be sent again and again."""
    function = Threshold()
    found = [serve(pairs, [fc.Apply(function)], workers=1)["image"] for _ in range(2)]
    np.testing.assert_array_equal(*found)
    assert function.lock is None


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_each_loader_takes_a_function_as_it_is_then(pairs, workers):
    """One declaration may be in several loaders; unless it cannot be sent any more, as of a model in use."""
    options = {"shift": 3}
    threshold = Threshold()
    steps = [fc.Apply(lambda clip: clip // 2 + options["shift"]), fc.Apply(threshold)]
    first = serve(pairs, steps[:1], workers)["image"]
    options["shift"] = 5
    np.testing.assert_array_equal(serve(pairs, steps[:1], workers)["image"], first + np.uint8(2))
    found = serve(pairs, steps[1:], 0)["image"]
    assert threshold.lock is not None
    np.testing.assert_array_equal(serve(pairs, steps[1:], workers)["image"], found)


def test_names_and_reprs():
    assert repr(fc.Apply(invert)) == "Apply(function=invert, p=1.0, per='clip')"
    assert UserFunction(functools.partial(functools.partial(drawn), scale=1), "f").name == "drawn"
    assert UserFunction(Threshold(), "f").name == "Threshold"
    assert UserFunction(np.sin, "f").name == "sin"
    again = UserFunction(UserFunction(invert, "f"), "g")
    assert again(0.5, np.uint8(1)) == 254


def test_a_function_that_has_arrived_travels_on():
    function = UserFunction(functools.partial(np.add, 3), "f")
    for _ in range(2):
        function = copy.copy(function)
        assert function.arrived
        assert function(0.5, 4) == 7
