"""Tar files that others have made open like the folder that they would unpack to."""

import gzip
import io
import os
import shutil
import subprocess
import tarfile

import pytest
from helpers import make_frames, make_masks
from packing import check_same, content, packed, same_index

import fastclips as fc
from fastclips.data import tars
from fastclips.errors import DataError, FrameError, OptionError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("root"), videos=4, frames=8)


def tar(target, source, *options, members="."):
    subprocess.run(["/bin/tar", *options, "-cf", target, "-C", source, members], check=True)
    return target


def test_it_is_as_the_folder(root, tmp_path):
    path = tar(tmp_path / "frames.tar", root)
    dataset = fc.open(path)
    same_index(fc.open(root), dataset)
    check_same(fc.open(root), dataset)
    where = dataset.storage.where("image", 0, 3)
    assert where == f"{path}:class_0/video_0/frame_00004.jpg"
    assert dataset.storage.read("image", 0, 3) == (root / "class_0/video_0/frame_00004.jpg").read_bytes()


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_all_forms_of_tar(root, tmp_path, form):
    long = "long" * 20
    source = tmp_path / "source"
    shutil.copytree(root, source / f"{long}_ü" if form != "v7" else source / "a")
    if form in ("gnu", "oldgnu", "posix"):
        shutil.copytree(root, source / (long * 2))
    check_same(fc.open(source), fc.open(tar(tmp_path / "f.tar", source, f"--format={form}")))


def test_a_listing_is_made_once(root, tmp_path, monkeypatch):
    path = tar(tmp_path / "frames.tar", root)
    fc.open(path)
    assert (tmp_path / "frames.tar.index").exists()
    with monkeypatch.context() as patch:
        patch.setattr(tars, "_scan", None)  # would be an error
        check_same(fc.open(path), fc.open(root))
        check_same(
            fc.open(path, labels=None, frames="*_0000[1-4].jpg"),
            fc.open(root, labels=None, frames="*_0000[1-4].jpg"),
        )


@pytest.mark.parametrize("change", ["content", "time", "listing"])
def test_a_listing_is_made_anew(root, tmp_path, change):
    path = tar(tmp_path / "frames.tar", root)
    fc.open(path)
    beside = tmp_path / "frames.tar.index"
    if change == "content":
        tar(path, root / "class_0")
        assert len(fc.open(path)) == 2
    elif change == "time":
        before = beside.read_bytes()
        os.utime(path, (1, 1))
        fc.open(path)
        assert beside.read_bytes() != before
    else:
        beside.write_bytes(beside.read_bytes()[:-1])
        check_same(fc.open(path), fc.open(root))
        assert fc.data.columns.Columns.load(beside)


def test_a_listing_that_cannot_be_kept(root, tmp_path, caplog):
    path = tar(tmp_path / "frames.tar", root)
    (tmp_path / "frames.tar.index").write_text("my own notes")
    check_same(fc.open(path), fc.open(root))
    assert (tmp_path / "frames.tar.index").read_text() == "my own notes"
    assert "a file of another kind" in caplog.text
    (tmp_path / "frames.tar.index").unlink()
    (tmp_path / "frames.tar.index").mkdir()
    caplog.clear()
    check_same(fc.open(path), fc.open(root))
    assert "Could not save the listing of" in caplog.text


def test_a_folder_of_tars(root, tmp_path):
    """Cut anywhere, as those who write shards do: a video may begin in one and end in another."""
    paths = sorted(root.rglob("*.jpg"))
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        with tarfile.open(folder / f"s-{number}.tar", "w") as out:
            for path in paths[number * 11 : (number + 1) * 11]:
                out.add(path, path.relative_to(root))
    (folder / "README").write_text("three shards")
    dataset = fc.open(folder)
    same_index(fc.open(root), dataset)
    check_same(fc.open(root), dataset)
    check_same(fc.open(root), dataset, fc.Windows(6, dilation=1))
    _, pack = packed(dataset, tmp_path / "pack")
    check_same(fc.open(root), pack)


def test_images_and_masks(root, tmp_path):
    masks = make_masks(tmp_path / "masks", root)
    paths = {"image": tar(tmp_path / "i.tar", root), "mask": tar(tmp_path / "m.tar", masks)}
    folders = {"image": root, "mask": masks}
    check_same(fc.open(folders), fc.open(paths), targets="mask")
    with pytest.raises(OptionError, match=r"the stream 'mask' is not a tar file, but other streams are"):
        fc.open({**paths, "mask": masks})


def test_lists(root, tmp_path):
    path = tar(tmp_path / "frames.tar", root)
    rows = [("class_1/video_1.mp4", "b", 2, 5), ("class_0/video_2", "a", 0, 8)]
    check_same(fc.open(rows, root=root), fc.open(rows, root=path))
    listed = tmp_path / "list.txt"
    listed.write_text("class_0/video_0 7 3\n")
    options = {"columns": "path length label", "frames": "frame_{:05d}.jpg"}
    check_same(fc.open(listed, root=root, **options), fc.open(listed, root=path, **options))
    with pytest.raises(DataError, match=r"there are no frames in 'class_9/x'"):
        fc.open([("class_9/x", 0)], root=path)


def test_shards_of_a_pack_are_tars(root, tmp_path):
    packed(fc.open(root), tmp_path / "pack", restart=0)
    (tmp_path / "one").mkdir()
    shutil.copy(tmp_path / "pack" / "00000.tar", tmp_path / "one")
    check_same(fc.open(root), fc.open(tmp_path / "one"))
    check_same(fc.open(root), fc.open(tmp_path / "one" / "00000.tar"))


def test_what_is_no_frame(root, tmp_path):
    source = shutil.copytree(root, tmp_path / "source")
    for name in ("notes.txt", "class_0/video_0/frame_00001.json", ".hidden/a/1.jpg", "__MACOSX/a/b/1.jpg"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"x")
    dataset = fc.open(tar(tmp_path / "f.tar", source))
    same_index(fc.open(source), dataset)
    check_same(fc.open(root), dataset)


def test_the_last_of_two_counts(root, tmp_path):
    """As unpacking would have it."""
    path = tar(tmp_path / "f.tar", root)
    frame = "class_0/video_0/frame_00003.jpg"
    other = (root / "class_1/video_1/frame_00001.jpg").read_bytes()
    with tarfile.open(path, "a") as out:
        info = tarfile.TarInfo(frame)
        info.size = len(other)
        out.addfile(info, io.BytesIO(other))
    dataset = fc.open(path)
    assert dataset.index.frame_counts.tolist() == [8] * 4
    assert dataset.storage.read("image", 0, 2) == other


def test_frames_at_the_top(root, tmp_path):
    path = tar(tmp_path / "f.tar", root / "class_0" / "video_0")
    with pytest.raises(DataError, match=r"itself holds frames, such as 'frame_00001.jpg'"):
        fc.open(path)
    dataset = fc.open(path, labels=None)
    assert list(dataset.index.names) == ["."]
    check_same(fc.open(root / "class_0" / "video_0", labels=None), dataset)
    assert dataset.storage.where("image", 0, 0) == f"{path}:./frame_00001.jpg"


# What is wrong with them


def test_compressed(root, tmp_path):
    path = tar(tmp_path / "f.tar", root)
    for name in ("f.tar.gz", "f.tgz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(DataError, match=r"is compressed, so frames in it have no offset: decompress it"):
            fc.open(tmp_path / name)
    (tmp_path / "g.tar").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"g.tar' is compressed, .*: decompress it"):
        fc.open(tmp_path / "g.tar")


def test_cut_short_anywhere(root, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(root / "class_0" / "video_0", source / "a" / "b")
    path = tar(tmp_path / "f.tar", source)
    data = path.read_bytes()
    with tarfile.open(path) as whole:
        end = max(member.offset_data + -(-member.size // 512) * 512 for member in whole)
    for size in [*range(0, end, 509), end, end + 511]:
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"is not a complete tar file|no frames in"):
            fc.open(path)
    path.write_bytes(data[: end + 1024])
    assert fc.open(path)


def test_cut_short_after_it_was_opened(root, tmp_path):
    path = tar(tmp_path / "f.tar", root)
    dataset = fc.open(path)
    os.truncate(path, 3000)
    with pytest.raises(FrameError, match=r"cannot read frame '.*f.tar:class_1/video_3/frame_00008.jpg'"):
        dataset.storage.read("image", 3, 7)
    with pytest.raises(DataError, match="not a complete tar"):
        fc.open(path)


def test_links(root, tmp_path):
    source = shutil.copytree(root, tmp_path / "source")
    path = source / "class_0" / "video_0" / "frame_00002.jpg"
    path.unlink()
    path.symlink_to("frame_00001.jpg")
    with pytest.raises(
        DataError, match=r"'class_0/video_0/frame_00002.jpg' in '.*f.tar' is a link, not a regular"
    ):
        fc.open(tar(tmp_path / "f.tar", source))
    check_same(fc.open(source), fc.open(tar(tmp_path / "g.tar", source, "--dereference")))
    path.unlink()
    os.link(path.with_name("frame_00001.jpg"), path)
    check_same(fc.open(source), fc.open(tar(tmp_path / "h.tar", source)))


def test_no_frames(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no frames in '.*f.tar'"):
        fc.open(tar(tmp_path / "f.tar", tmp_path / "source"))
    (tmp_path / "e.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"e.tar' is not a complete tar file: empty file"):
        fc.open(tmp_path / "e.tar")


def test_no_index_beside_a_listing(root, tmp_path):
    path = tar(tmp_path / "f.tar", root)
    with pytest.raises(OptionError, match=r"index=.*a listing is already saved beside each tar"):
        fc.open(path, index=tmp_path / "i")
    assert not (tmp_path / "i").exists()


def test_folders_beside_tars_are_folders(root, tmp_path):
    source = shutil.copytree(root, tmp_path / "source")
    tar(source / "old.tar", root / "class_0")
    check_same(fc.open(root), fc.open(source))


def test_packs_are_opened_by_themselves(root, tmp_path):
    packed(fc.open(root), tmp_path / "pack")
    before = content(tmp_path / "pack")
    fc.open(tmp_path / "pack")
    for wrong in (
        {"source": {"image": tmp_path / "pack"}},
        {"source": [("a", 0)], "root": tmp_path / "pack"},
    ):
        with pytest.raises(OptionError, match=r"is a pack: open it alone"):
            fc.open(**wrong)
    assert content(tmp_path / "pack") == before


def test_a_pack_that_was_not_finished(root, tmp_path):
    packed(fc.open(root), tmp_path / "pack")
    (tmp_path / "pack" / "pack.index").rename(tmp_path / "pack" / ".packing")
    with pytest.raises(DataError, match=r"is an unfinished pack: run the same packing again"):
        fc.open(tmp_path / "pack")


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_sparse(tmp_path, form):
    path = tmp_path / "source" / "video" / "1.bmp"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"BM")
        file.truncate(10_000_000)
    made = tar(tmp_path / "f.tar", tmp_path / "source", "--sparse", f"--format={form}")
    assert made.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"'video/1.bmp' in '.*f.tar' is a sparse file: make the tar with"):
        fc.open(made)


def test_frames_beside_tars(root, tmp_path):
    """Either could be meant, and the others would be left out silently."""
    tar(tmp_path / "f.tar", root)
    shutil.copy(next(root.rglob("*.jpg")), tmp_path / "1.jpg")
    with pytest.raises(DataError, match=r"holds both tar files and frames, such as '1.jpg': move them"):
        fc.open(tmp_path)
