"""Missing frame numbers within the videos of compat."""

import warnings

import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.compat import ImageDataGenerator, image_dataset_from_directory


@pytest.mark.parametrize(
    ("rows", "gaps"),
    [([0, 1, 2, 3, 4, 5], 0), ([0, 1, 4, 5], 1), ([0, 2, 4], 0), ([1, 4], 0), ([0, 2, 3], 1)],
)
def test_gaps_of_a_filtered_table_warn_by_the_rule_of_open(tmp_path, rows, gaps, caplog):
    root = make_frames(tmp_path, videos=1, frames=6, classes=1)
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*.jpg"))]
    for row in {*range(6)} - {*rows}:
        (root / names[row]).unlink()
    fc.open(root)
    message = "Frame numbers are missing in 1 of 1 videos"
    assert caplog.text.count(message) == gaps
    table = {"filename": [names[row] for row in rows]}
    options = {"class_mode": None, "workers": 0}
    flows = [
        lambda: ImageDataGenerator(time_steps=2).flow_from_dataframe(table, root, **options),
        lambda: ImageDataGenerator(time_steps=2).flow_from_directory(root, **options),
        lambda: image_dataset_from_directory(root, time_steps=2, verbose=False, workers=0),
    ]
    for flow in flows:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            flow()
        assert [message in str(warning.message) for warning in told] == [True] * gaps
    ImageDataGenerator().flow_from_dataframe(table, root, **options)  # single pictures: a warning is an error


def test_a_gap_between_classes_is_no_gap_of_a_clip(tmp_path):
    root = make_frames(tmp_path, videos=1, frames=9, classes=1)
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*.jpg"))]
    table = {"filename": names[:3] + names[6:], "class": ["a"] * 3 + ["b"] * 3}
    it = ImageDataGenerator(time_steps=2).flow_from_dataframe(table, root, workers=0)
    assert it.n == 4
    table["class"] = ["a"] * 6
    with pytest.warns(UserWarning, match="missing in 1 of 1 videos"):
        ImageDataGenerator(time_steps=2).flow_from_dataframe(table, root, workers=0)
