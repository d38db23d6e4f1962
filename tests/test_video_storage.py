"""Video files as a dataset: frames are those of a whole decode, whatever was read before, for any workers."""

import os
import shutil
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
from helpers import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips.errors import DataError, FrameError, OptionError

av = pytest.importorskip("av", reason="video extra")

from videos import (  # noqa: E402 - needs av
    KINDS,
    available,
    decoded,
    seen,
    show,
    spoil,
    write_cut,
    write_kind,
    write_movie,
)

from fastclips.data import video_files, video_storage  # noqa: E402 - as above
from fastclips.data.cut_files import mp4_size  # noqa: E402 - as above
from fastclips.data.video_storage import VideoStorage, open_movies, scan_movies  # noqa: E402 - as above

COUNT = 50
TIMES = np.cumsum(np.random.default_rng(0).integers(10, 90, COUNT)).tolist()  # ms, of a variable rate
FRAMES = [show(number) for number in range(COUNT)]
H264 = ("libx264", {"bf": "3", "b-pyramid": "normal"}, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind, and its frames as a plain decoder gives them."""
    root = tmp_path_factory.mktemp("movies")
    made = {
        kind: write_kind(root / kind, kind, FRAMES) for kind, (codec, *_) in KINDS.items() if available(codec)
    }
    made["variable.mp4"] = write_movie(root / "variable.mp4", FRAMES, *H264, rate=1000, times=TIMES)
    made["variable.mkv"] = write_movie(root / "variable.mkv", FRAMES, *H264, rate=1000, times=TIMES)
    made["cut.mp4"] = write_cut(root / "cut.mp4", made["h264.mp4"], 5)
    return {kind: (path, decoded(path)) for kind, path in made.items()}


@pytest.fixture(scope="module")
def storages(files):
    """For each file, a storage of it alone."""
    return {kind: open_movies(str(path.parent), [path.name]) for kind, (path, _) in files.items()}


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Two classes, four files of 24 frames."""
    root = tmp_path_factory.mktemp("set")
    for number, name in enumerate(("a/v0", "a/v1", "b/v2", "b/v10")):
        write_movie(root / f"{name}.mp4", [show(30 * number + frame) for frame in range(24)], *H264)
    return root


def epoch(data, workers=0, clips=None, **options):
    loader = fc.ClipLoader(
        data, clips or fc.Windows(6), [fc.RandomCrop(32)], batch_size=3, workers=workers, seed=3, **options
    )
    with loader:
        return [(x.copy(), y.copy()) for x, y in loader], loader.damaged


def same(first, second):
    assert len(first) == len(second) > 0
    for (x, y), (other_x, other_y) in zip(first, second, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


# Frames


@pytest.mark.parametrize("kind", [*KINDS, "variable.mp4", "variable.mkv", "cut.mp4"])
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(calls=st.lists(st.lists(st.integers(0, 44), min_size=1, max_size=6), min_size=1, max_size=4))
def test_frames_are_those_of_a_whole_decode(files, storages, kind, calls):
    """In any order, repeated or not, through one storage that keeps the file open."""
    if kind not in files:
        pytest.skip(f"no encoder for {kind}")
    (_, whole), storage = files[kind], storages[kind]
    assert storage.frame_counts.tolist() == [len(whole)]
    for frames in calls:
        for number, found in zip(frames, storage.read_many("image", 0, frames), strict=True):
            np.testing.assert_array_equal(found, whole[number], strict=True)


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_rotation(tmp_path, turned):
    write_movie(tmp_path / "v.mp4", FRAMES[:3], turned=turned)
    data = fc.open(tmp_path / "v.mp4")
    expected = np.rot90(decoded(tmp_path / "v.mp4")[1], {90: 1, 180: 2, -90: 3}[turned])
    np.testing.assert_array_equal(data.storage.read("image", 0, 1), expected)


def test_a_clip_is_sought_once_and_read_in_one_pass(files, monkeypatch):
    path, whole = files["h264.mp4"]
    data = fc.open(path)
    sought, converted = [], []
    seek, pixels = video_files.Movie._seek, video_files.Movie._pixels
    monkeypatch.setattr(video_files.Movie, "_seek", lambda *given: (sought.append(given[2]), seek(*given))[1])
    monkeypatch.setattr(
        video_files.Movie, "_pixels", lambda *given: (converted.append(given[2]), pixels(*given))[1]
    )
    monkeypatch.setattr(video_files.Movie, "_find_times", lambda movie: movie._times)
    found = data.storage.read_many("image", 0, [47, 41, 44])
    assert [seen(frame) for frame in found] == [seen(whole[n]) for n in (47, 41, 44)] == [47, 41, 44]
    assert (len(sought), converted) == (1, [41, 44, 47])


def test_frames_that_nothing_refers_to_are_not_decoded(files, monkeypatch):
    """The B-frames before the first frame of a clip; the clip's own frames are all decoded."""
    path, whole = files["h264.mp4"]
    decoded_times = []
    number = video_files.Times.number
    monkeypatch.setattr(
        video_files.Times,
        "number",
        lambda times, frame: (decoded_times.append(frame.pts), number(times, frame))[1],
    )
    storage = fc.open(path).storage
    first = storage.times.ticks(0, COUNT)
    found = storage.read_many("image", 0, [9, 10, 11])
    for place, frame in zip((9, 10, 11), found, strict=True):
        np.testing.assert_array_equal(frame, whole[place])
    before = [time for time in decoded_times if time - decoded_times[0] < first[9]]
    assert 0 < len(set(before)) < 9


def test_few_files_are_open(movies):
    storage = fc.open(movies).storage
    many = VideoStorage.of(str(movies), [storage.file(0)] * 9, names=[str(n) for n in range(9)])
    for video in range(9):
        many.read("image", video, 0)
    assert len(many._movies) == video_storage._OPEN


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_what_it_gives_of_a_pack_of_the_pixels(movies, tmp_path, workers):
    data = fc.open(movies)
    fc.pack(movies, tmp_path / "raw", codec="raw", workers=0)
    for clips in (fc.Windows(6), fc.RandomWindow(5, dilation=3), fc.Windows(4, fps=12.5)):
        expected, _ = epoch(fc.open(tmp_path / "raw"), clips=clips)
        same(epoch(data, workers, clips=clips)[0], expected)


def test_a_worker_that_dies(movies):
    data = fc.open(movies)
    expected, _ = epoch(data)
    loader = fc.ClipLoader(data, fc.Windows(6), [fc.RandomCrop(32)], batch_size=3, workers=2, seed=3)
    with loader:
        batches = iter(loader)
        found = [tuple(array.copy() for array in next(batches))]
        wait_until(lambda: len(loader.pids) == 3)
        os.kill(loader.pids[-1], signal.SIGKILL)
        found += [tuple(array.copy() for array in batch) for batch in batches]
    same(found, expected)


def test_other_streams_are_ignored(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        sounds = [container.add_stream("aac", rate=8000) for _ in range(2)]
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(show(number), "rgb24")))
        for sound in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 8000
            container.mux(sound.encode(frame))
        for one in (stream, *sounds):
            container.mux(one.encode())
    data = fc.open(tmp_path / "v.mp4")
    found = data.storage.read_many("image", 0, range(10))
    assert [seen(frame) for frame in found] == list(range(10))


# Damage


@pytest.fixture(scope="module")
def spoilt(files, tmp_path_factory):
    root = tmp_path_factory.mktemp("spoilt")
    for kind, number in (("h264.mp4", 20), ("mjpeg.avi", 20), ("open-gop.ts", 30)):
        spoil(root / "c" / kind, files[kind][0], number)
    return root


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=4)),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_damaged_does_not_depend_on_what_was_read(spoilt, calls):
    """A storage that has read other frames gives what a new one gives: the pixels or the error."""

    def outcome(storage, video, frame):
        try:
            return storage.read("image", video, frame).tobytes()
        except FrameError as error:
            return error.reason

    storage = fc.open(spoilt).storage
    for video, frames in calls:
        for frame in frames:
            if frame < storage.frame_counts[video]:
                fresh = VideoStorage(storage.columns)
                assert outcome(storage, video, frame) == outcome(fresh, video, frame)


def test_damage_is_an_error_or_replaced(spoilt, tmp_path):
    shutil.copytree(spoilt / "c", tmp_path / "c", ignore=shutil.ignore_patterns("*.ts", "*.avi"))
    data = fc.open(tmp_path)
    with pytest.raises(FrameError, match=r"h264\.mp4:\d+'.*is damaged") as caught:
        epoch(data)
    assert caught.value.path.startswith(f"{tmp_path}/c/h264.mp4:")
    expected, damaged = epoch(data, damaged="repeat")
    assert damaged
    for workers in (1, 2):
        found, listed = epoch(data, workers, damaged="repeat")
        same(found, expected)
        assert listed == damaged


def test_damage_of_a_video_file_is_logged_once(movies, tmp_path, caplog):
    root = shutil.copytree(movies, tmp_path / "v")
    data = fc.open(root)
    (root / "a/v1.mp4").unlink()
    _, damaged = epoch(data, damaged="repeat")
    assert [path for path, _ in damaged] == [f"{root}/a/v1.mp4:{frame}" for frame in range(24)]
    (message,) = (text for text in caplog.messages if "is replaced" in text or "are replaced" in text)
    assert message.startswith(f"Damaged frames of '{root}/a/v1.mp4' are replaced, 12 in this batch, such as ")


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))


def test_files_that_cannot_be_read(movies, tmp_path, caplog):
    root = shutil.copytree(movies, tmp_path / "v")
    sound(root / "b" / "sound.mp4")
    (root / "a" / "text.avi").write_text("no video")
    said = r"text\.avi' cannot be opened .*and 1 other files of 6.*leave out such files with unpaired='drop'"
    with pytest.raises(DataError, match=said):
        fc.open(root)
    data = fc.open(root, unpaired="drop")
    assert list(data.index.names) == ["a/v0", "a/v1", "b/v2", "b/v10"]
    assert "Left out 2 of 6 video files that cannot be read: " in caplog.text
    rows = [("b/sound.mp4", "x"), ("a/v1.mp4", "y")]
    with pytest.raises(DataError, match=r"sound\.mp4' holds no video: repair or replace the file$"):
        fc.open(rows[:1], root=root, unpaired="drop")
    assert fc.open(rows, root=root, unpaired="drop").classes == ("y",)
    assert "Dropped 1 of the list's 2 rows" in caplog.text


def test_files_that_cannot_be_sought_are_said(files, caplog):
    fc.open(files["h264.mp4"][0])
    assert not caplog.text
    fc.open(files["reordered.avi"][0])
    assert "1 of 1 video files in " in caplog.text
    assert "cannot be sought, such as 'reordered.avi': each clip" in caplog.text


def test_matroska_that_is_cut_short(files, tmp_path):
    path = tmp_path / "v.mkv"
    path.write_bytes(files["open-gop.mkv"][0].read_bytes()[:-100])
    with pytest.raises(DataError, match=r"v\.mkv' is cut short: it has \d+ bytes of \d+"):
        fc.open(path)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("options", [{"movflags": "faststart"}, {}])
def test_mp4_that_is_cut_short(tmp_path, codec, options):
    """With the index in front, a decoder of MPEG-4 shows a shorter video; without, the file has no index."""
    if not available(codec):
        pytest.skip(f"no encoder {codec}")
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(show(number), "rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    assert mp4_size(str(path)) == len(whole)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"v\.mp4' is cut short: it has {len(whole) // 2} bytes of \d+ or"):
        fc.open(path)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["free", "mdat", "moov"]), st.integers(0, 40), st.booleans()), max_size=5
    ),
    st.integers(16, 300),
)
def test_the_size_that_boxes_state(tmp_path_factory, boxes, cut):
    """Boxes of both kinds of sizes, in a file that is cut anywhere."""
    path = tmp_path_factory.mktemp("boxes") / "v.mp4"
    data, stated = b"", 0
    for name, content, long in [("ftyp", 8, False), *boxes]:
        head, size = (16 if long else 8), content + (16 if long else 8)
        if name in {"mdat", "moov"} and len(data) + head <= cut:
            stated = len(data) + size
        data += (1 if long else size).to_bytes(4, "big") + name.encode()
        data += size.to_bytes(8, "big") * long + bytes(content)
    path.write_bytes(data[:cut])
    assert mp4_size(str(path)) == stated


def test_bytes_after_the_boxes_are_no_cut(files, tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(files["h264.mp4"][0].read_bytes() + b"\x7f\0\0\0junkjunkjunk")
    assert len(fc.open(path)) == 1


# What is opened


def test_folders(movies):
    data = fc.open(movies)
    assert list(data.index.names) == ["a/v0", "a/v1", "b/v2", "b/v10"]
    assert (data.classes, data.index.labels.per_video.tolist()) == (("a", "b"), [0, 0, 1, 1])
    assert data.index.frame_counts.tolist() == [24] * 4
    assert data.index.fps.tolist() == [25.0] * 4
    assert fc.open(movies, labels=None).index.labels is None
    assert fc.open(movies, classes=["b", "a"]).index.labels.per_video.tolist() == [1, 1, 0, 0]
    assert len(data.select(["b/v10.mp4"])) == 1
    flat = fc.open(movies / "b")
    assert (list(flat.index.names), flat.index.labels) == (["v2", "v10"], None)
    one = fc.open(str(movies / "b" / "v2.mp4"))
    assert (list(one.index.names), one.index.labels) == (["v2"], None)
    assert seen(one.storage.read("image", 0, 7)) == 67


def test_lists(movies, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("path,start,length,label\nb/v2.mp4,4,10,x\na/v0,0,6,y\nb/v2,8,12,y\n")
    data = fc.open(listed, root=movies)
    assert list(data.index.names) == ["b/v2", "a/v0", "b/v2"]
    assert data.index.keys.tolist() == [0, 1, 0]
    assert (data.index.starts.tolist(), data.index.frame_counts.tolist()) == ([4, 0, 8], [10, 6, 12])
    assert data.index.labels.per_video.tolist() == [0, 1, 1]
    assert len(fc.open([(str(movies / "a" / "v0.mp4"), 0)], columns="path label")) == 1
    with pytest.raises(DataError, match=r"row 0 .*: start=20 and length=9 exceed the 24 frames of 'a/v0'"):
        fc.open([{"path": "a/v0", "start": 20, "length": 9}], root=movies)
    with pytest.raises(DataError, match=r"row 1 .*there is no file or folder 'a/none'"):
        fc.open([("a/v0",), ("a/none",)], root=movies)


def test_refusals(movies, frames, tmp_path):
    for options, said in (
        ({"frames": "*.jpg"}, r"frames='\*.jpg': is for frames in folders, but .* has video files alone"),
        ({"match": "x"}, r"match='x': is for frames in files, but '.*v0.mp4' is a video file"),
    ):
        with pytest.raises((OptionError, DataError), match=said):
            fc.open(movies, **options)
    with pytest.raises(OptionError, match=r"stream 'b': '.*' is a video file, which has one stream"):
        fc.open({"a": frames, "b": movies})
    with pytest.raises(OptionError, match=r"stream 'mask': is a mask by masks=, but video files hold pict"):
        fc.open({"mask": movies})
    with pytest.raises(OptionError, match=r"classes=\('x',\): .* are in no class folders; remove classes="):
        fc.open(movies / "a", classes=["x"])
    write_movie(tmp_path / "v" / "a" / "x.mp4", FRAMES[:2])
    write_movie(tmp_path / "v" / "x.mp4", FRAMES[:2])
    with pytest.raises(DataError, match=r"'x' is in no class folder, .*labels=None"):
        fc.open(tmp_path / "v")
    assert len(fc.open(tmp_path / "v", labels=None)) == 2
    shutil.copy(tmp_path / "v" / "x.mp4", tmp_path / "v" / "x.mov")
    with pytest.raises(DataError, match=r"several video files would have the names 'x'"):
        fc.open(tmp_path / "v", labels=None)


# Saved indexes, and files that change


def test_a_saved_index_needs_no_scan(movies, tmp_path, monkeypatch):
    expected, _ = epoch(fc.open(movies, index=tmp_path / "x.index"))
    monkeypatch.setattr(video_storage, "scan_movies", None)
    monkeypatch.setattr(video_files.Movie, "_find_times", lambda movie: movie._times)
    data = fc.open(movies, index=tmp_path / "x.index")
    assert isinstance(data.storage, VideoStorage)
    same(epoch(data)[0], expected)
    assert data.index.seconds(0, [0, 5]).tolist() == [0.0, 0.2]


def test_changes_are_noticed(movies, tmp_path):
    root = shutil.copytree(movies, tmp_path / "v")
    opened = fc.open(root, index=tmp_path / "x.index")
    write_movie(root / "a" / "v0.mp4", FRAMES[:9])
    said = r"v0\.mp4:0'.* has changed since the dataset was opened: open it again"
    for workers in (0, 2):
        with pytest.raises(FrameError, match=said):
            epoch(opened, workers, clips=fc.Windows(24))
    assert fc.open(root, index=tmp_path / "x.index").index.frame_counts.tolist() == [9, 24, 24, 24]
    write_movie(root / "a" / "new.mp4", FRAMES[:4])
    assert len(fc.open(root, index=tmp_path / "x.index")) == 5
    (root / "a" / "new.mp4").unlink()
    assert len(fc.open(root, index=tmp_path / "x.index")) == 4
    with pytest.raises(OptionError, match=r"was made from .*, not "):
        fc.open(root / "a", index=tmp_path / "x.index")


def test_a_list_has_a_saved_index_too(movies, tmp_path, monkeypatch):
    listed = tmp_path / "list.csv"
    listed.write_text("path,start_time,label\nb/v2.mp4,0.4,x\na/v0,0,y\n")
    first = fc.open(listed, root=movies, index=tmp_path / "x.index")
    monkeypatch.setattr(video_storage, "scan_movies", None)
    again = fc.open(listed, root=movies, index=tmp_path / "x.index")
    assert again.index.starts.tolist() == first.index.starts.tolist() == [10, 0]
    assert list(again.index.names) == ["b/v2", "a/v0"]


def test_scans_run_at_once_and_keep_their_order(files):
    paths = [path for path, _ in files.values()]
    found = scan_movies(str(paths[0].parent), [path.name for path in paths])
    assert [scanned.scan.frames for scanned in found] == [len(whole) for _, whole in files.values()]
    assert [scanned.size for scanned in found] == [Path(path).stat().st_size for path in paths]
