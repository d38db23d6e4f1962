"""TimeDistributedImageDataGenerator with ``legacy=True``: the original, whose faults are stated here."""

import numpy as np
import pytest
from numbered import SIZE, flow, same, table_of, write_classes
from slow_time_distributed import listed, original

from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator
from fastclips.errors import FrameError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("images"))


@pytest.fixture
def table(root):
    return table_of(root)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize("shuffle", [True, False])
def test_legacy_is_the_original(root, mode, shuffle):
    files, codes, names = listed(root)
    generator = TimeDistributedImageDataGenerator(time_steps=4, rescale=1 / 255, legacy=True)
    batches = flow(generator, root, class_mode=mode, shuffle=shuffle, seed=7)
    assert batches.filenames == files
    assert batches.n == batches.samples == len(files)
    same(batches.classes, codes)
    options = {"time_steps": 4, "batch_size": 5, "target_size": SIZE, "seed": 7, "rescale": 1 / 255}
    reference = original(
        [root / file for file in files], codes, len(names), class_mode=mode, shuffle=shuffle, **options
    )
    for _ in range(2 * len(batches) + 1):
        same(next(batches), next(reference))


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"color_mode": "grayscale"}),
        ({}, {"color_mode": "rgba"}),
        ({}, {"interpolation": "bilinear"}),
        ({"data_format": "channels_first"}, {}),
        ({"time_steps": 1}, {}),
        ({"time_steps": 61}, {}),  # one more than there are files
        ({"dtype": "float64"}, {"classes": ["c_walk", "a_run"]}),
    ],
)
def test_legacy_with_other_options(root, settings, options):
    settings = {"time_steps": 3, **settings}
    files, codes, names = listed(root, classes=options.get("classes"))
    batches = flow(TimeDistributedImageDataGenerator(legacy=True, **settings), root, seed=2, **options)
    settings.pop("dtype", None)
    settings.update({name: value for name, value in options.items() if name != "classes"})
    paths = [root / file for file in files]
    reference = original(paths, codes, len(names), seed=2, batch_size=5, target_size=SIZE, **settings)
    for _ in range(3):
        same(next(batches), next(reference))


@pytest.mark.parametrize(("subset", "share"), [("training", (0.3, 1)), ("validation", (0, 0.3))])
def test_legacy_splits_the_files_of_each_class(root, subset, share):
    files, codes, names = listed(root, split=share)
    generator = TimeDistributedImageDataGenerator(time_steps=3, validation_split=0.3, legacy=True)
    batches = flow(generator, root, subset=subset, seed=5)
    assert batches.filenames == files
    paths = [root / file for file in files]
    reference = original(paths, codes, len(names), time_steps=3, seed=5, batch_size=5, target_size=SIZE)
    for _ in range(len(batches)):
        same(next(batches), next(reference))


@pytest.mark.parametrize(
    ("mode", "column"),
    [
        ("categorical", "tags"),
        ("sparse", "class"),
        ("raw", ["place", "speed"]),
        ("multi_output", ["place", "speed"]),
    ],
)
def test_legacy_with_a_table(root, table, mode, column):
    batches = flow(
        TimeDistributedImageDataGenerator(time_steps=4, legacy=True),
        table,
        directory=root,
        class_mode=mode,
        y_col=column,
        weight_col="weight",
        seed=6,
    )
    targets = [table[name] for name in column] if isinstance(column, list) else None
    codes, classes = None, 0
    if targets is None:
        classes = len(batches.class_indices)
        number = batches.class_indices.get
        codes = [
            [*map(number, label)] if isinstance(label, list) else number(label) for label in table[column]
        ]
    elif mode == "raw":
        targets = np.stack(targets, axis=1)
    reference = original(
        [root / file for file in table["filename"]],
        codes,
        classes,
        class_mode=mode,
        targets=targets,
        weights=table["weight"],
        time_steps=4,
        seed=6,
        batch_size=5,
        target_size=SIZE,
    )
    for _ in range(len(batches)):
        same(next(batches), next(reference))


@pytest.mark.slow
@pytest.mark.parametrize("rescale", [None, 0.5])
def test_legacy_shows_a_frame_again_in_place_of_a_bad_file(root, tmp_path, rescale):
    files, codes, names = listed(root)
    good = {file: (root / file).read_bytes() for file in files}
    bad = {
        3: b"none",
        4: good[files[4]][:300],
        17: b"",
        18: b"none",
    }
    for place, file in enumerate(files):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(bad.get(place, good[file]))
    settings = {"time_steps": 3, "rescale": rescale}
    paths = [tmp_path / file for file in files]
    compared = refused = 0
    for seed in range(8):
        options = {"batch_size": 12, "target_size": SIZE, "seed": seed}
        batches = flow(
            TimeDistributedImageDataGenerator(legacy=True, **settings),
            tmp_path,
            workers=int(seed == 1),
            **options,
        )
        reference = original(paths, codes, len(names), **options, **settings)
        with batches:
            try:
                for _ in range(2 * len(batches)):
                    expected = next(reference)
                    same(next(batches), expected)
                    compared += 1
            except UnboundLocalError:  # the original fails, and so do we, with the path
                refused += 1
                with pytest.raises(FrameError, match="no file was read before this one in its batch"):
                    next(batches)
    assert compared > 20
    assert refused
