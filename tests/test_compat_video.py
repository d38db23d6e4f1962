"""keras-video-generators over again: what they show, and none of their faults. No Keras is needed."""

import gc
import shutil
import weakref
from math import ceil, floor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

av = pytest.importorskip("av", reason="video extra")

from videos import LENGTHS, epoch, seen, show, write_movie  # noqa: E402 - needs av

from fastclips.compat import keras_video as kv  # noqa: E402 - as above
from fastclips.compat._base.cache import KeptArrays  # noqa: E402 - as above
from fastclips.compat.keras_video.windows import Windows, spread  # noqa: E402 - as above
from fastclips.data.video_files import Movie  # noqa: E402 - as above
from fastclips.errors import FrameError  # noqa: E402 - as above


def shown(batches):
    """The numbers that the frames of each clip show."""
    return [[seen(frame) for frame in clip] for x, _ in batches for clip in x]


def by_opencv(path, frames, shape, channels=3, rescale=1 / 255):
    """Frames as the original reads them, but for its faults of gray and of the shape."""
    capture, found = cv2.VideoCapture(str(path)), []
    for number in range(max(frames) + 1):
        _, frame = capture.read()
        if number in frames:
            frame = cv2.cvtColor(cv2.resize(frame, shape[::-1]), cv2.COLOR_BGR2RGB)
            frame = frame if channels == 3 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
            found.append(frame.astype(np.float32) * rescale)
    return np.array(found)


def original_choice(total, wanted):
    """What the original's loop over a video keeps, counting from 0."""
    step, kept = max(1, floor((total + total % 2) / (wanted - 1))), []
    for number in range(1, total + 1):
        if number == 1 or number % step == 0 or number == total:
            kept.append(number - 1)
        if len(kept) == wanted:
            break
    return kept


@given(st.integers(1, 500), st.integers(1, 40))
def test_frames_are_spread_from_the_first_to_the_last(count, wanted):
    frames = spread(count, wanted).tolist()
    assert len(frames) == wanted
    assert frames[0] == 0
    assert frames[-1] == (count - 1 if wanted > 1 else 0)
    gaps = np.diff(frames)
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


@given(st.integers(2, 40), st.integers(2, 40))
def test_frames_are_the_originals_where_these_divide_the_video(wanted, gap):
    count = gap * (wanted - 1)
    if count % 2 == 0:
        assert spread(count, wanted).tolist() == original_choice(count, wanted)


def listed_windows(count, covered, wanted):
    """What the original's sliding generator lists (and does not show)."""
    stop = covered - wanted
    step = ceil(covered / wanted) - 1
    if step < 1:
        return None
    windows = [np.arange(start, start + stop)[::step][:wanted].tolist() for start in range(count - stop + 1)]
    return windows if windows and min(map(len, windows)) == wanted else None


@given(st.integers(1, 120), st.integers(1, 150), st.integers(1, 12))
def test_windows_are_those_that_the_original_lists(count, covered, wanted):
    windows = Windows(np.array([7, count]), np.array([7, covered]), wanted)
    before = len(Windows(np.array([7]), np.array([7]), wanted))
    numbers = np.arange(before, len(windows))
    assert set(windows.videos(np.arange(before)).tolist()) == {0}
    assert set(windows.videos(numbers).tolist()) == {1}
    frames = windows.frames(numbers)
    assert frames.shape == (len(numbers), wanted)
    assert frames.min() >= 0
    assert frames.max() < count
    if count >= wanted:
        np.testing.assert_array_equal(
            frames - frames[:1], np.broadcast_to(numbers[:, None] - before, frames.shape)
        )
        assert (np.diff(frames, axis=1) > 0).all()
        listed = listed_windows(count, min(covered, count), wanted)
        assert listed is None or frames.tolist() == listed
    else:
        assert frames.tolist() == [spread(count, wanted).tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(48, 64), (30, 50)])
def test_clips_are_those_that_opencv_reads(make_movies, channels, shape):
    generator = make_movies(target_shape=shape, nb_channel=channels, shuffle=False)
    (x, _), *_ = epoch(generator)
    assert x.dtype == np.float32
    for clip, path in zip(x, generator.files, strict=False):
        expected = by_opencv(path, spread(Movie(path).frame_count, 5).tolist(), shape, channels)
        np.testing.assert_allclose(clip, expected, atol=2.01 / 255)


def test_frames_are_spread_over_each_video_and_short_ones_repeated(make_movies):
    generator = make_movies(shuffle=False)
    assert shown(epoch(generator)) == [spread(length, 5).tolist() for length in LENGTHS.values()]
    assert spread(3, 5).tolist() == [0, 0, 1, 1, 2]


def test_batches_hold_each_clip_once_and_the_last_is_served(make_movies):
    generator = make_movies(shuffle=False)
    assert (len(generator), generator.n, generator.files_count, generator.classes_count) == (3, 7, 7, 2)
    batches = epoch(generator)
    assert [x.shape for x, _ in batches] == [(3, 5, 48, 64, 3), (3, 5, 48, 64, 3), (1, 5, 48, 64, 3)]
    labels = np.concatenate([y for _, y in batches])
    assert labels.dtype == np.float32
    assert labels.tolist() == [[1, 0]] * 3 + [[0, 1]] * 4
    root = generator.glob_pattern.split("{")[0]
    assert generator.files == [f"{root}{name}.mp4" for name in LENGTHS]
    again = generator.next()
    np.testing.assert_array_equal(again[0], batches[0][0])
    np.testing.assert_array_equal(generator[-1][0], batches[-1][0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["VideoFrameGenerator", "SlidingFrameGenerator", "OpticalFlowGenerator"])
def test_the_same_bits_for_any_number_of_workers(make_movies, kind):
    class Shifted:
        def get_random_transform(self, shape):
            return np.random.randint(0, shape[1])  # noqa: NPY002 - as users write

        def apply_transform(self, x, drawn):
            return np.roll(x, drawn, 1)

    options = {"kind": getattr(kv, kind), "nb_frames": 4, "transformation": Shifted()}
    runs = [
        [*epoch(generator), *epoch(generator)]
        for generator in (make_movies(workers=workers, **options) for workers in (0, 1, 2))
    ]
    for other in runs[1:]:
        for (x, y), (other_x, other_y) in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(x, other_x)
            np.testing.assert_array_equal(y, other_y)
    first, second = runs[0][: len(runs[0]) // 2], runs[0][len(runs[0]) // 2 :]
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert (
        np.sum([y.sum(0) for _, y in first], 0).tolist() == np.sum([y.sum(0) for _, y in second], 0).tolist()
    )


def test_rescale(make_movies):
    plain, scaled = (
        make_movies(rescale=None, shuffle=False)[0][0],
        make_movies(rescale=0.5, shuffle=False)[0][0],
    )
    assert plain.max() > 200
    np.testing.assert_array_equal(plain * np.float32(0.5), scaled)


def test_a_header_that_lies_is_not_gone_by(tmp_path, make_movies):
    path = write_movie(tmp_path / "a" / "v.avi", [show(number) for number in range(20)], "mpeg4")
    data = bytearray(path.read_bytes())
    for tag, field in ((b"avih", 16), (b"strh", 32)):
        place = data.index(tag) + 8 + field
        data[place : place + 4] = (30).to_bytes(4, "little")
    path.write_bytes(data)
    for use_headers in (True, False):
        generator = make_movies(glob_pattern=f"{tmp_path}/{{classname}}/*.avi", use_headers=use_headers)
        assert shown(epoch(generator)) == [spread(20, 5).tolist()]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_is_no_video_raises_its_path(tmp_path, make_movies, workers):
    write_movie(tmp_path / "a" / "v.mp4", [show(number) for number in range(5)])
    (tmp_path / "a" / "w.mp4").write_bytes(b"no video" * 100)
    generator = make_movies(glob_pattern=f"{tmp_path}/{{classname}}/*.mp4", workers=workers)
    with pytest.raises(FrameError, match=r"a/w\.mp4' cannot be opened as a video: Invalid data"):
        epoch(generator)
    with pytest.raises(FrameError, match=r"a/w\.mp4'"):
        make_movies(kv.SlidingFrameGenerator, glob_pattern=f"{tmp_path}/{{classname}}/*.mp4")


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_frames_need_no_file(tmp_path, movie_files, make_movies, workers):
    root = shutil.copytree(movie_files.split("/{")[0], tmp_path / "copy")
    options = {"glob_pattern": f"{root}/{{classname}}/*.mp4", "shuffle": False, "workers": workers}
    expected = epoch(make_movies(**{**options, "workers": 0}))
    kept = make_movies(**options, use_frame_cache=True)
    other = make_movies(**options)
    epoch(kept)
    shutil.rmtree(root)
    for (x, _), (known, _) in zip(epoch(kept), expected, strict=True):
        np.testing.assert_array_equal(x, known)
    with pytest.raises(FrameError, match=r"v0\.mp4' cannot be opened as a video: No such file"):
        epoch(other)


def test_a_kept_clip_is_whole_or_not_there():
    cache = KeptArrays(3, (2, 4, 4, 3))
    clip = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    assert cache.get(1) is None
    cache.put(1, clip)
    np.testing.assert_array_equal(cache.get(1), clip)
    assert cache.get(0) is None
    assert cache._area.claim(0)  # another worker writes it
    assert cache.get(0) is None
    cache.put(0, clip)
    assert cache.get(0) is None


def test_kept_frames_go_with_the_generator(movie_files, monkeypatch):
    made = []

    def note(*arguments, **options):
        cache = KeptArrays(*arguments, **options)
        made.append(weakref.ref(cache))
        return cache

    monkeypatch.setattr("fastclips.compat.keras_video.generators.KeptArrays", note)
    generator = kv.VideoFrameGenerator(
        glob_pattern=movie_files, use_frame_cache=True, target_shape=(16, 16), workers=0
    )
    next(generator)
    assert [cache() is None for cache in made] == [False]
    generator.close()
    gc.collect()
    assert [cache() is None for cache in made] == [True]


def test_each_window_shows_its_own_frames(make_movies):
    generator = make_movies(kv.SlidingFrameGenerator, nb_frames=4, shuffle=False)
    info = generator.vid_info
    assert len(info) == generator.n == sum(len(listed_windows(n, n, 4) or [0]) for n in LENGTHS.values())
    assert shown(epoch(generator)) == [entry["frames"].tolist() for entry in info]
    assert [entry["id"] for entry in info] == list(range(generator.n))
    assert {entry["name"] for entry in info} == set(generator.files)
    assert {(entry["name"].rsplit("/", 1)[1], entry["frame_count"], entry["fps"]) for entry in info} >= {
        ("v2.mp4", 31, 25.0)
    }
    assert len({(entry["name"], *entry["frames"].tolist()) for entry in info}) == len(info)


def test_windows_of_some_seconds(make_movies):
    """0.4 seconds of 25 frames a second are 10 frames: 3 windows of 8, from which every 4th is taken."""
    generator = make_movies(
        kv.SlidingFrameGenerator, nb_frames=2, sequence_time=0.4, shuffle=False, classes=["a"]
    )
    counts = [LENGTHS[name] for name in LENGTHS if name.startswith("a/")]
    assert generator.n == sum(count - 8 + 1 for count in counts)
    assert shown([generator[0]])[:2] == [[0, 4], [1, 5]]
    longer = make_movies(kv.SlidingFrameGenerator, nb_frames=2, sequence_time=1000, classes=["a"])
    assert longer.n == make_movies(kv.SlidingFrameGenerator, nb_frames=2, classes=["a"]).n


def test_labels_of_windows(make_movies):
    generator = make_movies(kv.SlidingFrameGenerator, nb_frames=4, batch_size=7)
    names = np.array([entry["name"] for entry in generator.vid_info])
    for _ in range(2):
        labels = np.concatenate([y.argmax(1) for _, y in epoch(generator)])
        order = generator.index_array
        assert sorted(order.tolist()) == list(range(generator.n))
        assert labels.tolist() == ["/b/" in name for name in names[order]]
