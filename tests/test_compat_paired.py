"""Paired crops: x and y cut alike, every sample once per epoch, the same for any number of workers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.compat.arrays.paired import paired_random_crop

HEIGHT, WIDTH = 11, 9


def places(samples, steps=None, channels=3, height=HEIGHT, width=WIDTH):
    """Pixels that tell their sample, frame, row and column (in the channels); masks that tell all at once."""
    shape = (samples, height, width) if steps is None else (samples, steps, height, width)
    index = np.indices(shape)
    x = np.stack([index[0], index[-2], index[-1], index[1]][:channels], axis=-1).astype(np.uint8)
    return x, np.ravel_multi_index(tuple(index), shape).astype(np.int32)


def boxes(x):
    """Sample, top and left of each row of a batch."""
    first = x[(slice(None), *[0] * (x.ndim - 2))]
    return [tuple(int(v) for v in row[:3]) for row in first]


def epoch(generator):
    return [next(generator) for _ in range(len(generator))]


@settings(max_examples=60)
@given(
    samples=st.integers(1, 9),
    steps=st.none() | st.integers(1, 3),
    size=st.tuples(st.integers(1, HEIGHT), st.integers(1, WIDTH)),
    batch_size=st.integers(1, 5),
    per=st.sampled_from(["clip", "batch"]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_each_sample_once_and_cut_alike(samples, steps, size, batch_size, per, shuffle, seed):
    x, y = places(samples, steps)
    with paired_random_crop(x, y, size, batch_size, per, shuffle, seed) as generator:
        assert len(generator) == -(-samples // batch_size)
        for _ in range(2):
            seen = []
            for a, b in epoch(generator):
                assert len(a) == len(b) > 0
                for row, (sample, top, left) in enumerate(boxes(a)):
                    box = (..., slice(top, top + size[0]), slice(left, left + size[1]))
                    np.testing.assert_array_equal(a[row], x[sample][(*box, slice(None))])
                    np.testing.assert_array_equal(b[row], y[sample][box])
                    seen.append(sample)
                if per == "batch":
                    assert len({box[1:] for box in boxes(a)}) == 1
            assert sorted(seen) == list(range(samples))
            if not shuffle:
                assert seen == sorted(seen)


def test_places_are_drawn_evenly():
    """Every place of the box comes about as often: a chi-squared of 1,000 draws over 5 x 4 places."""
    x, y = places(250)
    with paired_random_crop(x, y, (HEIGHT - 4, WIDTH - 3), 50, seed=1) as generator:
        drawn = [box[1:] for _ in range(4) for a, _ in epoch(generator) for box in boxes(a)]
    counts = np.zeros((5, 4))
    np.add.at(counts, tuple(np.transpose(drawn)), 1)
    assert ((counts - 50) ** 2 / 50).sum() < 43.8  # 19 degrees of freedom, 1 in 1,000


@pytest.mark.slow
@pytest.mark.parametrize("per", ["clip", "batch"])
def test_the_same_batches_for_any_number_of_workers(per):
    x, y = places(10, 2)
    batches = []
    for workers in (0, 1, 2):
        with paired_random_crop(x, y, 5, 4, per, seed=3, workers=workers) as generator:
            batches.append([next(generator) for _ in range(7)])
    for other in batches[1:]:
        for (a, b), (c, d) in zip(batches[0], other, strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


def test_epochs_and_seeds_differ():
    x, y = places(12)

    def first(seed, epochs=1):
        with paired_random_crop(x, y, 4, 12, seed=seed) as generator:
            return [boxes(next(generator)[0]) for _ in range(epochs)]

    one, two = first(5, epochs=2)
    assert one != two
    assert first(5)[0] == one
    assert first(6)[0] != one
    assert first(None)[0] != first(None)[0]


@pytest.mark.slow
@pytest.mark.parametrize("given_as", ["path", "map", "str"])
@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_files_give_what_memory_gives(tmp_path, given_as, steps, workers):
    x, y = places(7, steps)
    want = paired_random_crop(x, y, (4, 5), 3, seed=1)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    files = [tmp_path / "x.npy", tmp_path / "y.npy"]
    sources = {"path": files, "str": map(str, files), "map": [np.load(f, mmap_mode="r") for f in files]}
    with paired_random_crop(*sources[given_as], (4, 5), 3, seed=1, workers=workers) as generator:
        for _ in range(5):
            for a, b in zip(next(want), next(generator), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", ">f8", "bool", "complex64"])
def test_any_dtype(dtype):
    x, y = places(4)
    with paired_random_crop(x.astype(dtype), y.astype(dtype), 4, 2, seed=0) as generator:
        a, b = next(generator)
    with paired_random_crop(x, y, 4, 2, seed=0) as generator:
        c, d = next(generator)
    assert a.dtype == b.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(a, c.astype(dtype))
    np.testing.assert_array_equal(b, d.astype(dtype))


def test_masks_with_channels_and_of_other_dtypes():
    x, y = places(4, 2)
    y = np.stack([y, y + 1], axis=-1).astype(np.float64)
    with paired_random_crop(x, y, 4, 2, seed=0) as generator:
        a, b = next(generator)
    assert a.shape == (2, 2, 4, 4, 3)
    assert b.shape == (2, 2, 4, 4, 2)
    for row, (sample, top, left) in enumerate(boxes(a)):
        np.testing.assert_array_equal(b[row], y[sample, :, top : top + 4, left : left + 4])


def test_views_of_arrays_are_cut_as_they_are():
    x, y = places(8, 2)
    x, y = np.flip(x[::2], axis=2), np.asfortranarray(np.flip(y[::2], axis=2))
    with paired_random_crop(x, y, 4, 4, seed=0) as generator:
        a, _ = next(generator)
    with paired_random_crop(x.copy(), y.copy(), 4, 4, seed=0) as generator:
        np.testing.assert_array_equal(next(generator)[0], a)


def test_the_last_batch_may_be_left_out():
    x, y = places(5)
    with paired_random_crop(x, y, 4, 2, seed=0, drop_last=True) as generator:
        assert len(generator) == 2
        assert [len(next(generator)[0]) for _ in range(4)] == [2, 2, 2, 2]


def test_a_batch_is_the_callers_own():
    x, y = places(4)
    before = x.copy()
    with paired_random_crop(x, y, (HEIGHT, WIDTH), 4, shuffle=False, workers=0) as generator:
        a, b = next(generator)
        a[:], b[:] = 0, 0
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(next(generator)[0], before)


def test_it_goes_on_without_end():
    x, y = places(3)
    with paired_random_crop(x, y, 4, 2, seed=0) as generator:
        assert [len(batch[0]) for batch, _ in zip(generator, range(6), strict=False)] == [2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"crop": 12}, "crop=12.*11x9"),
        ({"crop": (4, 10)}, r"crop=\(4, 10\).*11x9"),
        ({"crop": 0}, "crop=0"),
        ({"crop": "4"}, "crop='4'"),
        ({"crop": (1, 2, 3)}, r"crop=\(1, 2, 3\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 6, "drop_last": True}, "batch_size=6.*drop_last"),
        ({"per": "frame"}, "per='frame'.*'clip', 'batch'"),
        ({"shuffle": "yes"}, "shuffle='yes'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "a"}, "seed='a'"),
        ({"workers": -1}, "workers=-1"),
        ({"y": "x[:4]"}, r"y of shape \(4, 11, 9\) with x of shape \(5, 11, 9, 3\)"),
        ({"y": "y[:, :5]"}, r"\(5, 5, 9\)"),
        ({"y": "labels"}, r"y of shape \(5,\)"),
        ({"x": "x[0]"}, r"x of shape \(11, 9, 3\).*\(N, H, W, C\)"),
        ({"x": "empty"}, r"x.*\(0, 11, 9, 3\)"),
        ({"x": "objects"}, "x.*object"),
        ({"x": "masked"}, "x: must be a plain array"),
        ({"x": "ragged"}, "x: items must have one shape"),
    ],
)
def test_mistakes_are_told(arguments, says):
    x, y = places(5)
    arrays = {
        "x[:4]": y[:4],
        "y[:, :5]": y[:, :5],
        "labels": np.zeros(5),
        "x[0]": x[0],
        "empty": x[:0],
        "objects": x.astype(object),
        "masked": np.ma.masked_array(x),
        "ragged": [x[0], x[1, :5]],
    }
    options = {"x": x, "y": y, "crop": 4, "batch_size": 2} | arguments
    for name in ("x", "y"):
        if isinstance(options[name], str):
            options[name] = arrays[options[name]]
    with pytest.raises(fc.OptionError, match=says):
        paired_random_crop(**options)


def test_missing_and_wrong_files_are_told(tmp_path):
    x, y = places(5)
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(fc.DataError, match=r"y\.npy"):
        paired_random_crop(tmp_path / "x.npy", tmp_path / "y.npy", 4, 2)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    with pytest.raises(fc.DataError, match=r"both\.npz.*not a \.npy"):
        paired_random_crop(tmp_path / "both.npz", y, 4, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_cut_short_is_named(tmp_path, workers):
    x, y = places(5)
    np.save(tmp_path / "x.npy", x)
    with paired_random_crop(tmp_path / "x.npy", y, 4, 2, workers=workers) as generator:
        (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-400])
        with pytest.raises(fc.FrameError, match=r"x\.npy"):
            epoch(generator)


def test_closing_twice_is_fine_and_a_closed_one_says_so():
    x, y = places(5)
    generator = paired_random_crop(x, y, 4, 2, workers=1)
    next(generator)
    generator.close()
    generator.close()
    with pytest.raises(fc.ClosedError):
        next(generator)
