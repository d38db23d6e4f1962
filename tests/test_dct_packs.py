"""Packs of dct frames: everything that a pack of JPEGs does, with the same bits."""

import json
import pickle
import tarfile

import numpy as np
import pytest
from helpers import picture, write_jpeg
from packing import check_same, content, members, packed, same_index
from PIL import Image
from reference_data import copied
from reference_epochs import DATA
from test_digest_table import DIGESTS, digests

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.errors import FrameError, OptionError
from fastclips.pixels.decoding.decoder import frame_size

pytestmark = pytest.mark.slow


def test_a_folder(frames, coded):
    dataset, pack = fc.open(frames), fc.open(coded)
    assert repr(pack) == repr(dataset)
    same_index(dataset, pack)
    check_same(dataset, pack)
    check_same(dataset, pack, fc.Windows(4, dilation=3))
    check_same(dataset, pack, fast_dct=True, workers=2)
    check_same(dataset, pack, transforms=[fc.RandomRotation(20), fc.Resize(24)])
    check_same(dataset, pack, transforms=[fc.Resize(12)])  # at a DCT scale
    check_same(dataset, pack, fc.Windows(6, step=1), cache=0)
    check_same(dataset, pack, fc.Windows(6, step=1), memory="64MiB", workers=2)
    names = [name for name, _ in members(coded)]
    assert names[0] == "class_0/video_0/000000.image.fcd"
    assert {name.rpartition(".")[2] for name in names} == {"fcd"}


@pytest.mark.parametrize(("workers", "off"), [(0, ""), (2, ""), (0, "PDEP"), (0, "AVX2,SSE4_2")])
def test_the_digests(tmp_path, monkeypatch, workers, off):
    """Those of the folder, with gray, progressive and other JPEGs in it, whatever the CPU can do."""
    monkeypatch.setenv("FASTCLIPS_CPU_DISABLE", off)
    root = copied(DATA, tmp_path / "data")
    done, pack = packed(fc.open(root / "frames"), tmp_path / "pack", codec="dct", workers=workers)
    assert done.kept == 0
    assert digests(pack, workers) == DIGESTS


def test_the_same_bytes_for_any_workers(frames, coded, tmp_path):
    fc.pack(frames, tmp_path / "pack", codec="dct", shard_size="20KiB", workers=2)
    assert content(tmp_path / "pack") == content(coded)


def test_stats_and_storage(coded):
    data = fc.open(coded)
    frame = data.storage.read("image", 0, 3)
    assert frame[:4] == b"\x8fFCD"
    assert frame_size(frame) == (48, 64)
    with fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(16)], batch_size=3, workers=0, cache=0) as loader:
        list(loader)
        stats = loader.stats()
        assert stats.sliced_frames == 72
        assert stats.cropped_frames == stats.pillow_frames == 0
    again = pickle.loads(pickle.dumps(data.storage))
    assert again.read("image", 0, 3) == frame


def test_masks_and_other_formats_are_kept(frames, masks, tmp_path):
    pairs = fc.open({"image": frames, "mask": masks})
    done, pack = packed(pairs, tmp_path / "pairs", codec="dct")
    assert done.kept == 0
    check_same(pairs, pack, targets="mask")
    kinds = {name.partition(".")[2] for name, _ in members(tmp_path / "pairs")}
    assert kinds == {"image.fcd", "mask.png"}
    mixed = tmp_path / "mixed" / "class" / "video"
    mixed.mkdir(parents=True)
    write_jpeg(mixed / "0.jpg", picture(0))
    Image.fromarray(picture(1)).save(mixed / "1.png")
    Image.fromarray(picture(2)).convert("CMYK").save(mixed / "2.jpg")
    done, pack = packed(fc.open(tmp_path / "mixed"), tmp_path / "other", codec="dct")
    assert done.kept == 2
    assert "2 pictures are stored unchanged" in str(done)
    assert "do not fit codec='dct'" in str(done)
    check_same(fc.open(tmp_path / "mixed"), pack, fc.Windows(1))
    assert [name.rpartition(".")[2] for name, _ in members(tmp_path / "other")] == ["fcd", "png", "jpg"]


def test_what_must_be_encoded(frames, tmp_path):
    options = {"short_side": 32, "quality": 80}
    _, jpeg = packed(frames, tmp_path / "jpeg", **options)
    _, dct = packed(frames, tmp_path / "dct", codec="dct", **options)
    check_same(jpeg, dct)
    arrays = fc.open(images=np.stack([picture(i) for i in range(12)]).reshape(3, 4, 48, 64, 3))
    _, jpeg = packed(arrays, tmp_path / "jpegs")
    _, dct = packed(arrays, tmp_path / "dcts", codec="dct")
    check_same(jpeg, dct)
    assert main(["pack", str(frames), str(tmp_path / "command"), "--codec", "dct", "--workers", "0"]) == 0
    check_same(fc.open(frames), fc.open(tmp_path / "command"))
    with pytest.raises(OptionError, match="restart=4: is for JPEGs, but codec='dct' stores none"):
        fc.pack(frames, tmp_path / "no", codec="dct", restart=4)


def test_a_pack_of_another_pack(frames, coded, tmp_path):
    """Frames that are dct frames already are copied."""
    done, pack = packed(fc.open(coded), tmp_path / "again", codec="dct")
    assert (done.kept, done.frames) == (0, 72)
    check_same(fc.open(frames), pack)
    done, pack = packed(fc.open(coded), tmp_path / "jpeg")
    assert (done.kept, done.frames) == (0, 72)
    check_same(fc.open(frames), pack)
    assert {name.rpartition(".")[2] for name, _ in members(tmp_path / "jpeg")} == {"jpg"}
    _, small = packed(fc.open(coded), tmp_path / "small", short_side=32)
    _, same = packed(frames, tmp_path / "same", short_side=32)
    check_same(small, same)


def test_resuming(frames, tmp_path):
    one = fc.pack(frames, tmp_path / "pack", codec="dct", workers=0)
    assert fc.pack(frames, tmp_path / "pack", codec="dct", workers=0).resumed
    assert one.codec == "dct"
    with pytest.raises(OptionError, match="other options"):
        fc.pack(frames, tmp_path / "pack", workers=0)


def test_its_tar_alone(frames, tmp_path):
    """Opened as tar files of others are, and unpacked by tar."""
    fc.pack(frames, tmp_path / "pack", codec="dct", workers=0)
    check_same(fc.open(frames), fc.open(tmp_path / "pack" / "00000.tar"))
    with tarfile.open(tmp_path / "pack" / "00000.tar") as tar:
        tar.extractall(tmp_path / "folder", filter="data")
    check_same(fc.open(frames), fc.open(tmp_path / "folder"))


def harm(pack, names, change):
    for path in pack.glob("*.tar"):
        with tarfile.open(path) as tar:
            places = {member.name: (member.offset_data, member.size) for member in tar}
        data = bytearray(path.read_bytes())
        for name in {*names} & {*places}:
            at, size = places[name]
            data[at : at + size] = change(bytes(data[at : at + size]))
        path.write_bytes(data)


def test_damage(coded_copy, caplog):
    """One wrong bit anywhere in a frame is an error with its path, and `damaged="repeat"` repairs it."""
    name = "class_0/video_0/000002.image.fcd"
    harm(coded_copy, [name], lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    data = fc.open(coded_copy)
    options = {"batch_size": 2, "workers": 0}
    clips, crop = fc.Windows(4), [fc.CenterCrop(8)]  # away from the wrong bit
    wrong = pytest.raises(FrameError, match=f"{name}.*its checksum is wrong")
    with fc.ClipLoader(data, clips, crop, **options) as loader, wrong:
        next(iter(loader))
    with fc.ClipLoader(data, clips, crop, damaged="repeat", **options) as loader:
        x, _ = next(iter(loader))
        assert "is replaced: truncated or damaged dct frame" in caplog.text
        np.testing.assert_array_equal(x[0, 2], x[0, 1])
    assert [finding.kind for finding in fc.check(data, workers=0).findings] == ["damaged"]
    assert "checksum" in str(fc.check(data, workers=0))


def test_commands(coded_copy, frames, capsys):
    assert main(["check", str(coded_copy), "--workers", "0"]) == 0
    sheets = []
    for source in (frames, coded_copy):
        with fc.ClipLoader(
            fc.open(source), fc.Windows(4), [fc.RandomCrop(16)], batch_size=4, workers=0
        ) as loader:
            sheets.append(loader.preview().size)
    assert sheets[0] == sheets[1]
    capsys.readouterr()
    options = ["--seconds", "0.5", "--crop", "16", "--time-steps", "4", "--workers", "1", "--json"]
    assert main(["bench", str(coded_copy), *options]) == 0
    assert json.loads(capsys.readouterr().out)["ways"] == {"sliced": 1.0, "cropped": 0.0, "whole": 0.0}
