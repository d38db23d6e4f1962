"""States, indexes and packs that version 0.1.0 wrote are taken as they are, or are refused by name."""

import json
import logging
import os
import shutil
import struct
import zlib

import pytest
from packing import content
from reference_data import PLACE, TIME, copied, pack_arrays
from reference_epochs import DATA, digest
from reference_recipes import CROP, OF_0_1_0, SHUFFLED, WINDOWS, folder, serve
from reference_sources import RECIPES
from reference_states import STATES, begin

import fastclips as fc

KNOWN = json.loads((DATA / "states.json").read_text())
DIGESTS = json.loads((DATA / "digests.json").read_text())
LISTED = {"columns": "path length label", "frames": "img_{:05d}.jpg"}


@pytest.fixture
def root(tmp_path):
    """The data at another place."""
    return copied(DATA, tmp_path / "data")


# States


@pytest.mark.parametrize(("name", "workers"), [*((name, 0) for name in KNOWN), ("frames", 2), ("pack", 2)])
def test_a_state_is_taken_up(name, workers):
    known = KNOWN[name]
    with STATES[name][0](DATA, workers) as loader:
        loader.load_state_dict(known["state"])
        state = loader.state_dict()
        assert (state["epoch"], state["batch"]) == (known["state"]["epoch"], known["state"]["batch"])
        assert digest(loader) == known["sha256"]


@pytest.mark.parametrize("name", STATES)
def test_a_state_names_the_same_place(name):
    known = KNOWN[name]["state"]
    state, rest = begin(name, DATA)
    assert (state["epoch"], state["batch"], digest(rest)) == (
        known["epoch"],
        known["batch"],
        KNOWN[name]["sha256"],
    )
    with STATES[name][0](DATA) as loader:
        assert loader.schedule.identity.fingerprint == known["plan"]


def test_a_state_of_another_default_warns(monkeypatch):
    """Version 0.1.0 decoded JPEGs with fast_dct=True, and did not say so in its states."""
    known = KNOWN["frames"]
    monkeypatch.delitem(OF_0_1_0, "fast_dct")
    with STATES["frames"][0](DATA) as loader:
        with pytest.warns(UserWarning, match=r"fast_dct=True gives the saved pixels"):
            loader.load_state_dict(known["state"])
        assert digest(loader) != known["sha256"]


def test_a_state_of_another_plan_is_refused():
    make, *_ = STATES["frames"]
    with make(DATA, seed=12) as loader, pytest.raises(fc.OptionError, match="the state is of another plan"):
        loader.load_state_dict(KNOWN["frames"]["state"])


# Saved indexes


@pytest.mark.parametrize(("file", "recipe"), [("folder", None), ("list", "text_list")])
def test_a_saved_index_is_used(root, caplog, file, recipe):
    caplog.set_level(logging.INFO)
    index = moved(root / "saved" / f"{file}.index", str(PLACE), str(root))
    status = index.stat()
    if recipe is None:
        dataset = fc.open(root / "frames", index=index)
        expected = digest(serve(folder(root), WINDOWS, [CROP], workers=0, **SHUFFLED))
    else:
        dataset = fc.open(root / "list.txt", root=root / "frames", **LISTED, index=index)
        expected = DIGESTS[recipe]["sha256"]
    assert digest(serve(dataset, WINDOWS, [CROP], workers=0, **SHUFFLED)) == expected
    assert "scanning again" not in caplog.text
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def test_a_saved_index_of_folders_that_have_changed_is_made_again(root, caplog):
    caplog.set_level(logging.INFO)
    index = moved(root / "saved" / "folder.index", str(PLACE), str(root))
    shutil.copytree(root / "frames" / "swim" / "c", root / "frames" / "swim" / "d")
    assert len(fc.open(root / "frames", index=index)) == 7
    assert "scanning again" in caplog.text


@pytest.mark.parametrize("file", ["folder", "list"])
def test_a_saved_index_of_another_place_is_refused(root, file):
    index = root / "saved" / f"{file}.index"
    before = index.read_bytes()
    options = {"source": root / "frames"}
    if file == "list":
        options = {"source": root / "list.txt", "root": root / "frames", **LISTED}
    with pytest.raises(fc.OptionError, match=rf"was made from '{PLACE}/frames', not '{root}/frames'"):
        fc.open(**options, index=index)
    assert index.read_bytes() == before


def moved(index, old, new):
    """Write another place into an index, as if the folders had been there when it was made."""
    data = index.read_bytes()
    magic, version, length, _, _ = struct.unpack_from("<8sQQQQ", data)
    block = data[-(-(40 + length) // 64) * 64 :]
    header = data[40 : 40 + length].replace(old.encode(), new.encode())
    rest = header.ljust(-(-(40 + len(header)) // 64) * 64 - 40, b"\0") + block
    index.write_bytes(
        struct.pack("<8sQQQQ", magic, version, len(header), 40 + len(rest), zlib.crc32(rest)) + rest
    )
    return index


# Packs and tar files


@pytest.mark.parametrize("name", ["jpeg", "small", "raw", "masked", "arrays"])
def test_packs_are_opened_as_they_are(root, name):
    before = content(root / "packs" / name)
    for _ in serve(fc.open(root / "packs" / name), fc.Windows(2), [fc.CenterCrop(20)], workers=0):
        pass
    assert content(root / "packs" / name) == before


def test_a_pack_that_is_there_is_kept(root):
    before = content(root / "packs" / "arrays")
    assert pack_arrays(root, root / "packs" / "arrays").resumed
    assert content(root / "packs" / "arrays") == before


def test_a_pack_that_was_interrupted_goes_on(root):
    folder = root / "packs" / "unfinished"
    with pytest.raises(fc.DataError, match="is an unfinished pack"):
        fc.open(folder)
    assert pack_arrays(root, folder).resumed
    assert content(folder).keys() == content(root / "packs" / "arrays").keys()
    batches = [serve(fc.open(made), fc.Windows(2), workers=0) for made in (folder, root / "packs" / "arrays")]
    assert digest(batches[0]) == digest(batches[1])


def test_a_pack_of_other_data_is_refused(root):
    """That of frames at another place is one."""
    before = content(root / "packs" / "jpeg")
    with pytest.raises(fc.OptionError, match="is a pack of other data or with other options"):
        fc.pack(folder(root), root / "packs" / "jpeg", workers=0)
    assert content(root / "packs" / "jpeg") == before


@pytest.mark.parametrize("same_time", [True, False])
def test_a_listing_of_a_tar_is_used_if_its_time_is_the_same(root, same_time):
    beside = root / "foreign.tar.index"
    status = beside.stat()
    if not same_time:
        os.utime(root / "foreign.tar", (TIME, TIME + 1))
    assert digest(RECIPES["foreign_tar"](root, 0)) == DIGESTS["foreign_tar"]["sha256"]
    assert (beside.stat().st_ino == status.st_ino) == same_time
