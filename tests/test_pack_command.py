"""``fastclips pack``: what it takes, what it prints, what it does with frames that cannot be read."""

import json
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python
from packing import check_same, content, members, packed
from PIL import Image

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.errors import DataError, EngineError, FrameError, OptionError
from fastclips.pixels.decoding.decoder import Decoder

pytestmark = pytest.mark.slow


def command(*arguments):
    return main(["pack", *map(str, arguments), "--workers", "0"])


def test_a_folder(frames, tmp_path, capsys):
    assert command(frames, tmp_path / "pack") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path}/pack: 6 videos, 72 frames\n")
    assert "of frames before" in out
    assert "tar files add" in out
    assert err == ""
    check_same(fc.open(frames), fc.open(tmp_path / "pack"))
    assert command(frames, tmp_path / "pack") == 0
    assert "shards of an earlier run are kept" in capsys.readouterr().out


def test_a_worker_that_cannot_be_started(frames, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EngineError, match=r"cannot start a worker process: .*'/nowhere/python'"):
        fc.pack(fc.open(frames), tmp_path / "pack", workers=2)


def test_it_is_the_function(frames, masks, tmp_path):
    assert command(frames, tmp_path / "a", "--mask", masks, "--restart", "row", "--shard-size", "30KiB") == 0
    assert (
        command(
            frames, tmp_path / "b", "--stream", f"mask={masks}", "--restart", "4", "--shard-size", "30KiB"
        )
        == 0
    )
    dataset = fc.open({"image": frames, "mask": masks})
    fc.pack(dataset, tmp_path / "c", restart="row", shard_size="30KiB", workers=0)
    assert members(tmp_path / "a") == members(tmp_path / "b") == members(tmp_path / "c")
    assert content(tmp_path / "a") == content(tmp_path / "c")


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (["--short-side", 24, "--quality", 60], {"short_side": 24, "quality": 60}),
        (["--codec", "raw"], {"codec": "raw"}),
        (["--restart", 0], {"restart": 0}),
    ],
)
def test_options(frames, tmp_path, options, same):
    assert command(frames, tmp_path / "a", *options) == 0
    packed(fc.open(frames), tmp_path / "b", **same)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_lists(frames, tmp_path):
    listed = tmp_path / "train.txt"
    listed.write_text("class_1/video_1 3 7\nclass_0/video_4 5 2\n")
    assert command(frames, tmp_path / "a", "--list", listed, "--columns", "path length label") == 0
    dataset = fc.open(listed, root=frames, columns="path length label")
    check_same(dataset, fc.open(tmp_path / "a"))
    beside = frames.parent / f"{frames.name}.csv"
    beside.write_text(f"path,label\n{frames.name}/class_1/video_1,a\n")
    assert command(beside, tmp_path / "b") == 0  # the list itself, whose folder is the root
    check_same(fc.open(beside), fc.open(tmp_path / "b"))


def test_other_names(frames, tmp_path):
    assert command(frames, tmp_path / "a", "--frames", "frame_0000*.jpg", "--no-labels") == 0
    data = fc.open(tmp_path / "a")
    assert data.index.labels is None
    assert data.index.frame_counts.tolist() == [9] * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream", "mask"], "--stream 'mask': must be NAME=DIR"),
        (["--list", "nowhere.txt"], "--list 'nowhere.txt': the file does not exist"),
        (["--columns", "path label"], "columns='path label': is for lists"),
        (["--codec", "raw", "--restart", "2"], "restart=2: is for JPEGs"),
        (["--shard-size", "1x"], "shard_size='1x'"),
    ],
)
def test_mistakes(frames, tmp_path, capsys, arguments, message):
    assert command(frames, tmp_path / "pack", *arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("fastclips: error: ")
    assert message in err
    assert not (tmp_path / "pack").exists()


def test_an_interval_that_is_no_number(frames, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command(frames, tmp_path / "pack", "--restart", "x")
    assert "--restart: 'x': must be a number of MCUs or 'row'" in capsys.readouterr().err


def test_sources_that_are_none(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert command(tmp_path / "empty", tmp_path / "pack") == 1
    assert "no frames in" in capsys.readouterr().err
    assert command(tmp_path / "nowhere", tmp_path / "pack") == 1
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("a", "b", "--restart", "x")


# Frames that cannot be read


@pytest.fixture
def harmed(frames, tmp_path):
    """A truncated frame and one that is gone after the scan, in two videos of six."""
    root = shutil.copytree(frames, tmp_path / "harmed")
    paths = sorted(root.rglob("*.jpg"))
    paths[14].write_bytes(paths[14].read_bytes()[:500])
    paths[30].write_bytes(b"not a JPEG")
    return root, [paths[14], paths[30]]


@pytest.mark.filterwarnings("ignore:.*frames looked at cannot be read")
def test_a_damaged_frame_stays_in_its_place(harmed, tmp_path, capsys):
    root, paths = harmed
    assert command(root, tmp_path / "pack") == 1
    out, err = capsys.readouterr()
    assert "6 videos, 72 frames" in out
    for path in paths:
        assert f"{path}: " in err
    assert "truncated, damaged" in err
    assert "Unreadable frames: 2; videos with such frames: 2. These frames are packed as they are" in err
    folder, pack = fc.open(root), fc.open(tmp_path / "pack")
    assert pack.index.frame_counts.tolist() == folder.index.frame_counts.tolist()
    bad = 0
    for video, frame in np.ndindex(6, 12):
        data = folder.storage.read("image", video, frame)
        if folder.storage.where("image", video, frame) in map(str, paths):
            assert pack.storage.read("image", video, frame) == data
            bad += 1
    assert bad == 2
    for data in (folder, pack):
        loader = fc.ClipLoader(data.select(["class_0/video_2"]), fc.Windows(12), batch_size=1, workers=0)
        with pytest.raises(FrameError, match=r"0000.*: truncated, damaged"):
            list(loader)


@pytest.mark.slow
def test_videos_with_damaged_frames_may_be_left_out(harmed, tmp_path, capsys):
    root, paths = harmed
    assert command(root, tmp_path / "pack", "--skip-damaged", "--shard-size", "20KiB") == 0
    out, err = capsys.readouterr()
    assert "4 videos, 48 frames" in out
    assert "Unreadable frames: 2; videos with such frames: 2. Left out: 'class_0/video_2', " in err
    assert all(str(path) in err for path in paths)
    pack = fc.open(tmp_path / "pack")
    gone = {str(path.parent.relative_to(root)) for path in paths}
    left = [name for name in fc.open(root).index.names if name not in gone]
    assert list(pack.index.names) == left
    check_same(fc.open(root).select(left), pack)
    assert not any(name.startswith(tuple(gone)) for name, _ in members(tmp_path / "pack"))
    fc.pack(fc.open(root), tmp_path / "two", skip_damaged=True, shard_size="20KiB", workers=2)
    assert content(tmp_path / "two") == content(tmp_path / "pack")


def test_a_frame_that_is_gone(frames, tmp_path):
    root = shutil.copytree(frames / "class_1", tmp_path / "f" / "a")
    dataset = fc.open(tmp_path / "f")
    (root / "video_1" / "frame_00003.jpg").unlink()
    done, pack = packed(dataset, tmp_path / "pack")
    ((video, where, why),) = done.problems
    assert (video, where) == ("a/video_1", str(root / "video_1" / "frame_00003.jpg"))
    assert "No such file" in why
    assert str(done).splitlines()[-1] == (
        f"unreadable frames: 1; all are in .problems, the first is {where}: {why}"
    )
    assert pack.index.frame_counts.tolist() == [12, 12, 12]
    with pytest.raises(FrameError, match="empty"):
        pack.storage.read("image", 0, 2)


def test_damaged_masks(frames, masks, tmp_path):
    """Their checksums are compared, though they are stored as they are."""
    root = shutil.copytree(masks, tmp_path / "masks")
    cut, flipped = sorted(root.rglob("*.png"))[5:7]
    cut.write_bytes(cut.read_bytes()[:-20])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    done, pack = packed(fc.open({"image": frames, "mask": root}), tmp_path / "pack")
    assert [problem.where for problem in done.problems] == [str(cut), str(flipped)]
    assert all("damaged PNG" in problem.why for problem in done.problems)
    assert pack.storage.read("mask", 0, 5) == cut.read_bytes()


def test_nothing_that_can_be_read(tmp_path, capsys):
    (tmp_path / "f" / "a" / "b").mkdir(parents=True)
    (tmp_path / "f" / "a" / "b" / "1.jpg").write_bytes(b"x")
    assert command(tmp_path / "f", tmp_path / "pack", "--skip-damaged") == 1
    assert "no video could be packed" in capsys.readouterr().err
    with pytest.raises(DataError):
        fc.open(tmp_path / "pack")


def test_many_problems_are_counted(tmp_path, capsys):
    for number in range(50):
        path = tmp_path / "f" / "a" / "b" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert command(tmp_path / "f", tmp_path / "pack") == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 21
    assert "Unreadable frames: 50, of which the first 20 are shown; videos with such frames: 1." in err


@pytest.mark.slow
def test_packing_imports_no_framework(frames, tmp_path):
    code = """
import sys, fastclips as fc
fc.pack(fc.open(sys.argv[1]), sys.argv[2], workers=1)
print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "torch", "jax", "numba"}))
"""
    assert run_python(code, frames, tmp_path / "pack") == "[]\n"


def test_the_index_is_said_in_words(frames, masks, tmp_path):
    """Frames are found without fastclips, by what docs/formats.md says alone."""
    rows = [{"path": f"class_{n % 2}/video_{n}", "start": n, "length": 4} for n in range(6)]
    dataset = fc.open(rows, root={"image": frames, "mask": masks})
    _, pack = packed(dataset, tmp_path / "pack", shard_size="20KiB")
    data = (tmp_path / "pack" / "pack.index").read_bytes()
    magic, version, length, size, crc = struct.unpack_from("<8sQQQQ", data)
    assert (magic, version, size, crc) == (b"fcolumns", 2, len(data), zlib.crc32(data[40:]))
    header = json.loads(data[40 : 40 + length])
    start = -(-(40 + length) // 64) * 64
    arrays = {
        name: np.frombuffer(data, dtype, shape[0], start + offset)
        for name, (dtype, shape, offset) in header["arrays"].items()
    }
    shards = [(tmp_path / "pack" / name).read_bytes() for name in header["meta"]["shards"]]
    assert len(shards) > 2
    assert arrays["pack.ends"].tolist() == np.cumsum([len(shard) for shard in shards]).tolist()
    every = b"".join(shards)
    for stream in ("image", "mask"):
        bases, blocks, lengths = (arrays[f"pack.{stream}.{name}"] for name in ("bases", "blocks", "lengths"))
        for v in range(6):
            for f in range(v, v + 4):
                row = arrays["pack.begins"][v] + f - arrays["pack.firsts"][v]
                begin = int(bases[v]) + 512 * int(blocks[row])
                frame = every[begin : begin + int(lengths[row])]
                assert frame == pack.storage.read(stream, v, f)
                assert frame.startswith(b"\xff\xd8" if stream == "image" else b"\x89PNG")


def test_frames_that_a_loader_refuses_are_said(frames, tmp_path):
    """They are whole, but have 16 bits, or a mask has colours: whatever its loader says, packing says."""
    masks = tmp_path / "masks"
    for path in sorted(frames.rglob("*.jpg")):
        mask = masks / path.relative_to(frames).with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 48)).save(mask)
    Image.new("RGB", (64, 48)).save(masks / "class_0" / "video_0" / "frame_00003.png")
    Image.fromarray(np.full((48, 64), 300, np.uint16)).save(masks / "class_0" / "video_0" / "frame_00007.png")
    done, pack = packed(fc.open({"image": frames, "mask": masks}), tmp_path / "pack")
    assert [Path(problem.where).name for problem in done.problems] == ["frame_00003.png", "frame_00007.png"]
    for frame in (2, 6):
        with pytest.raises(FrameError, match="must"):
            Decoder(pack.streams[1]).decode(pack.storage.read("mask", 0, frame))
    colours = {(0, 0, 0): 0}
    Image.new("RGB", (64, 48), (1, 2, 3)).save(masks / "class_0" / "video_0" / "frame_00005.png")
    done, _ = packed(fc.open({"image": frames, "mask": masks}, colors=colours), tmp_path / "colours")
    assert "frame_00005.png" in {Path(problem.where).name for problem in done.problems}


def test_what_was_mended_is_not_looked_at_again(frames, tmp_path, capsys):
    root = shutil.copytree(frames, tmp_path / "f")
    path = root / "class_0" / "video_0" / "frame_00003.jpg"
    intact = path.read_bytes()
    path.write_bytes(b"")
    assert command(root, tmp_path / "pack") == 1
    err = capsys.readouterr().err
    assert err.count(str(path)) == 1
    assert "since an earlier run" not in err
    path.write_bytes(intact)
    assert command(root, tmp_path / "pack") == 1
    assert f"repaired since an earlier run are not read again: delete '{tmp_path}/pack'" in (
        capsys.readouterr().err
    )


def test_an_interrupt_says_how_to_go_on(frames, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastclips.packing.make_pack.make_pack", interrupt)
    assert command(frames, tmp_path / "pack") == 130
    assert "The same command continues" in capsys.readouterr().err


def test_arrays_of_other_content_are_other_data(tmp_path):
    one, other = (np.full((2, 3, 16, 16, 3), value, np.uint8) for value in (1, 2))
    fc.pack(fc.open(images=one), tmp_path / "pack", workers=0)
    assert fc.pack(fc.open(images=one), tmp_path / "pack", workers=0).resumed
    with pytest.raises(OptionError, match="is a pack of other data"):
        fc.pack(fc.open(images=other), tmp_path / "pack", workers=0)


def test_a_pack_is_drawn_as_its_folder(tmp_path, frames, masks, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fc.pack(fc.open({"image": frames, "mask": masks}), "packed", workers=0)
    assert main(["preview", str(frames), "--mask", str(masks), "--time-steps", "4", "-o", "folder.png"]) == 0
    assert main(["preview", "packed", "--time-steps", "4", "-o", "packed.png"]) == 0
    with Image.open("folder.png") as one, Image.open("packed.png") as other:
        assert one.size == other.size
