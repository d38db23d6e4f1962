"""Columns of a list that are ignored: those that look like parts of videos warn."""

import logging

import pytest

import fastclips as fc

PARTS = "start_frame EndFrame stop begin from to Length num_frames n_frames frames time_end first_frame"


@pytest.mark.parametrize("name", PARTS.split())
def test_columns_that_look_like_parts_warn(name, frames, caplog):
    rows = {"path": ["class_0/video_0"], "label": [0], name: [3], "split": ["x"]}
    assert fc.open(rows, root=frames).index.frame_counts.tolist() == [12]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith(f"Ignored {name!r} of columns")
    assert "name the columns start and length" in record.message


def test_other_columns_are_logged(frames, caplog):
    with caplog.at_level(logging.INFO):
        fc.open({"path": ["class_0/video_0"], "label": [0], "split": ["x"], 7: [1]}, root=frames)
    assert [record.levelname for record in caplog.records if "Ignored" in record.message] == ["INFO"]
