"""An index that is kept in a file: it gives the same, notices what changes, and refuses what it is not."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import labels, no_listing, parts, touch
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.data import files, saved_index, scan
from fastclips.data.columns import Columns
from fastclips.errors import DataError, OptionError


def test_a_saved_index_gives_the_same(rawframes):
    path = rawframes / "frames.index"
    for options in ({"source": rawframes / "rawframes"}, {"source": list_file(rawframes)}):
        plain = fc.open(**options)
        made = fc.open(**options, index=path)
        opened = fc.open(**options, index=path)
        for data in (made, opened):
            assert parts(data) == parts(plain)
            assert (labels(data), data.classes) == (labels(plain), plain.classes)
            assert data.index.keys.tolist() == plain.index.keys.tolist()
            assert (data.index.fps is None) == (plain.index.fps is None)
            for key in plain.index.keys.tolist():
                assert data.storage.where("image", key, 1) == plain.storage.where("image", key, 1)
        path.unlink()


def list_file(folder):
    path = folder / "rawframes" / "list.csv"
    path.write_text("path,start,length,fps,label\nswim/c,1,3,25,b\ndive/a,0,2,30,a\nswim/c,2,2,25,a\n")
    return path


def test_a_saved_index_reads_no_directory(rawframes, monkeypatch):
    made = fc.open(rawframes / "rawframes", index=rawframes / "i")
    no_listing(monkeypatch)
    assert parts(fc.open(rawframes / "rawframes", index=rawframes / "i")) == parts(made)


@pytest.mark.parametrize("change", ["a video more", "a frame more", "a frame less", "a class more"])
def test_changed_folders_are_scanned_again(rawframes, change, caplog):
    caplog.set_level(logging.INFO)
    root = rawframes / "rawframes"
    before = parts(fc.open(root, index=rawframes / "i"))
    if change == "a frame less":
        (root / "dive" / "b" / "img_00006.jpg").unlink()
    else:
        new = {"a video": "dive/z/img_1.jpg", "a frame": "dive/a/img_00006.jpg", "a class": "jump/a/1.jpg"}
        touch(root, new[change.removesuffix(" more")])
    after = parts(fc.open(root, index=rawframes / "i"))
    assert after == parts(fc.open(root)) != before
    assert "scanning again" in caplog.text


def test_a_changed_list_is_read_again(rawframes):
    path = list_file(rawframes)
    assert len(fc.open(path, index=rawframes / "i")) == 3
    path.write_text("path,label\nswim/c,b\n")
    assert parts(fc.open(path, index=rawframes / "i")) == [("swim/c", 0, 7)]


def test_an_index_of_other_options(rawframes):
    fc.open(rawframes / "rawframes", index=rawframes / "i")
    with pytest.raises(OptionError, match=r"index=.* was made with frames=None, not 'img_\*': give another"):
        fc.open(rawframes / "rawframes", index=rawframes / "i", frames="img_*")


# What is noticed


def test_folders_at_every_depth_are_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_VIDEOS", 2)
    root = touch(tmp_path / "f", *(f"a/p{n}/v{m}/1.jpg" for n in range(3) for m in range(3)))
    (root / "b" / "empty").mkdir(parents=True)
    for number, new in enumerate(["a/p3/v/1.jpg", "a/p1/new/1.jpg", "b/empty/v/1.jpg", "b/empty/1.jpg"], 10):
        touch(root, new)
        assert len(fc.open(root, index=tmp_path / "i")) == number == len(fc.open(root))


def test_what_comes_during_the_scan_is_noticed_the_next_time(rawframes, monkeypatch):
    root = rawframes / "rawframes"
    for folder in (root, *root.iterdir()):
        os.utime(folder, ns=(1, 1))

    def scanned(*arguments, **options):
        tree = scan.scan_tree(*arguments, **options)
        touch(root, "dive/late/1.jpg")
        return tree

    with monkeypatch.context() as patch:
        patch.setattr(files, "scan_tree", scanned)
        assert len(fc.open(root, index=rawframes / "i")) == 3
    assert len(fc.open(root, index=rawframes / "i")) == 4


@pytest.mark.parametrize("videos", [200, 1000])
def test_every_video_is_watched_up_to_1000(tmp_path, videos):
    root = touch(tmp_path / "f", *(f"a/v{number}/1.jpg" for number in range(videos)))
    fc.open(root, index=tmp_path / "i")
    touch(root, "a/v7/2.jpg")
    assert fc.open(root, index=tmp_path / "i").index.frame_counts.sum() == videos + 1
    (root / "a/v7/2.jpg").unlink()
    assert fc.open(root, index=tmp_path / "i").index.frame_counts.sum() == videos


@pytest.mark.parametrize("frames", [None, "img_{:05d}.jpg"])
def test_videos_of_a_list_are_watched(rawframes, frames, caplog):
    caplog.set_level(logging.INFO)
    path, root = list_file(rawframes), rawframes / "rawframes"
    fc.open(path, index=rawframes / "i", frames=frames)
    touch(root, "swim/c/img_00008.jpg")
    fc.open(path, index=rawframes / "i", frames=frames)
    assert "scanning again" in caplog.text


def test_a_folder_that_a_list_lacked_is_noticed(rawframes):
    path = rawframes / "list.csv"
    path.write_text("path,label\nswim/c,b\nswim/later,b\n")
    options = {"root": rawframes / "rawframes", "index": rawframes / "i", "unpaired": "drop"}
    assert len(fc.open(path, **options)) == 1
    touch(rawframes / "rawframes", "swim/later/1.jpg")
    assert len(fc.open(path, **options)) == 2


@pytest.mark.parametrize("where", ["", "dive", "dive/a"])
def test_an_index_inside_what_it_watches(rawframes, where, caplog):
    caplog.set_level(logging.INFO)
    root = rawframes / "rawframes"
    path = root / where / "frames.index"
    for _ in range(3):
        assert len(fc.open(root, index=path)) == 3
    assert "scanning again" not in caplog.text
    touch(root / where, "x/1.jpg")
    assert len(fc.open(root, index=path)) == 4
    assert "scanning again" in caplog.text


@given(st.integers(0, 50), st.integers(2, 20))
def test_evenly_spread(count, most):
    chosen = scan.evenly(range(count), most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen == sorted(chosen)
    if count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        steps = np.diff(chosen).tolist() or [1]
        assert max(steps) - min(steps) <= 1


# What is refused


def refuse_to_scan(monkeypatch):
    def scanned(*_, **__):
        raise AssertionError("scanned")

    monkeypatch.setattr(files, "scan_tree", scanned)


def test_what_can_be_no_index_is_refused_before_the_scan(rawframes, monkeypatch):
    refuse_to_scan(monkeypatch)
    root = rawframes / "rawframes"
    for index, said in [
        (5, "index=5: must be the path of a file"),
        (b"i", "index=b'i': must be the path of a file"),
        ("", "index='': must be the path of a file"),
        (root, "index='.*rawframes': is a folder; give a file, such as '.*rawframes/index'"),
        (root / "none" / "i", "index='.*/none/i': the folder '.*/none' does not exist"),
    ]:
        with pytest.raises(OptionError, match=said):
            fc.open(root, index=index)


def test_a_folder_that_cannot_be_written_into(rawframes, monkeypatch):
    refuse_to_scan(monkeypatch)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(
        OptionError, match=r"index='.*/i': the folder '.*' is not writeable; give a file in another"
    ):
        fc.open(rawframes / "rawframes", index=rawframes / "i")


def test_an_index_that_cannot_be_read(rawframes, monkeypatch):
    fc.open(rawframes / "rawframes", index=rawframes / "i")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(OptionError, match=r"index='.*/i': cannot be read: Permission denied; give another"):
        fc.open(rawframes / "rawframes", index=rawframes / "i")


def test_an_index_that_cannot_be_written(rawframes, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_index.Columns, "save", full)
    with pytest.raises(OptionError, match=r"index='.*/i': cannot be written: No space left on device"):
        fc.open(rawframes / "rawframes", index=rawframes / "i")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": None}, r"was made with labels='auto', not None: give another file, or delete it"),
        ({"unpaired": "drop"}, r"was made with unpaired='error', not 'drop'"),
        ({"classes": ["swim", "dive"]}, r"was made with classes=None, not \['swim', 'dive'\]"),
        ({"source": "dive"}, r"was made from '.*/rawframes', not '.*/rawframes/dive'"),
        ({"source": "list.csv"}, r"was made from folders, not from a list"),
    ],
)
def test_other_options_in_the_users_words(rawframes, options, said):
    root = rawframes / "rawframes"
    list_file(rawframes)
    fc.open(root, index=rawframes / "i")
    source = root / options.pop("source", "")
    with pytest.raises(OptionError, match=said):
        fc.open(source, index=rawframes / "i", **options)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"path,label\n"])
def test_a_file_that_is_no_index(rawframes, content):
    path = rawframes / "i"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'.*/i' is not an index of fastclips; give another file as index=$"):
        fc.open(rawframes / "rawframes", index=path)
    assert path.read_bytes() == content


def test_an_index_that_is_cut_short(rawframes):
    path = rawframes / "i"
    fc.open(rawframes / "rawframes", index=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"'.*/i' has .* bytes, but .*: delete it"):
        fc.open(rawframes / "rawframes", index=path)


def test_columns_that_are_no_whole_index(rawframes):
    path = rawframes / "i"
    fc.open(rawframes / "rawframes", index=path)
    whole = Columns.load(path)
    arrays, meta = dict(whole), whole.meta
    lacking = [({n: a for n, a in arrays.items() if n != name}, meta) for name in arrays]
    lacking += [(arrays, {n: v for n, v in meta.items() if n != name}) for name in meta]
    lacking += [(arrays, {**meta, "index_format": 1}), ({}, {})]
    for some, words in lacking:
        Columns.pack(some, words).save(path)
        with pytest.raises(DataError, match=r"'.*/i' (is not a complete index .*|was made by .*): delete it"):
            fc.open(rawframes / "rawframes", index=path)
