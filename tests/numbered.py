"""Classes of numbered frames, and what is asked of clips of them; for test_compat_tdidg*.py."""

from functools import partial

import numpy as np
from helpers import write_jpeg
from slow_time_distributed import listed, loaded

from fastclips.compat.TimeDistributedImageDataGenerator import TimeDistributedImageDataGenerator

SIZE = (16, 20)
LENGTHS = {"a_run": (12, 7, 9), "b_sit": (8, 11), "c_walk": (10, 3)}  # frames of each class's videos

make = partial(TimeDistributedImageDataGenerator, time_steps=4, labels="frame")


def write(path, pixels):
    write_jpeg(path, np.asarray(pixels, np.uint8))


def flow(generator, where, **options):
    options = {"target_size": SIZE, "batch_size": 5, "workers": 0, **options}
    if isinstance(where, dict):
        return generator.flow_from_dataframe(where, options.pop("directory"), **options)
    return generator.flow_from_directory(where, **options)


def an_epoch(iterator):
    return [next(iterator) for _ in range(len(iterator))]


def same(found, expected):
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def windows(time_steps, lengths=LENGTHS, step=1, dilation=1):
    """Every clip that there is: class, video, and the numbers of its frames."""
    return [
        (name, video, [*range(first, first + dilation * (time_steps - 1) + 1, dilation)])
        for name, videos in lengths.items()
        for video, length in enumerate(videos, 1)
        for first in range(1, length - dilation * (time_steps - 1) + 1, step)
    ]


def paths(clip):
    name, video, frames = clip
    return [f"{name}/v_{name}_g{video:02d}_c01_{frame}.jpg" for frame in frames]


def pixels(root, clip):
    return np.stack([loaded(root / path, SIZE, "rgb", "nearest") for path in paths(clip)])


def write_classes(root):
    """Class folders that hold frames, numbered without zeros, so that plain order is not that of time."""
    random = np.random.default_rng(0)
    for name, lengths in LENGTHS.items():
        for video, length in enumerate(lengths, 1):
            for frame in range(1, length + 1):
                write(
                    root / name / f"v_{name}_g{video:02d}_c01_{frame}.jpg",
                    random.integers(0, 256, (24, 30, 3)),
                )
    return root


def table_of(root):
    """All files of a folder, with columns for every class mode."""
    files, codes, names = listed(root)
    return {
        "filename": files,
        "class": [names[code] for code in codes],
        "weight": np.linspace(0, 1, len(files)),
        "place": np.arange(len(files)),
        "speed": np.linspace(5, 9, len(files)),
        "tags": [[names[code], "odd"] if place % 2 else [names[code]] for place, code in enumerate(codes)],
    }
