"""Weights of several targets, each by its name."""

import numpy as np
import pytest
from labelled import NOUNS, STATES, VIDEOS, arrays, batches, images, joined, masks, several

import fastclips as fc
from fastclips.errors import OptionError


def weights(**options):
    found, table = batches(several(), **options)
    return joined([y for _, y, _ in found]), joined([weight for *_, weight in found]), table


@pytest.mark.parametrize("world", [1, 5])
def test_each_target_has_weights_of_its_own(world):
    options = {"rank": world - 1, "world": world, "targets": ("label", "verb", "state", "mask")}
    given = {"verb": {"open": 5.0}, "state": range(VIDEOS), "mask": {1: 3.0}}
    y, weight, table = weights(sample_weight=given, **options)
    real = ~table["padding"]
    assert world == 1 or not real.all()
    np.testing.assert_array_equal(weight["label"], real)
    np.testing.assert_array_equal(weight["verb"], np.where(y["verb"] == 2, 5, 1) * real)
    steps = (table["frames"] >= 0) * (table["video"] * real)[:, None]
    np.testing.assert_array_equal(weight["state"], steps)
    expected = np.where(y["mask"] == 1, 3, 1) * (y["mask"] != 255) * real[:, None, None, None]
    np.testing.assert_array_equal(weight["mask"], expected)
    assert {array.dtype for array in weight.values()} == {np.dtype(np.float32)}
    _, weight, _ = weights(sample_weight={"state": "valid"}, **options)
    np.testing.assert_array_equal(weight["state"], (table["frames"] >= 0) * real[:, None])
    np.testing.assert_array_equal(weight["mask"], np.broadcast_to(real[:, None, None, None], y["mask"].shape))


def test_one_target_takes_both_forms():
    by_class, _ = batches(several(), targets="verb", sample_weight={"open": 5.0})
    by_name, _ = batches(several(), targets="verb", sample_weight={"verb": {"open": 5.0}})
    for (*_, one), (*_, other) in zip(by_class, by_name, strict=True):
        np.testing.assert_array_equal(one, other)
    odd = arrays().with_labels("verb", ["verb", "cut"] * 3, kind="label")
    found, _ = batches(odd, targets="verb", sample_weight={"verb": 5.0})  # a class of this name
    np.testing.assert_array_equal(found[0][2], [1, 1, 5, 5][::-1])


def test_refused_weights():
    both = {"targets": ("verb", "state")}
    refused = [
        ({**both, "sample_weight": {"open": 5.0}}, r"names verb, state, as in sample_weight=\{'verb': ...\}"),
        ({**both, "sample_weight": "valid"}, "sample_weight='valid': must be a mapping of names of targets"),
        (
            {**both, "sample_weight": {"verb": 2.0}},
            r"sample_weight\['verb'\]= must map classes .* but is 2.0",
        ),
        (
            {**both, "sample_weight": {"verb": "valid"}},
            r"sample_weight\['verb'\]='valid': .* has no time steps",
        ),
        (
            {**both, "sample_weight": {"state": {"open": 1}}},
            r"sample_weight\['state'\]= by class needs one class",
        ),
        ({**both, "sample_weight": {"verb": {"jump": 1}}}, r"sample_weight\['verb'\]= names 'jump'"),
        ({"targets": "verb", "sample_weight": {"jump": 1}}, "sample_weight= names 'jump': must be a class"),
        ({"targets": None, "sample_weight": {"verb": {"open": 1}}}, "needs a target"),
    ]
    for options, text in refused:
        with pytest.raises(OptionError, match=text):
            batches(several(), **options)
    scalar = several().with_labels("steering", STATES[..., 0], kind="frame_target")
    batches(scalar, targets="steering", rank=0, world=5)
    for given in ("valid", range(VIDEOS), {"steering": "valid"}):
        with pytest.raises(OptionError, match=r"'steering' is one number .* as \(frames, 1\)"):
            batches(scalar, targets="steering", sample_weight=given)
    two = fc.open(images={"image": images(), "a": masks(), "b": masks()}, masks=("a", "b"))
    with pytest.raises(OptionError, match="only one mask can have weights of pixels, and 'a' has them"):
        batches(two, targets=("a", "b"), sample_weight={"a": "valid", "b": "valid"})


def test_targets_beside_weighted_ones_are_0_where_they_are_padded_or_ignored():
    marked = masks()
    marked[:, 1] = 255
    data = several(fc.open(images={"image": images(), "mask": marked}, labels=NOUNS))
    given = {"targets": ("mask", "state", "label"), "sample_weight": {"label": {0: 3.0}}}
    found, table = batches(data, fc.Windows(5, step=5, tail="pad"), **given)
    weight = joined([weight for *_, weight in found])
    y = joined([y for _, y, _ in found])
    steps = table["frames"] >= 0
    assert not steps.all()
    np.testing.assert_array_equal(weight["state"], steps)
    np.testing.assert_array_equal(weight["mask"], (y["mask"] != 255) & steps[:, :, None, None])
    two = fc.open(images={"image": images(), "a": marked, "b": marked}, masks=("a", "b"), labels=NOUNS)
    given = {"targets": ("a", "b", "label"), "sample_weight": {"label": {0: 3.0}}}
    with pytest.warns(
        UserWarning, match="only one mask can have weights of pixels, and 'a' has them"
    ) as caught:
        batches(two, **given)
    assert caught[0].filename.endswith("labelled.py")
