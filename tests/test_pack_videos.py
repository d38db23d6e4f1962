"""Video files become packs: every frame, in order, at its rate, with its class."""

import os
import shutil
import sys

import numpy as np
import pytest
import simplejpeg
from helpers import picture, write_jpeg
from packing import content, members

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.errors import DataError, OptionError

pytest.importorskip("av")
import av
from videos import KINDS, available, decoded, seen, show, write_kind, write_movie

from fastclips.data.cut_files import matroska_size

LENGTHS = {"a/one": 13, "a/two": 5, "b/three": 30}


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Two classes, three files of 13, 5 and 30 frames at 25 a second."""
    root = tmp_path_factory.mktemp("movies")
    for number, (name, count) in enumerate(LENGTHS.items()):
        write_movie(root / f"{name}.mp4", [show(20 * number + frame) for frame in range(count)])
    return root


def command(*arguments):
    return main(["pack", *map(str, arguments), "--workers", "0"])


def test_all_frames_in_order(movies, tmp_path, capsys):
    assert command(movies, tmp_path / "pack") == 0
    assert "3 videos, 48 frames" in capsys.readouterr().out
    data = fc.open(tmp_path / "pack")
    assert list(data.index.names) == list(LENGTHS)
    assert data.index.frame_counts.tolist() == list(LENGTHS.values())
    assert (data.classes, data.index.labels.per_video.tolist()) == (("a", "b"), [0, 0, 1])
    assert data.index.fps.tolist() == [25.0] * 3
    for video, count in enumerate(LENGTHS.values()):
        found = [
            seen(simplejpeg.decode_jpeg(data.storage.read("image", video, frame))) for frame in range(count)
        ]
        assert found == list(range(20 * video, 20 * video + count))
    loader = fc.ClipLoader(data, fc.Windows(5, fps=12.5), [fc.Resize(short_side=32)], batch_size=2, workers=0)
    assert next(iter(loader))[0].shape == (2, 5, 32, 43, 3)


def test_frames_are_encoded_once(movies, tmp_path):
    """As JPEGs of the given quality, 4:2:0, from the pixels that FFmpeg gives."""
    for quality, options in ((90, []), (60, ["--quality", 60])):
        assert command(movies, tmp_path / str(quality), *options) == 0
        data = fc.open(tmp_path / str(quality))
        for frame, pixels in enumerate(decoded(movies / "a" / "one.mp4")):
            wanted = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(pixels, quality, "RGB", "420"))
            found = simplejpeg.decode_jpeg(data.storage.read("image", 0, frame))
            np.testing.assert_array_equal(found, wanted)


def test_it_is_the_function(movies, tmp_path):
    for workers in (0, 2):
        fc.pack(str(movies), tmp_path / str(workers), workers=workers, short_side=24, shard_size="8KiB")
    assert content(tmp_path / "0") == content(tmp_path / "2")
    assert len(list((tmp_path / "0").glob("*.tar"))) > 1
    data = members(tmp_path / "0")[0][1]
    assert simplejpeg.decode_jpeg_header(data)[:2] == (24, 32)
    fc.pack(movies, tmp_path / "raw", codec="raw", workers=0)
    first = fc.open(tmp_path / "raw").storage.read("image", 1, 3)
    np.testing.assert_array_equal(first, decoded(movies / "a" / "two.mp4")[3])


@pytest.mark.parametrize("kind", ["h264.mp4", "vp9.webm", "mpeg4.avi", "open-gop.mkv"])
def test_containers(tmp_path, kind):
    if not available(KINDS[kind][0]):
        pytest.skip(f"this PyAV has no {KINDS[kind][0]}")
    path = tmp_path / "v" / "a" / kind.upper()
    path.parent.mkdir(parents=True)
    write_kind(path, kind, [show(frame) for frame in range(14)])
    assert command(tmp_path / "v", tmp_path / "pack") == 0
    data = fc.open(tmp_path / "pack")
    assert list(data.index.names) == [f"a/{kind.upper().partition('.')[0]}"]
    found = [seen(simplejpeg.decode_jpeg(data.storage.read("image", 0, frame))) for frame in range(14)]
    assert found == list(range(14))


def test_one_file(movies, tmp_path):
    assert command(movies / "b" / "three.mp4", tmp_path / "pack") == 0
    data = fc.open(tmp_path / "pack")
    assert (list(data.index.names), data.index.labels) == (["three"], None)
    assert data.index.frame_counts.tolist() == [30]


def test_no_class_folders(movies, tmp_path):
    assert command(movies / "a", tmp_path / "pack") == 0
    data = fc.open(tmp_path / "pack")
    assert (list(data.index.names), data.index.labels) == (["one", "two"], None)
    assert command(movies, tmp_path / "bare", "--no-labels") == 0
    assert fc.open(tmp_path / "bare").index.labels is None


def test_lists(movies, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("b/three.mp4 4 10 dive\na/one 0 6 swim\nb/three 8 12 swim\n")
    assert command(movies, tmp_path / "pack", "--list", listed, "--columns", "path start length label") == 0
    data = fc.open(tmp_path / "pack")
    assert list(data.index.names) == ["b/three", "a/one", "b/three"]
    assert data.index.starts.tolist() == [4, 0, 8]
    assert data.index.frame_counts.tolist() == [10, 6, 12]
    assert data.index.labels.per_video.tolist() == [0, 1, 1]
    assert members(tmp_path / "pack")[0][0] == "b/three/000004.image.jpg"
    assert len(members(tmp_path / "pack")) == 16 + 6
    assert seen(simplejpeg.decode_jpeg(data.storage.read("image", 0, 19))) == 40 + 19


def test_a_list_as_the_source(movies, tmp_path, capsys):
    root = shutil.copytree(movies, tmp_path / "v")
    (root / "list.txt").write_text("a/one.mp4 0\nb/three.mp4 1\n")
    assert command(root / "list.txt", tmp_path / "pack", "--columns", "path label") == 0
    assert "2 videos, 43 frames" in capsys.readouterr().out
    (root / "list.txt").write_text("a/none 0\n")
    assert command(root / "list.txt", tmp_path / "other", "--columns", "path label") == 1
    assert "there is no file or folder 'a/none'" in capsys.readouterr().err


def test_files_that_cannot_be_read_are_refused_in_lists(movies, tmp_path):
    """And left out of folders; the refusal offers what `pack` can do."""
    root = shutil.copytree(movies, tmp_path / "v")
    (root / "a/two.mp4").write_bytes(b"no video")
    rows = [{"path": str(root / f"{name}.mp4")} for name in LENGTHS]
    with pytest.raises(DataError, match=r"fc.open\(source, unpaired=...\) and pack the result"):
        fc.pack(rows, tmp_path / "refused", workers=0)
    opened = fc.open(rows, unpaired="drop")
    assert fc.pack(opened, tmp_path / "kept", workers=0).videos == 2
    done = fc.pack(root, tmp_path / "folder", workers=0)
    assert (done.videos, len(done.problems)) == (2, 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([{"path": "gone"}], r"no argument root=: .*fc.open\(source, root=..., unpaired=...\) and pack"),
        (np.zeros((2, 3, 8, 8, 3), np.uint8), r"no argument images=: .*fc.open\(images=...\) and pack"),
    ],
)
def test_refusals_offer_what_open_takes(source, said, tmp_path):
    with pytest.raises((DataError, OptionError), match=said):
        fc.pack(source, tmp_path / "pack")


def test_other_refusals_stay(tmp_path):
    with pytest.raises(DataError, match=r"'.*gone' does not exist: there is no such file or folder\.$"):
        fc.pack(tmp_path / "gone", tmp_path / "pack")


def test_lists_with_starts_alone(movies, tmp_path, capsys):
    listed = tmp_path / "list.csv"
    listed.write_text("path,start,fps,label\nb/three,10,12.5,0\na/one,3,25,1\n")
    assert command(movies, tmp_path / "pack", "--list", listed) == 0
    data = fc.open(tmp_path / "pack")
    assert list(data.index.names) == ["b/three", "a/one"]
    assert data.index.frame_counts.tolist() == [20, 10]
    assert data.index.fps.tolist() == [12.5, 25.0]
    listed.write_text("path,start,label\nb/three,10,0\na/one,13,1\n")
    assert command(movies, tmp_path / "other", "--list", listed) == 1
    assert f"line 3 of '{listed}': start=13 exceed the 13 frames of 'a/one'" in capsys.readouterr().err


def test_a_file_that_is_damaged(tmp_path, capsys):
    root = tmp_path / "v"
    good = write_movie(root / "a" / "good.mp4", [show(frame) for frame in range(6)])
    (root / "a" / "bad.mp4").write_bytes(good.read_bytes()[:-400])
    (root / "a" / "text.avi").write_text("not a video")
    cut = write_movie(root / "a" / "cut.mkv", [picture(n) for n in range(40)])
    os.truncate(cut, cut.stat().st_size // 2)
    assert command(root, tmp_path / "pack") == 1
    out, err = capsys.readouterr()
    assert "Left out: " in err
    assert str(root / "a" / "text.avi") in err
    names = list(fc.open(tmp_path / "pack").index.names)
    assert "a/good" in names
    assert "a/text" not in names
    assert "a/cut" not in names
    assert f"{len(names)} videos" in out
    assert command(root, tmp_path / "other", "--skip-damaged") == 0
    assert list(fc.open(tmp_path / "other").index.names) == names


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("path label", ("a/bad 0", "b/three 1")),
        ("path start length label", ("a/bad 2 4 0", "b/three 4 9 1")),
        ("path start_time label", ("a/bad 0.1 0", "b/three 0.1 1")),
    ],
)
def test_a_damaged_file_of_a_list_is_left_out(movies, tmp_path, capsys, columns, rows):
    root = shutil.copytree(movies, tmp_path / "v")
    (root / "a" / "bad.mp4").write_text("no video")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(rows))
    assert command(root, tmp_path / "pack", "--list", listed, "--columns", columns) == 1
    assert f"{root}/a/bad.mp4' cannot be opened as a video" in capsys.readouterr().err
    assert list(fc.open(tmp_path / "pack").index.names) == ["b/three"]


@pytest.mark.parametrize("kind", ["ffv1.mkv", "vp9.webm"])
def test_matroska_that_is_cut_short(tmp_path, capsys, kind):
    """To a decoder it ends there, so that the video would have lost its end without a word."""
    if not available(KINDS[kind][0]):
        pytest.skip(f"no encoder for {kind}")
    path = tmp_path / "v" / "a" / kind
    write_kind(path, kind, [show(number) for number in range(40)])
    assert command(tmp_path / "v", tmp_path / "whole") == 0
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert command(tmp_path / "v", tmp_path / f"{size}") == 1
        err = capsys.readouterr().err
        assert f"{kind}' is cut short: it has {size} bytes of {len(whole)}" in err or "cannot be" in err


def test_matroska_that_was_streamed_says_no_size(tmp_path):
    path = tmp_path / "v" / "a" / "b.mkv"
    path.parent.mkdir(parents=True)
    for options in ({"live": "1"}, {}):
        with av.open(str(path), "w", format="matroska", options=options) as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
            for number in range(9):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(show(number), "rgb24")))
            container.mux(stream.encode(None))
        assert matroska_size(str(path)) == (0 if options else path.stat().st_size)
        target = tmp_path / ("live" if options else "plain")
        assert fc.pack(tmp_path / "v", target, workers=0).frames == 9


def test_videos_beside_frames_are_refused(frames, movies, tmp_path, capsys):
    root = shutil.copytree(frames, tmp_path / "f")
    shutil.copy(movies / "a" / "one.mp4", root / "class_1" / "x.mp4")
    assert command(root, tmp_path / "pack") == 1
    said = capsys.readouterr().err
    assert "has video files, such as 'class_1/x.mp4', and frames, such as 'class_" in said
    assert command(root, tmp_path / "pack", "--frames", "*.jpg") == 0


def test_lists_that_want_more_than_there_is(movies, tmp_path, capsys):
    listed = tmp_path / "list.txt"
    listed.write_text("a/one 14 0\na/two 5 1\n")
    assert command(movies, tmp_path / "pack", "--list", listed, "--columns", "path length label") == 1
    assert "start=0 and length=14 exceed the 13 frames of 'a/one'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [("--mask", "m"), ("--frames", "*.jpg"), ("--match", "x"), ("--stream", "a=b")]
)
def test_options_for_frames(movies, tmp_path, capsys, option):
    assert command(movies, tmp_path / "pack", *option) == 1
    assert f"{option[0]} is for frames that are files" in capsys.readouterr().err


def test_mistakes(movies, tmp_path):
    write_movie(tmp_path / "twins" / "a" / "x.mp4", [show(0)] * 2)
    write_movie(tmp_path / "twins" / "a" / "x.mkv", [show(0)] * 2)
    with pytest.raises(DataError, match=r"several video files would have the names 'a/x'"):
        fc.pack(tmp_path / "twins", tmp_path / "pack")
    write_movie(tmp_path / "both" / "a" / "x.mp4", [show(0)] * 2)
    write_jpeg(tmp_path / "both" / "b" / "v" / "1.jpg", picture(0))
    with pytest.raises(
        DataError, match=r"has video files, such as 'a/x.mp4', and frames, such as 'b/v/1.jpg'"
    ):
        fc.pack(tmp_path / "both", tmp_path / "pack")
    write_movie(tmp_path / "loose" / "a" / "x.mp4", [show(0)] * 2)
    write_movie(tmp_path / "loose" / "y.mp4", [show(0)] * 2)
    with pytest.raises(DataError, match=r"'y' is in no class folder"):
        fc.pack(tmp_path / "loose", tmp_path / "pack")
    with pytest.raises(DataError, match=r"nowhere' does not exist: there is no such file or folder"):
        fc.pack(tmp_path / "nowhere", tmp_path / "pack")
    listed = tmp_path / "list.txt"
    listed.write_text("a/none 0\n")
    assert command(movies, tmp_path / "pack", "--list", listed, "--columns", "path label") == 1


def test_without_pyav(movies, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "fastclips.data.video_files", raising=False)
    with pytest.raises(OptionError, match=r'pip install "fastclips\[video\]"'):
        fc.pack(movies, tmp_path / "pack")
