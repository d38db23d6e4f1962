"""Packs and what they are held against, shared by tests."""

import tarfile
from pathlib import Path

import numpy as np

import fastclips as fc


def packed(dataset, folder, **options):
    """Pack and open."""
    done = fc.pack(dataset, folder, **{"workers": 0, **options})
    return done, fc.open(folder)


def check_same(one, other, clips=None, **options):
    """Hold two datasets to the same batches and the same table of clips, but for paths.

    The first is served in this process, whatever `workers` is: the batches do not depend on them.
    """
    clips = clips or fc.Windows(3, step=2)
    settings = {"batch_size": 4, "workers": 0, "shuffle": True, "seed": 3, **options}
    transforms = settings.pop("transforms", [fc.RandomCrop(24), fc.RandomFlip()])
    loaders = [
        fc.ClipLoader(data, clips, transforms, **{**settings, **own})
        for data, own in ((one, {"workers": 0}), (other, {}))
    ]
    batches = [list(loader) for loader in loaders]
    assert len(batches[0]) == len(batches[1]) > 0
    for left, right in zip(*batches, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    tables = [loader.plan_table(0) for loader in loaders]
    for name in set(tables[0]) - {"paths"}:
        np.testing.assert_array_equal(tables[0][name], tables[1][name])
    for loader in loaders:
        loader.close()


def same_index(one, other):
    """Hold two datasets to the same videos and labels."""
    assert list(one.index.names) == list(other.index.names)
    assert one.classes == other.classes
    for name in ("keys", "starts", "frame_counts", "fps"):
        np.testing.assert_array_equal(getattr(one.index, name), getattr(other.index, name))
    assert one.streams == other.streams


def members(folder):
    """Names and contents of all members of a pack, in order, by Python's own reader."""
    found = []
    for path in sorted(Path(folder).glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [(member.name, tar.extractfile(member).read()) for member in tar]
    return found


def content(folder):
    """All files of a folder and their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


def count_records(folder):
    """Complete shards of an unfinished pack, which removes their records at the moment when it is done."""
    try:
        return sum(path.suffix == ".record" for path in (folder / ".packing").iterdir())
    except FileNotFoundError:
        return 0
