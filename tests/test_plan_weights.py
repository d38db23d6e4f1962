"""Clips drawn by weight: how often, and never one of weight 0. `test_plan.py` has the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastclips.planning.draws import Draws
from fastclips.planning.plan import Plan
from fastclips.planning.samplers import Windows


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 3])
def test_weights_are_chances(views):
    weights = [2.0, 0.0, 1.0, 0.0, 5.0, 0.0]  # of each clip; videos have 3, 1, 2, 4, 0 and 4
    plan = Plan(
        [6, 2, 4, 9, 1, 8], Windows(2), draws=0, batch_size=9, views=views, weights=weights, shuffle=True
    )
    assert plan.clips_per_epoch == 14 * views
    seen = np.zeros((6, 4, views))
    epochs = 3000 // views
    for epoch in range(epochs):
        table = plan.table(epoch)
        np.add.at(seen, (table["video"], table["start"] // 2, table["view"]), 1)
    likely = np.zeros(seen.shape)
    likely[0, :3], likely[2, :2] = 2, 1
    expected = likely / likely.sum() * epochs * 14 * views
    assert seen[expected == 0].sum() == 0
    chi_square = ((seen - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    assert chi_square < {1: 25, 3: 45}[views]  # 4 and 14 degrees of freedom


@pytest.mark.parametrize("word", [0, 2**64 - 1])
@pytest.mark.parametrize("weights", [[0, 1e308, 1e308, 0], [0, 5e-324, 5e-324, 0], [0, 0.1, 0.7, 0]])
def test_the_outermost_draws_fall_on_clips_with_a_chance(monkeypatch, word, weights):
    monkeypatch.setattr(Draws, "words", lambda *given: np.full(given[3:], word, np.uint64))
    plan = Plan([4] * 4, Windows(2), draws=0, batch_size=20, views=3, weights=weights, shuffle=True)
    table = plan.table(0)
    clip = (2, 2, 2) if word else (1, 0, 0)
    assert set(zip(*(table[name].tolist() for name in ("video", "start", "view")), strict=True)) == {
        tuple(clip)
    }


@given(st.lists(st.just(0.0) | st.floats(0, 1e308), min_size=1, max_size=8), st.sampled_from([0, 2**64 - 1]))
def test_no_draw_falls_on_weight_0(weights, word):
    if not any(weights):
        return
    plan = Plan(
        [2] * len(weights), Windows(2), draws=0, batch_size=1, views=10, weights=weights, shuffle=True
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Draws, "words", lambda *given: np.full(given[3:], word, np.uint64))
        table = plan.table(0)
    assert all(weights[video] for video in table["video"])
    assert table["view"].max() < 10


def test_a_video_without_clips_needs_no_chance():
    plan = Plan([1, 4], Windows(2), draws=0, batch_size=4, weights=[1e300, 1e-300], shuffle=True)
    assert plan.table(0)["video"].tolist() == [1, 1]
