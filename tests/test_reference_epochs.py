"""What version 0.1.0 wrote opens and gives the same bits: see `reference_epochs`."""

import json

import pytest
from reference_data import copied
from reference_epochs import CHANGED, DATA, DEFAULTS, RECIPES, close_to, depends_on, digest, means
from reference_recipes import OF_0_1_0

DIGESTS = json.loads((DATA / "digests.json").read_text())
SINCE = json.loads(CHANGED.read_text())
TODAY = json.loads(DEFAULTS.read_text())
WITH_WORKERS = ("windows_shuffled", "warp_all_reflect", "pack_masked", "time_distributed_turned")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The data at another place."""
    return copied(DATA, tmp_path_factory.mktemp("reference") / "data")


@pytest.mark.parametrize("name", DIGESTS)
def test_the_same_bits(root, name):
    check(root, name, workers=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_WORKERS)
def test_the_same_bits_from_workers(root, name):
    check(root, name, workers=2)


@pytest.mark.parametrize("name", TODAY)
def test_the_defaults_of_today(root, monkeypatch, name):
    monkeypatch.delitem(OF_0_1_0, "fast_dct")
    assert digest(RECIPES[name](root, workers=0)) == TODAY[name]


def test_version_0_1_0_decoded_the_same_with_the_option():
    """`TODAY` is what it served with ``fast_dct=False``."""
    assert TODAY["option_unscaled"] == DIGESTS["option_unscaled_slow_dct"]["sha256"]
    assert TODAY["option_scaled"] == DIGESTS["option_slow_dct"]["sha256"]


def test_every_recipe_has_a_digest():
    assert set(RECIPES) == set(DIGESTS)


def test_every_changed_digest_is_one_of_a_recipe():
    assert set(SINCE) <= set(DIGESTS)
    assert not any(SINCE[name] == DIGESTS[name]["sha256"] for name in SINCE)


def check(root, name, workers):
    known = DIGESTS[name]
    if "means" in known and name in SINCE:
        assert close_to(means(RECIPES[name](root, workers)), known["means"])
    if digest(RECIPES[name](root, workers)) != SINCE.get(name, known["sha256"]):
        here = depends_on(name)
        assert here != {key: known["depends on"][key] for key in here}, f"{name}: other bits than before"
        assert close_to(means(RECIPES[name](root, workers)), known["means"])
