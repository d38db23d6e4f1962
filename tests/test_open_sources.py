"""Sources that `open`, `pack` and `select` take or refuse: what they are, and what the message says."""

import inspect
import pickle
import zipfile

import pytest
from helpers import make_frames, make_masks
from packing import content, same_index

import fastclips as fc
from fastclips.errors import DataError, OptionError


@pytest.fixture
def root(tmp_path):
    frames = make_frames(tmp_path / "frames", videos=2, frames=3)
    make_masks(tmp_path / "masks", frames)
    return tmp_path


def test_pack_opens_what_open_opens(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "list.csv").write_text("path,label\nframes/class_0/video_0,7\n")
    sources = ["frames", "list.csv", {"image": "frames", "mask": "masks"}, [("frames/class_1/video_1", 3)]]
    for number, source in enumerate(sources):
        fc.pack(source, root / f"a{number}", workers=0)
        fc.pack(fc.open(source), root / f"b{number}", workers=0)
        assert content(root / f"a{number}") == content(root / f"b{number}")
        same_index(fc.open(root / f"a{number}"), fc.open(root / f"b{number}"))


def test_pack_refuses_video_files_beside_frames(root):
    (root / "frames/class_1/video_1.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match=r"has video files, such as .* select the frames by frames="):
        fc.pack(root / "frames", root / "p", workers=0)
    chosen = fc.open(root / "frames", frames="*.jpg")
    assert fc.pack(chosen, root / "p", workers=0).videos == len(chosen)


@pytest.mark.parametrize("source", [7, None])
def test_pack_refuses_what_open_refuses(tmp_path, source):
    with pytest.raises(OptionError, match=f"source={source}"):
        fc.pack(source, tmp_path / "p")


def test_a_binary_file_is_no_list(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as file:
        file.writestr("a/1.jpg", bytes(range(256)))
    (tmp_path / "movie.xyz").write_bytes(b"\0\0\0\x20ftypisom\0\0\xff\xfe")
    for name in ("f.zip", "movie.xyz"):
        with pytest.raises(DataError, match=rf"{name}' is a binary file .* no folder, tar, pack,"):
            fc.open(tmp_path / name)
    (tmp_path / "latin.csv").write_bytes("path,label\nä,1\n".encode("latin-1"))
    (tmp_path / "wide.csv").write_bytes("path,label\na,1\n".encode("utf-16"))
    for name in ("latin.csv", "wide.csv"):
        with pytest.raises(DataError, match="save the file as UTF-8"):
            fc.open(tmp_path / name)


@pytest.mark.parametrize("options", [{}, {"columns": "path label"}, {"root": "."}])
def test_a_missing_list_is_a_missing_file(tmp_path, options):
    with pytest.raises(DataError) as caught:
        fc.open(tmp_path / "train.txt", **options)
    assert str(caught.value) == f"'{tmp_path}/train.txt' does not exist: there is no such file or folder."


def test_one_name_is_selected_by_a_list(root):
    data = fc.open(root / "frames")
    with pytest.raises(DataError, match=r"No such file.* give a list: select\(\['class_0/video_0'\]\)\.$"):
        data.select("class_0/video_0")
    assert data.select(["class_0/video_0"]).index.names[:] == ["class_0/video_0"]
    with pytest.raises(DataError, match=r"a name on each line\.$"):
        data.select("class_0/video_7")


def test_open_goes_by_its_public_name():
    with pytest.raises(TypeError, match=r"^open\(\) got an unexpected keyword argument 'frame'"):
        fc.open("frames", frame="*.jpg")
    assert pickle.loads(pickle.dumps(fc.open)) is fc.open
    assert inspect.getsource(fc.open).startswith("def open_dataset")
