"""The colours of a contact sheet."""

from itertools import combinations

import numpy as np
import pytest

from fastclips.preview.painting import Span, mask_colors, paint_mask


def test_colours_of_masks_are_told_apart_by_any_eyes():
    """Machado, Oliveira and Fernandes 2009: what the colour-blind see; distances in CIELAB."""
    eyes = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
    colors = np.concatenate([mask_colors()[:8], [(250, 250, 250)]]) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    for eye in eyes:
        seen = np.clip(linear @ np.array(eye).T, 0, 1)
        to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        x, y, z = np.cbrt(np.maximum(seen @ to_xyz.T / to_xyz.sum(axis=1), 1e-4)).T
        lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
        assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 15
    assert len({tuple(color) for color in mask_colors()[:22].tolist()}) == 22


def test_every_value_of_a_mask_can_be_painted():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    painted = paint_mask(values, 255)
    np.testing.assert_array_equal(painted.reshape(-1, 3)[:255], mask_colors()[:255])
    assert tuple(painted[15, 15].tolist()) in {(250, 250, 250), (150, 150, 150)}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_a_range_is_stretched_to_all_of_black_to_white(dtype):
    values = np.array([0, 1, 1, 0] if dtype == "bool" else [-3, 0, 4, 7]).astype(dtype)
    span = Span.of(values)
    expected = [0, 255, 255, 0] if dtype == "bool" else [0, 77, 179, 255]  # 76.5 and 178.5, halves up
    assert span.stretch(values).tolist() == expected
    assert str(span) == ("black is 0, white is 1" if dtype == "bool" else "black is -3, white is 7")


def test_a_range_leaves_out_what_is_not_finite():
    values = np.array([np.nan, -1, np.inf, 1, -np.inf])
    span = Span.of(values)
    assert span == (-1, 1, False)
    assert span.stretch(values)[[1, 3]].tolist() == [0, 255]
    assert str(Span.of(values[:1])) == "gray is 0, magenta is not finite"


def test_a_single_value_is_gray():
    assert Span.of(np.full(3, 5.5)).stretch(np.full(3, 5.5)).tolist() == [128] * 3
