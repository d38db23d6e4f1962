"""What version 0.1.0 wrote opens and gives the same bits: see `reference_epochs`."""

import json

import pytest
from reference_data import copied
from reference_epochs import CHANGED, DATA, RECIPES, close_to, depends_on, digest, means

DIGESTS = json.loads((DATA / "digests.json").read_text())
SINCE = json.loads(CHANGED.read_text())
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
