"""`ClipLoader.to_tf_dataset`: what its elements are, where they lie, and that nothing is kept."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from helpers import alive, make_loader, wait_until

tf = pytest.importorskip("tensorflow")

from fastclips.adapters.tf import to_tf_dataset  # noqa: E402 - needs tensorflow
from fastclips.errors import OptionError  # noqa: E402 - as above

pytestmark = pytest.mark.slow


def pixels(dataset):
    return [x.numpy() for x, *_ in dataset]


def same(batches, others):
    return all(np.array_equal(a, b) for a, b in zip(batches, others, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_each_iteration_serves_the_next_epoch(frames, workers):
    with make_loader(frames, workers=workers, shuffle=True, batch_size=5) as loader:
        dataset = loader.to_tf_dataset()
        for epoch in range(2):
            assert same(
                pixels(dataset), [x for x, _ in make_loader(frames, shuffle=True, batch_size=5).epoch(epoch)]
            )
        repeated = pixels(dataset.repeat(2))
        assert len(repeated) == 2 * len(loader)
        assert loader.state_dict()["epoch"] == 4


def test_an_iteration_that_was_broken_off_is_followed_by_the_next_epoch(frames):
    loader, twin = (make_loader(frames, shuffle=True) for _ in range(2))
    dataset = loader.to_tf_dataset()
    for _ in dataset.take(1):
        pass
    assert same(pixels(dataset), [x for x, _ in twin.epoch(1)])


def test_a_loaded_state_is_where_it_begins(frames):
    loader, twin = (make_loader(frames, shuffle=True) for _ in range(2))
    loader.load_state_dict({**loader.state_dict(), "epoch": 3, "batch": 2})
    assert same(pixels(loader.to_tf_dataset()), [x for x, _ in twin.epoch(3, 2)])


def test_a_state_of_other_batches(frames):
    """The rest of the epoch has a smaller last batch, which no whole epoch has."""
    with make_loader(frames, 0, batch_size=4) as saved, make_loader(frames, 0, batch_size=9) as loader:
        loader.load_state_dict(saved.state_dict(0, 1))
        assert [len(x) for x, _ in loader.epoch(1)] == [9, 9]
        loader.load_state_dict(saved.state_dict(0, 1))
        dataset = to_tf_dataset(loader)
        assert dataset.element_spec[0].shape[0] is None
        assert [[len(x) for x, _ in dataset] for _ in range(2)] == [[9, 5], [9, 9]]


def small_model():
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((4, 32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_fit_warns_unless_the_number_of_batches_is_stated(frames):
    """`to_tf_dataset` does not state the number, since a resumed epoch has fewer batches."""
    with make_loader(frames) as loader:
        dataset = loader.to_tf_dataset()
        assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
        with pytest.warns(UserWarning, match="ran out of data"):
            small_model().fit(dataset, epochs=2, verbose=0, shuffle=False)
        assert loader.state_dict()["epoch"] == 2
        known = dataset.apply(tf.data.experimental.assert_cardinality(len(loader)))
        small_model().fit(known, epochs=2, verbose=0, shuffle=False)
        assert loader.state_dict()["epoch"] == 4
        loader.load_state_dict({**loader.state_dict(), "epoch": 4, "batch": 1})
        with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain"):
            list(known)


def test_batches_go_ahead_to_a_device(frames):
    """The device is the CPU where there is no GPU; batches are the same, also those that were kept."""
    with make_loader(frames) as loader, make_loader(frames) as other:
        device = tf.data.experimental.prefetch_to_device("/GPU:0", buffer_size=2)
        ahead = list(loader.to_tf_dataset().apply(device))
        for (x, y), (frames_of, labels_of) in zip(ahead, other, strict=True):
            np.testing.assert_array_equal(x, frames_of)
            np.testing.assert_array_equal(y, labels_of)


def test_the_batch_dimension_is_known_where_all_batches_are_full(frames):
    x, y = to_tf_dataset(make_loader(frames, batch_size=4)).element_spec  # 18 clips
    assert (x, y) == (tf.TensorSpec((None, 4, 32, 32, 3), tf.uint8), tf.TensorSpec((None,), tf.int64))
    for options in {"batch_size": 4, "drop_last": True}, {"batch_size": 6}:
        x, y = to_tf_dataset(make_loader(frames, **options)).element_spec
        rows = options["batch_size"]
        assert (x.shape, y.shape) == ((rows, 4, 32, 32, 3), (rows,))


def test_structures(frames, masks):
    both, options = {"image": frames, "mask": masks}, {"inputs": ["image"], "targets": ["label", "mask"]}
    loader, twin = (make_loader(both, batch_size=5, world=2, rank=1, **options) for _ in range(2))
    dataset = loader.to_tf_dataset()
    x, y, weight = dataset.element_spec
    assert x["image"].shape == (None, 4, 32, 32, 3)
    assert y["mask"] == tf.TensorSpec((None, 4, 32, 32), tf.uint8)
    assert y["label"].dtype == tf.int64
    assert weight == {
        "label": tf.TensorSpec((None,), tf.float32),
        "mask": tf.TensorSpec((None, 1, 1, 1), tf.float32),
    }
    for found, wanted in zip(dataset, twin, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, found, wanted)


def test_a_function_of_each_batch(frames):
    options = {"batch_size": 5, "shuffle": True}
    loader, twin = (make_loader(frames, **options) for _ in range(2))
    dataset = loader.to_tf_dataset(map=lambda x, y: ({"fast": x, "slow": x[:, ::2]}, np.eye(2)[y]))
    x, y = dataset.element_spec
    assert (x["slow"], y) == (
        tf.TensorSpec((None, 2, 32, 32, 3), tf.uint8),
        tf.TensorSpec((None, 2), tf.float64),
    )
    for epoch in range(2):
        for (x, y), (images, labels) in zip(dataset, twin.epoch(epoch), strict=True):
            np.testing.assert_array_equal(x["fast"], images)
            np.testing.assert_array_equal(x["slow"], images[:, ::2])
            np.testing.assert_array_equal(np.argmax(y, axis=1), labels)


def test_a_function_of_inputs_alone(frames):
    loader, twin = (make_loader(frames, targets=None) for _ in range(2))
    for (x, y), images in zip(to_tf_dataset(loader, lambda x: (x[:, :-1], x[:, 1:])), twin, strict=True):
        np.testing.assert_array_equal(x, images[:, :-1])
        np.testing.assert_array_equal(y, images[:, 1:])


def test_functions_that_cannot_be(frames):
    loader = make_loader(frames)
    with pytest.raises(OptionError, match="map=3: must be a function of x"):
        to_tf_dataset(loader, map=3)
    with pytest.raises(OptionError, match="map= returned None: must return x"):
        to_tf_dataset(loader, map=lambda x, y: None)  # noqa: ARG005 - a batch's arrays
    with pytest.raises(
        OptionError, match=r"map= returned float32 \(4,\) and, for the last batch, float64 \(2,\)"
    ):
        to_tf_dataset(loader, map=lambda x, y: y.astype("f4" if len(x) == 4 else "f8"))


def test_a_function_dies_with_its_dataset(frames):
    def function(x, y):
        return x, y

    dead = weakref.ref(function)
    dataset = make_loader(frames).to_tf_dataset(map=function)
    assert len(list(dataset)) == 5
    del dataset, function
    gc.collect()
    assert dead() is None


def test_inputs_alone(frames):
    dataset = make_loader(frames, targets=None).to_tf_dataset()
    assert dataset.element_spec == tf.TensorSpec((None, 4, 32, 32, 3), tf.uint8)
    assert sum(len(x) for x in dataset) == 18


def test_keras_fits_it(frames):
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("KERAS_BACKEND is another")
    model = keras.Sequential([keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    loader = make_loader(frames)
    with pytest.warns(
        UserWarning, match="ran out of data"
    ):  # Keras, which did not know the number of batches
        model.fit(loader.to_tf_dataset(), epochs=3, shuffle=False, verbose=0)
    assert loader.state_dict()["epoch"] == 3


def test_no_pixel_is_copied(frames):
    with make_loader(frames, workers=1) as loader:
        arena = loader._engine._arena
        slots = [arena.slot(number) for number in range(arena.slots)]
        arrays = [np.asarray(memoryview(x)) for x, _ in loader.to_tf_dataset()]
        for array in arrays:
            assert array.ctypes.data % 64 == 0
            assert sum(np.shares_memory(array, slot) for slot in slots) == 1


def test_tensors_keep_their_memory(frames):
    """Whatever is kept of a batch keeps its bits while the workers write the next ones."""
    with make_loader(frames, workers=1, shuffle=True, memory="1MiB") as loader:
        twin, kept = make_loader(frames, shuffle=True), []
        dataset = loader.to_tf_dataset()
        for epoch in range(4):
            for (x, _), (images, _) in zip(dataset, twin.epoch(epoch), strict=True):
                kept += [(x, images), (x[1:], images[1:]), (tf.reshape(x, [-1]), images.reshape(-1))][
                    epoch % 3 :
                ]
        assert loader._engine.slots < 4 * len(loader)
        for tensor, images in kept:
            np.testing.assert_array_equal(tensor, images)
    del loader, dataset, x
    gc.collect()
    for tensor, images in kept:
        np.testing.assert_array_equal(tensor, images)


def take(dataset):
    """Count the rows in a tf.function that gets the iterator, which begins after two batches."""
    iterator, rows = iter(dataset), []
    for _ in range(2):
        rows += [x for x, _ in [next(iterator)]]

    @tf.function
    def step(taken):
        return next(taken)[0]

    while True:
        try:
            rows.append(step(iterator))
        except tf.errors.OutOfRangeError:
            return rows


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iterator_goes_on_in_a_graph(frames, workers):
    with make_loader(frames, workers=workers, shuffle=True) as loader:
        twin, dataset = make_loader(frames, shuffle=True), loader.to_tf_dataset()
        for epoch in range(2):
            assert same(take(dataset), [x for x, _ in twin.epoch(epoch)])
        iterator = iter(dataset)
        assert iterator.element_spec == dataset.element_spec
        assert iterator.get_next_as_optional().has_value()
        assert same([next(iterator)[0]], [twin.batch(2, 1)[0]])


def test_loops_in_graphs(frames):
    loader, twin = make_loader(frames, shuffle=True), make_loader(frames, shuffle=True)
    dataset = loader.to_tf_dataset()
    wanted = sum(int(x.sum()) for x, _ in twin)

    @tf.function
    def over(batches):
        total = tf.constant(0, tf.int64)
        for x, _ in batches:
            total += tf.reduce_sum(tf.cast(x, tf.int64))
        return total

    assert over(dataset) == wanted
    iterator = iter(dataset)

    @tf.function
    def captured():
        for _ in iterator:
            pass

    with pytest.raises(Exception, match="loop over the dataset there, or give the iterator"):
        captured()


def test_the_end_of_an_iterator(frames):
    iterator = iter(make_loader(frames).to_tf_dataset())
    assert len(list(iterator)) == 5
    with pytest.raises(StopIteration):
        next(iterator)
    with pytest.raises(tf.errors.OutOfRangeError):
        iterator.get_next()


def test_a_state_counts_what_an_eager_loop_was_given(frames):
    with make_loader(frames, workers=1) as loader:
        for number, _ in enumerate(loader.to_tf_dataset(), 1):
            assert loader.state_dict()["batch"] == number % len(loader)


def test_memory_is_given_back_and_the_loader_as_well(frames):
    loader = make_loader(frames, workers=1)
    pids, gone = loader.pids, weakref.ref(loader)

    def held():
        gc.collect()
        engine = gone()._engine
        return sum(map(engine._is_leased, range(engine.slots)))

    dataset = loader.to_tf_dataset()
    for _ in range(3):
        pixels(dataset)
    iterator = iter(dataset)
    batch = next(iterator)
    assert held() > 0
    del iterator, batch
    wait_until(lambda: held() <= 1)  # TensorFlow gives the last array back when it next runs Python
    del loader, dataset
    gc.collect()
    assert gone() is None
    wait_until(lambda: not any(map(alive, pids)))


def test_an_iterator_keeps_the_loader(frames):
    iterator = iter(make_loader(frames).to_tf_dataset().map(lambda x, _: x).prefetch(1))
    gc.collect()
    assert sum(len(x) for x in iterator) == 18
