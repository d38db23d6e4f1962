"""`fc.unpack`: the files of a pack, byte for byte where they can be restored, and nothing outside of it."""

import os
import shutil
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from helpers import make_frames, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural, whole
from packing import check_same, content
from PIL import Image
from reference_data import copied
from reference_epochs import DATA

import fastclips as fc
from fastclips._native import around_scan, from_dct, to_dct
from fastclips.commands.cli import main
from fastclips.data.columns import Columns
from fastclips.errors import DataError, OptionError
from fastclips.packing import shards

pytestmark = pytest.mark.slow


unpack = partial(fc.unpack, workers=0)


def files(folder):
    """The frames in each folder below, in order."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".csv", ".py")
    }


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_any_usual_jpeg_comes_back(seed):
    random = np.random.default_rng(seed)
    size = tuple(random.integers(1, 90, 2).tolist())
    sampling = str(random.choice([*SAMPLINGS]))
    restart, quality = int(random.integers(0, 6)), int(random.choice([10, 75, 88, 100]))
    options = {"optimize": bool(random.integers(2))}
    if sampling in ("444", "420"):
        options["comment"] = b"of a camera"
    data = encode(natural(random, *size), sampling, restart, quality, **options)
    data += bytes(random.integers(0, 256, random.integers(3) * 20, dtype=np.uint8))
    coded = to_dct(data)
    if max(size) < 8:
        assert coded is None
        return
    assert from_dct(coded, around_scan(data)) == data
    standard = from_dct(coded)
    assert to_dct(standard) == coded
    np.testing.assert_array_equal(whole(standard), whole(data))


def test_another_header_is_refused():
    data, other = encode(picture(0, 48, 64)), encode(picture(0, 64, 64))
    coded = to_dct(data)
    for around in (
        around_scan(other),
        around_scan(encode(picture(0, 48, 64), "444")),
        b"",
        b"\xff\xd8",
        data[:200],
    ):
        with pytest.raises(ValueError, match="does not fit its header"):
            from_dct(coded, around)
    with pytest.raises(ValueError, match="damaged"):
        from_dct(coded[:-1])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder(frames, coded, tmp_path, workers):
    done = fc.unpack(coded, tmp_path / "files", workers=workers)
    assert (done.videos, done.restored, done.same_coefficients, done.as_stored) == (6, 72, 0, 0)
    assert done.problems == []
    before, after = files(frames), files(tmp_path / "files")
    assert [*before.values()] == [*after.values()]
    assert next(iter(after)) == "class_0/video_0/000000.jpg"
    check_same(fc.open(frames), fc.open(tmp_path / "files"))


def test_headers_are_kept_once(coded):
    shards = sorted(coded.glob("*.tar"))
    assert len(shards) > 2
    for shard in shards:
        columns = Columns.load(shard.with_suffix(".headers"))
        assert (columns.meta["shard"], columns.meta["size"]) == (shard.name, shard.stat().st_size)
        assert len(columns["headers.ends"]) == 1
        assert columns["headers.numbers"].tolist() == [1] * len(columns["headers.numbers"])


def test_jpegs_of_every_kind(tmp_path):
    """Progressive ones have no bytes that could come back; their pixels do."""
    root = copied(DATA, tmp_path / "data") / "frames"
    fc.pack(root, tmp_path / "pack", codec="dct", workers=0)
    done = unpack(tmp_path / "pack", tmp_path / "files")
    counts = {video.name: len([*video.iterdir()]) for video in root.glob("*/*")}
    assert done.same_coefficients == counts["c"] == 3
    assert done.restored == sum(counts.values()) - 3
    check_same(fc.open(root), fc.open(tmp_path / "files"))


def test_streams_have_folders(frames, masks, tmp_path):
    pairs = fc.open({"image": frames, "mask": masks})
    fc.pack(pairs, tmp_path / "pack", codec="dct", workers=0)
    done = unpack(tmp_path / "pack", tmp_path / "files")
    assert (done.restored, done.as_stored) == (72, 72)
    opened = fc.open({name: tmp_path / "files" / name for name in ("image", "mask")})
    check_same(pairs, opened, targets="mask")
    assert [*files(masks).values()] == [*files(tmp_path / "files" / "mask").values()]


def test_other_packs(frames, tmp_path):
    fc.pack(frames, tmp_path / "jpeg", workers=0)
    done = unpack(tmp_path / "jpeg", tmp_path / "jpegs")
    assert (done.restored, done.same_coefficients, done.as_stored) == (0, 72, 0)
    assert "72 JPEGs have the same coefficients" in str(done)
    check_same(fc.open(frames), fc.open(tmp_path / "jpegs"))
    assert not [*(tmp_path / "jpeg").glob("*.headers")]


def test_what_was_encoded_by_pack(frames, tmp_path):
    fc.pack(frames, tmp_path / "small", codec="dct", short_side=32, workers=0)
    done = unpack(tmp_path / "small", tmp_path / "files")
    assert (done.restored, done.same_coefficients) == (0, 72)
    check_same(fc.open(tmp_path / "small"), fc.open(tmp_path / "files"))


def test_without_headers(coded_copy, frames, tmp_path):
    for path in coded_copy.glob("*.headers"):
        path.unlink()
    done = unpack(coded_copy, tmp_path / "files")
    assert (done.restored, done.same_coefficients) == (0, 72)
    check_same(fc.open(frames), fc.open(tmp_path / "files"))


def test_wrong_headers(coded_copy, tmp_path):
    first, second = sorted(coded_copy.glob("*.headers"))[:2]
    data = first.read_bytes()
    shutil.copy(second, first)
    with pytest.raises(DataError, match=r"00000.headers' belongs to another shard: delete it"):
        unpack(coded_copy, tmp_path / "a")
    first.write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"00000.headers"):
        unpack(coded_copy, tmp_path / "b")
    columns = Columns.load(second)
    for name, change in (
        ("headers.numbers", lambda numbers: numbers + np.uint32(1)),
        ("headers.numbers", lambda numbers: numbers[1:]),
        ("headers.ends", lambda ends: ends + 1),
        ("headers.bytes", lambda data: data[1:]),
    ):
        first.write_bytes(data)
        arrays = {key: columns[key].copy() for key in ("headers.numbers", "headers.ends", "headers.bytes")}
        arrays[name] = change(arrays[name])
        Columns.pack(arrays, columns.meta).save(second)
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        with pytest.raises(DataError, match=r"00001.headers' is damaged"):
            unpack(coded_copy, tmp_path / "b")


def test_damaged_frames_are_left_out(coded_copy, tmp_path, capsys):
    shard = coded_copy / "00000.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    done = unpack(coded_copy, tmp_path / "files")
    assert done.restored == 71
    (problem,) = done.problems
    assert problem.where.endswith("00000.tar:class_0/video_0/000000.image.fcd")
    assert not (tmp_path / "files" / "class_0" / "video_0" / "000000.jpg").exists()
    assert "unreadable frames, left out: 1" in str(done)
    assert main(["unpack", str(coded_copy), str(tmp_path / "again"), "--workers", "0"]) == 1
    assert "000000.image.fcd: " in capsys.readouterr().err


def test_where_it_may_write(coded, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for target, why in (
        ("full", "is not empty"),
        ("link", "is a file or a link"),
        ("full/file", "is a file or a link"),
    ):
        with pytest.raises(OptionError, match=f"{target}': {why}"):
            unpack(coded, tmp_path / target)
    assert [*(tmp_path / "empty").iterdir()] == []
    assert unpack(coded, tmp_path / "empty").restored == 72
    with pytest.raises(OptionError, match="is no pack"):
        unpack(tmp_path / "empty", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_no_link_is_followed(coded, tmp_path, monkeypatch):
    """Even one that appears while files are written."""
    (tmp_path / "outside").mkdir()
    mkdir = os.mkdir

    def made_a_link(name, *args, dir_fd=None, **options):
        if name == "video_1":
            os.symlink(tmp_path / "outside", name, dir_fd=dir_fd)
            raise FileExistsError
        mkdir(name, *args, dir_fd=dir_fd, **options)

    monkeypatch.setattr(os, "mkdir", made_a_link)
    with pytest.raises(DataError, match="cannot write into"):
        unpack(coded, tmp_path / "files")
    assert [*(tmp_path / "outside").iterdir()] == []


def test_names_that_lead_out(tmp_path):
    """Of a list, whose videos may have any paths."""
    make_frames(tmp_path / "frames", videos=2, frames=3)
    videos = sorted((tmp_path / "frames").glob("*/*"))
    rows = [(f"../frames/{path.relative_to(tmp_path / 'frames')}", 0) for path in videos]
    (tmp_path / "root").mkdir()
    fc.pack(fc.open(rows, root=tmp_path / "root"), tmp_path / "pack", codec="dct", workers=0)
    before = content(tmp_path / "frames")
    done = unpack(tmp_path / "pack", tmp_path / "deep" / "files")
    assert done.restored == 6
    assert content(tmp_path / "frames") == before
    assert {path.name for path in tmp_path.iterdir()} == {"frames", "root", "pack", "deep"}
    assert [*(tmp_path / "deep").iterdir()] == [tmp_path / "deep" / "files"]


def test_a_stream_whose_name_leads_out(coded_copy, tmp_path):
    index = Columns.load(coded_copy / "pack.index")
    columns = {name: index[name] for name in index}
    for name in list(columns):
        columns[name.replace(".image.", "....")] = columns[name]
    meta = {**index.meta, "streams": [{**index.meta["streams"][0], "name": name} for name in ("image", "..")]}
    Columns.pack(columns, meta).save(coded_copy / "pack.index")
    for path in coded_copy.glob("*.headers"):
        path.unlink()
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=r"'\.\.'"):
        unpack(coded_copy, tmp_path / "files")
    assert {path.name for path in tmp_path.iterdir()} <= {*before, "files"}


def test_leftovers_are_removed(frames, tmp_path, monkeypatch):
    """Of a pack that was never complete, by one with another codec."""
    save = Columns.save

    def stop(self, path):
        if path.suffix == ".record":
            raise KeyboardInterrupt
        save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Columns, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(frames, tmp_path / "pack", codec="dct", workers=0)
    assert (tmp_path / "pack" / "00000.headers").exists()
    fc.pack(frames, tmp_path / "pack", workers=0)
    assert {path.name for path in (tmp_path / "pack").iterdir()} == {"00000.tar", "pack.index"}
    assert unpack(tmp_path / "pack", tmp_path / "files").same_coefficients == 72


def test_the_command(coded, tmp_path, capsys):
    assert main(["unpack", str(coded), str(tmp_path / "files"), "--workers", "0"]) == 0
    assert "72 JPEGs are those that were packed, byte for byte" in capsys.readouterr().out
    assert main(["unpack", str(coded), str(tmp_path / "files")]) == 1
    assert "is not empty; give a new folder" in capsys.readouterr().err


def test_resumed_packs_have_their_headers(frames, tmp_path, monkeypatch):
    end, ended = shards.Shards._end_shard, []

    def stop(self, number):
        if len(ended) == 2:
            raise KeyboardInterrupt
        ended.append(number)
        end(self, number)

    options = {"codec": "dct", "shard_size": "20KiB", "workers": 0}
    with monkeypatch.context() as patch:
        patch.setattr(shards.Shards, "_end_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            fc.pack(frames, tmp_path / "pack", **options)
    assert fc.pack(frames, tmp_path / "pack", **options).resumed
    fc.pack(frames, tmp_path / "once", **options)
    assert content(tmp_path / "pack") == content(tmp_path / "once")
    assert unpack(tmp_path / "pack", tmp_path / "files").restored == 72


def test_cmyk_and_png_are_as_stored(tmp_path):
    video = tmp_path / "frames" / "class" / "video"
    video.mkdir(parents=True)
    Image.fromarray(picture(1)).save(video / "1.png")
    Image.fromarray(picture(2)).convert("CMYK").save(video / "2.jpg")
    Image.fromarray(picture(3)).save(video / "3.webp")
    fc.pack(tmp_path / "frames", tmp_path / "pack", codec="dct", workers=0)
    done = unpack(tmp_path / "pack", tmp_path / "files")
    assert (done.same_coefficients, done.as_stored) == (1, 2)
    written = files(tmp_path / "files")
    assert [name.rpartition(".")[2] for name in written] == ["png", "jpg", "webp"]
    np.testing.assert_array_equal(
        Image.open(BytesIO(written["class/video/000001.jpg"])), Image.open(video / "2.jpg")
    )
