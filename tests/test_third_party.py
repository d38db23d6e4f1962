"""A package of a third party adds a pixel step, a sampler and a storage, and nothing in the library knows it.

It is written in under 30 lines of code, and works wherever the library's own classes do: in workers, `pack`,
`preview` and the checks of `fastclips.testing`.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import fastclips as fc
from fastclips.testing import check_pixel_step, check_sampler, check_storage

HERE = Path(__file__).parent / "third_party"
COUNTS = [6, 6, 6]


@pytest.fixture
def drawn(monkeypatch):
    """The package, importable here and in workers as an installed one is."""
    monkeypatch.syspath_prepend(str(HERE))
    import drawnclips  # noqa: PLC0415 - importable from here on

    yield drawnclips
    sys.modules.pop("drawnclips")


@pytest.fixture
def dataset(drawn):
    return fc.Dataset.of(drawn.DrawnStorage(), frame_counts=COUNTS, labels=["run", "walk", "run"])


def epoch(drawn, dataset, workers):
    transforms = [fc.RandomCrop(32), drawn.Tint(40.0)]
    with fc.ClipLoader(dataset, drawn.Spread(4), transforms, batch_size=3, seed=1, workers=workers) as loader:
        return [np.array(x) for x, _ in loader], loader.preview(clips=2)


def test_it_is_short():
    lines = (HERE / "drawnclips/__init__.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(('"""', "import", "from"))]
    assert len(code) < 30


def test_it_keeps_the_contracts(drawn):
    check_pixel_step(drawn.Tint(40.0))
    check_sampler(drawn.Spread(4))
    check_storage(drawn.DrawnStorage(), streams=["image"], frame_counts=COUNTS)


@pytest.mark.slow
def test_workers_and_the_caller_give_the_same_batches(drawn, dataset):
    here, sheet = epoch(drawn, dataset, workers=0)
    there, _ = epoch(drawn, dataset, workers=2)
    np.testing.assert_array_equal(here, there)
    assert here[0].shape == (3, 4, 32, 32, 3)
    assert sheet.size[0] > 300


def test_the_pixels_are_as_written(drawn, dataset):
    with fc.ClipLoader(dataset, drawn.Spread(4), batch_size=3, workers=0) as loader:
        ((x, y),) = loader
    for video in range(3):
        for step, frame in enumerate((0, 1, 3, 5)):
            np.testing.assert_array_equal(x[video, step], drawn.DrawnStorage().read("image", video, frame))
    assert [dataset.classes[label] for label in y] == ["run", "walk", "run"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_it_can_be_packed(drawn, dataset, tmp_path, workers):
    packed = fc.pack(dataset, tmp_path / "packed", codec="raw", workers=workers)
    assert (packed.videos, packed.frames, packed.problems) == (3, 18, [])
    here, _ = epoch(drawn, dataset, workers=0)
    there, _ = epoch(drawn, fc.open(tmp_path / "packed"), workers=0)
    np.testing.assert_array_equal(here, there)


def test_nothing_in_the_library_names_it():
    package = Path(fc.__file__).parent
    assert not [path for path in package.rglob("*.py") if "drawnclips" in path.read_text()]
    assert os.environ.get("PYTHONPATH") is None or str(HERE) not in os.environ["PYTHONPATH"]
