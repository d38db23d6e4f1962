"""Loops over the datasets of compat: each has an epoch of its own, however many run at a time."""

import gc
import weakref

import numpy as np
import pytest
from helpers import alive, make_frames, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.compat import DataGenerator, image_dataset_from_directory, timeseries_dataset_from_array


def series(items=7, workers=0, **options):
    """Single numbers, in batches of two."""
    return timeseries_dataset_from_array(
        np.arange(items), None, 1, batch_size=2, workers=workers, **{"seed": 3, **options}
    )


def numbers(batches):
    return [batch.ravel().tolist() for batch in batches]


def items_of(batches):
    return [item for batch in batches for item in batch]


def epoch_of(dataset, epoch):
    return numbers(dataset.batch(epoch, number) for number in range(len(dataset)))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_loop_within_a_loop_disturbs_no_other(workers):
    with series(workers=workers) as dataset:
        outer = []
        for batch in dataset:
            outer.append(batch)
            assert numbers([next(iter(dataset))]) == [[0, 1]]
        assert numbers(outer) == [[0, 1], [2, 3], [4, 5], [6]]
        for one, other in zip(dataset, dataset, strict=True):
            np.testing.assert_array_equal(one, other)
        pairs = [(numbers([a]), numbers([b])) for a in dataset for b in dataset]
        assert len(set(map(str, pairs))) == len(pairs) == 16


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_loops_over_a_shuffled_dataset_have_epochs_of_their_own(workers):
    with series(40, workers, shuffle=True) as dataset:
        want = [epoch_of(dataset, epoch) for epoch in range(3)]
        one, other = zip(*zip(dataset, dataset, strict=True), strict=True)
        assert [numbers(one), numbers(other)] == want[:2]
        assert want[0] != want[1]
        assert numbers(dataset) == want[2]
        assert dataset.epoch == 3


@settings(max_examples=60)
@given(data=st.data(), items=st.integers(1, 9), shuffle=st.booleans())
def test_any_order_of_requests_gives_each_loop_one_epoch(data, items, shuffle):
    """Loops, ``next()`` and indices in any order, against the batches of each epoch."""
    dataset = series(items, shuffle=shuffle)
    loops, own, taken = [], [], []
    for request in data.draw(st.lists(st.integers(-3, 4), max_size=40)):
        if request == -1:
            own += numbers([next(dataset)])
        elif request == -2:
            dataset[data.draw(st.integers(0, len(dataset) - 1))]
        elif request == -3 or request >= len(loops):
            loops.append((iter(dataset), []))
        else:
            loop, served = loops[request]
            served += numbers(batch for batch in [next(loop, None)] if batch is not None)
    for loop, served in loops:
        rest = numbers(loop)
        assert len(served) + len(rest) == len(dataset)
        assert list(loop) == []
        epochs = [n for n in range(60) if epoch_of(dataset, n) == served + rest]
        assert epochs
        assert sorted(items_of(served + rest)) == list(range(items))
        taken.append(epochs)
    if shuffle and items > 6:
        assert len({epochs[0] for epochs in taken if len(epochs) == 1}) == sum(len(e) == 1 for e in taken)
    for first in range(0, len(own) - len(dataset) + 1, len(dataset)):
        assert sorted(items_of(own[first : first + len(dataset)])) == list(range(items))


def test_next_goes_on_beside_loops_and_begins_epochs_that_no_loop_has_begun():
    dataset = series(40, shuffle=True)
    want = [epoch_of(dataset, epoch) for epoch in range(4)]
    stream = numbers([next(dataset), next(dataset)])
    assert numbers(dataset) == want[1]
    assert dataset.index_array.tolist() == items_of(want[1])
    assert dataset.batch_index == 2
    stream += numbers(next(dataset) for _ in range(len(dataset) - 2))
    assert stream == want[0]
    assert numbers([next(dataset)]) == want[2][:1]
    dataset.reset()
    assert numbers([next(dataset)]) == want[3][:1]


def test_an_interrupted_request_takes_no_other_epoch(monkeypatch):
    dataset = series(40, shuffle=True)
    want = epoch_of(dataset, 0)
    loop = iter(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_in_turn", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for request in (lambda: next(dataset), lambda: next(loop)):
            with pytest.raises(KeyboardInterrupt):
                request()
    assert numbers(next(dataset) for _ in want) == want
    assert numbers(loop) == epoch_of(dataset, 1)


def test_an_iterator_that_is_never_read_takes_no_epoch():
    dataset = series(40, shuffle=True)
    iter(dataset)
    want = epoch_of(dataset, 0)
    assert numbers(dataset) == want


def test_an_epoch_that_is_set_is_served_next():
    dataset = series(40, shuffle=True)
    want = [epoch_of(dataset, epoch) for epoch in range(6)]
    list(dataset)
    dataset.epoch = 4
    assert numbers(dataset) == want[4]
    assert numbers(dataset) == want[5]
    dataset.epoch = 0
    assert numbers(dataset) == want[0]


def test_a_dataset_that_is_dropped_is_freed_at_once():
    """Without the garbage collector, since worker processes end with the dataset."""
    dataset = series()
    next(dataset), next(iter(dataset)), list(dataset)
    gone = weakref.ref(dataset)
    gc.disable()
    try:
        del dataset
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_many_loops_share_one_pool_and_leave_nothing_behind(tmp_path):
    """A loop that is dropped midway frees itself; one pool serves all; the pool ends with the dataset."""
    make_frames(tmp_path, videos=1, classes=1)
    options = {"time_steps": 2, "image_size": 8, "batch_size": 1, "shuffle": False, "verbose": False}
    with image_dataset_from_directory(tmp_path, workers=0, **options) as dataset:
        want = list(dataset)
    dataset = image_dataset_from_directory(tmp_path, workers=2, memory="1MiB", **options)
    loops = [iter(dataset) for _ in range(8)]
    for number in range(3):
        for loop in loops:
            np.testing.assert_array_equal(next(loop)[0], want[number][0])
    pids = dataset._batches.pids
    assert len(pids) == 3
    gone = weakref.ref(loops[-1]._place)
    del loop, loops
    assert gone() is None
    for (x, _), (expected, _) in zip(dataset, want, strict=True):
        np.testing.assert_array_equal(x, expected)
    assert dataset._batches.pids == pids
    stale = iter(dataset)
    next(stale)
    seen = []
    for x, _ in dataset:  # a stale iterator does not keep the loop from being read ahead
        seen.append(x)
    assert len(seen) == len(want)
    del dataset, stale, x
    gc.collect()
    wait_until(lambda: not any(map(alive, pids)))


def test_the_engine_reads_ahead_for_the_loop_that_goes_on():
    dataset = series(20)
    stale = iter(dataset)
    next(stale)
    loop = iter(dataset)
    next(loop)
    assert dataset._ahead() is stale._place
    next(loop)
    assert dataset._ahead() is loop._place
    list(loop)
    assert dataset._ahead() is None
    with pytest.raises(StopIteration):
        next(loop)
    assert numbers([next(stale)]) == [[2, 3]]


def test_a_damaged_frame_ends_no_loop(tmp_path):
    make_frames(tmp_path, videos=1, frames=4, classes=1)
    files = sorted(tmp_path.rglob("*.jpg"))
    files[1].write_bytes(b"nothing")
    dataset = image_dataset_from_directory(
        tmp_path, image_size=8, batch_size=1, shuffle=False, verbose=False, workers=0
    )
    loop = iter(dataset)
    next(loop)
    with pytest.raises(fc.FrameError, match=files[1].name):
        next(loop)
    assert len(list(loop)) == 2


def test_loops_over_images_and_masks_are_independent(tmp_path):
    make_frames(tmp_path, videos=1, frames=6, classes=1)
    names = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*.jpg"))]
    generator = DataGenerator(names, tmp_path, to_fit=False, dim=8, batch_size=2, n_channels=3, workers=0)
    for one, other in zip(generator, generator, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_batch_of_tf_data_is_told_where_to_find():
    dataset = series()
    for arguments, options in (((8,), {}), ((8, True), {}), ((8,), {"drop_remainder": True})):
        with pytest.raises(fc.OptionError, match=r"to_tf_dataset\(\)\.batch\(8\)"):
            dataset.batch(*arguments, **options)


@pytest.fixture
def tf():
    return pytest.importorskip("tensorflow")


@pytest.mark.slow
def test_methods_of_tf_data_as_the_tutorials_call_them(tf):
    x = np.arange(14, dtype=np.float32)
    dataset = timeseries_dataset_from_array(x, x, 1, batch_size=2, shuffle=True, seed=1)
    tuned = dataset.cache().shuffle(10).prefetch(buffer_size=tf.data.AUTOTUNE)
    assert len(tuned) == len(dataset) == int(dataset.cardinality()) == 7
    assert sorted(np.concatenate([y for _, y in tuned]).tolist()) == x.tolist()
    assert [int(y[0]) for _, y in dataset.map(lambda x, y: (x, y * 2)).unbatch().batch(1).take(0)] == []
    validation, test = dataset.skip(2), dataset.take(2)
    assert (len(validation), len(test)) == (5, 2)
    assert len(list(dataset.repeat(3).as_numpy_iterator())) == 21
    assert dataset.element_spec == dataset.to_tf_dataset().element_spec
    served = dataset.filter(lambda _, y: tf.reduce_sum(y) >= 0).unbatch().as_numpy_iterator()
    assert sorted(int(y) for _, y in served) == list(range(14))
    assert len(list(dataset.shuffle(4))) == 7
    pairs = list(tf.data.Dataset.zip((dataset.map(lambda _, y: y), dataset.map(lambda _, y: y))))
    one, other = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    assert sorted(one) == sorted(other) == x.tolist()
    assert one.tolist() != other.tolist()


@pytest.mark.slow
def test_every_method_is_one_of_tf_data(tf):
    from fastclips.compat._base.epochs import TensorFlowMethods  # noqa: PLC0415 - beside TensorFlow

    names = [name for name in vars(TensorFlowMethods) if not name.startswith("_")]
    assert len(names) > 20
    assert [name for name in names if not hasattr(tf.data.Dataset, name)] == []
