"""keras-video-generators over again: clips augmented, and the motion in them."""

import cv2
import numpy as np
import pytest
from helpers import picture

av = pytest.importorskip("av", reason="video extra")

from videos import epoch, write_movie  # noqa: E402 - needs av

from fastclips.compat import keras_video as kv  # noqa: E402 - as above
from fastclips.compat.image import ImageDataGenerator  # noqa: E402 - as above
from fastclips.compat.keras_video.motion import Motion  # noqa: E402 - as above
from fastclips.errors import OptionError  # noqa: E402 - as above


class Marked:
    """Adds a number that is drawn."""

    def get_random_transform(self, shape):
        assert shape == (48, 64, 3)
        return float(np.random.randint(1000))  # noqa: NPY002 - as users write

    def apply_transform(self, x, drawn):
        assert x.dtype == np.float32
        assert 200 < x.max() <= 255
        return np.full_like(x, drawn)


def test_an_augmentation_is_drawn_once_for_a_clip_and_sees_bytes(make_movies):
    generator = make_movies(transformation=Marked(), rescale=0.5)
    drawn = [clip[:, 0, 0, 0].tolist() for _ in range(2) for x, _ in epoch(generator) for clip in x]
    assert all(len(set(clip)) == 1 for clip in drawn)
    assert len({clip[0] for clip in drawn}) > 10
    again = make_movies(transformation=Marked(), rescale=0.5)
    assert [clip[:, 0, 0, 0].tolist() for _ in range(2) for x, _ in epoch(again) for clip in x] == drawn


def test_the_global_generator_is_left_alone(make_movies):
    before = np.random.get_state()  # noqa: NPY002 - the global one is meant
    epoch(make_movies(transformation=Marked()))
    after = np.random.get_state()  # noqa: NPY002 - as above
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"horizontal_flip": True, "vertical_flip": True},
        {"brightness_range": (0.4, 1.6)},
        {"channel_shift_range": 50.0},
        {"rotation_range": 20, "width_shift_range": 0.2, "zoom_range": 0.2, "shear_range": 10},
    ],
)
def test_our_image_data_generator_augments(make_movies, options):
    transformation = ImageDataGenerator(**options)
    generator = make_movies(transformation=transformation, shuffle=False, batch_size=7)
    plain = make_movies(rescale=None, shuffle=False, batch_size=7)[0][0]
    augmented = next(generator)[0]
    random = np.random.RandomState(5)
    for clip, frames in zip(augmented, plain, strict=True):
        drawn = transformation.augmentation.draw(random, 48, 64)
        expected = [transformation.apply_transform(frame, drawn) for frame in frames]
        np.testing.assert_allclose(clip, np.float32(expected) / np.float32(255), atol=1e-6)
    assert not np.array_equal(augmented, plain / np.float32(255))


def test_what_cannot_augment(make_movies):
    class Halving(Marked):
        def apply_transform(self, x, _):
            return x[::2]

    with pytest.raises(
        OptionError, match=r"must keep the shape \(48, 64, 3\) of a frame, and returned \(24, 64, 3\)"
    ):
        epoch(make_movies(transformation=Halving()))
    with pytest.raises(OptionError, match=r"transformation=<function .* must have get_random_transform"):
        make_movies(transformation=np.flip)
    with pytest.raises(OptionError, match="data_format='channels_first': must be channels_last"):
        make_movies(transformation=ImageDataGenerator(data_format="channels_first"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A texture that goes 3 pixels to the right, one that goes down, one that goes up."""
    root = tmp_path_factory.mktemp("moving")
    large = cv2.resize(picture(3, 30, 30), (200, 200), interpolation=cv2.INTER_CUBIC)
    for name, (down, across) in {"right": (0, 3), "down": (3, 0), "up": (-3, 0)}.items():
        frames = [
            np.ascontiguousarray(large[60 - down * t : 124 - down * t, 60 - across * t : 124 - across * t])
            for t in range(7)
        ]
        write_movie(root / name / "v.mp4", frames, "libx264", {"crf": "1"})
    return f"{root}/{{classname}}/*.mp4"


def test_flow_has_a_hue_for_its_direction(make_movies, moving):
    x, y = make_movies(
        kv.OpticalFlowGenerator, glob_pattern=moving, target_shape=(64, 64), nb_frames=6, shuffle=False
    )[0]
    assert x.shape == (3, 6, 64, 64, 3)
    assert y.tolist() == np.eye(3).tolist()
    assert x.min() >= 0
    assert x.max() <= 1
    down, right, up = x[:, :, 16:48, 16:48].mean((1, 2, 3))
    hues = [
        cv2.cvtColor(np.float32(colour).reshape(1, 1, 3), cv2.COLOR_RGB2HSV)[0, 0, 0]
        for colour in (right, down, up)
    ]
    assert min(hues[0], 360 - hues[0]) < 15
    assert abs(hues[1] - 90) < 15
    assert abs(hues[2] - 270) < 15


def test_equal_frames_are_black():
    frame = picture(0)
    assert not Motion(kv.METHOD_OPTICAL_FLOW).between(frame, frame).any()
    assert Motion(kv.METHOD_OPTICAL_FLOW).between(frame, np.roll(frame, 2, 1)).max() > 200


@pytest.mark.parametrize("channels", [1, 3])
def test_differences_and_masks(make_movies, moving, channels):
    options = {
        "glob_pattern": moving,
        "target_shape": (64, 64),
        "nb_channel": channels,
        "shuffle": False,
        "classes": ["right"],
    }
    frames = make_movies(nb_frames=4, rescale=None, **options)[0][0][0].astype(np.float64)
    grays = frames if channels == 1 else frames @ np.array([0.299, 0.587, 0.114])[:, None]
    differences = np.abs(np.diff(grays, axis=0)) * np.ones(channels)
    means = (frames[1:] + frames[:-1]) / 2

    def run(method, **more):
        return make_movies(kv.OpticalFlowGenerator, nb_frames=3, method=method, **options, **more)[0][0][0]

    np.testing.assert_allclose(run(kv.METHOD_ABS_DIFF), differences / 255, atol=1e-6)
    sigma = 0.3 * ((15 - 1) * 0.5 - 1) + 0.8  # OpenCV's, of a window of 15
    flow = run(kv.METHOD_OPTICAL_FLOW)
    assert flow.shape == (3, 64, 64, channels)
    for method, mask in ((kv.METHOD_DIFF_MASK, differences / 255), (kv.METHOD_FLOW_MASK, flow)):
        expected = means * slow_blur(mask, sigma) / 255
        np.testing.assert_allclose(run(method), expected, atol=1e-5)
        np.testing.assert_allclose(run(method, rescale=2.0), expected * 510, atol=1e-2)


def slow_blur(frames, sigma):
    weights = np.exp(-((np.arange(15) - 7) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (1, 2):
        padded = np.pad(frames, [(7, 7) if a == axis else (0, 0) for a in range(4)], mode="reflect")
        frames = sum(w * np.take(padded, np.arange(64) + k, axis) for k, w in enumerate(weights))
    return frames
