"""Frames of video files: those that a decoder gives that reads the whole file, by number."""

import os
import subprocess
import sys
import wave

import cv2
import numpy as np
import pytest
from helpers import run_python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

av = pytest.importorskip("av", reason="video extra")

from videos import KINDS, available, decoded, seen, show, write_kind, write_movie  # noqa: E402 - needs av

from fastclips.data import video_files  # noqa: E402 - as above
from fastclips.data.video_files import Movie  # noqa: E402 - as above
from fastclips.errors import FrameError, OptionError  # noqa: E402 - as above

COUNT = 50
SEEKS = {"h264.mp4", "vp9.webm", "mjpeg.avi", "open-gop.mkv", "hevc.mp4", "av1.mp4", "ffv1.mkv"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind that PyAV can write here, and its frames."""
    root = tmp_path_factory.mktemp("movies")
    frames = [show(number) for number in range(COUNT)]
    made = {}
    for kind, (codec, *_) in KINDS.items():
        if available(codec):
            path = write_kind(root / kind, kind, frames)
            made[kind] = path, decoded(path)
    return made


@pytest.fixture
def seeks(monkeypatch):
    """Seek for any frame that is 3 away; count the seeks."""
    done = []
    seek = Movie._seek
    monkeypatch.setattr(video_files, "_WORTH_SEEKING", 3)
    monkeypatch.setattr(Movie, "_seek", lambda *arguments: (done.append(arguments[2]), seek(*arguments)))
    return done


def test_the_usual_kinds_are_tested(files):
    assert {"h264.mp4", "vp9.webm", "mpeg4.avi", "mjpeg.avi"} <= set(files)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(calls=st.lists(st.lists(st.integers(0, COUNT - 1), max_size=5).map(sorted), min_size=1, max_size=4))
@pytest.mark.usefixtures("seeks")
def test_frames_are_those_of_a_whole_decode(files, kind, calls):
    if kind not in files:
        pytest.skip(f"no encoder for {kind}")
    path, whole = files[kind]
    with Movie(path) as movie:
        for indices in calls:
            found = movie.frames(indices)
            assert len(found) == len(indices)
            for index, frame in zip(indices, found, strict=True):
                np.testing.assert_array_equal(frame, whole[index], strict=True)


@pytest.mark.parametrize("kind", sorted(SEEKS))
def test_a_far_frame_is_sought(files, seeks, kind):
    """From the key frame before it: no frame before that is decoded."""
    if kind not in files:
        pytest.skip(f"no encoder for {kind}")
    path, whole = files[kind]
    movie = Movie(path)
    np.testing.assert_array_equal(movie.frames([45])[0], whole[45])
    np.testing.assert_array_equal(movie.frames([20])[0], whole[20])
    assert len(seeks) == 2
    assert movie._checked  # the numbers still go by times


@pytest.mark.parametrize("kind", KINDS)
def test_count_and_order(files, kind):
    if kind not in files:
        pytest.skip(f"no encoder for {kind}")
    path, whole = files[kind]
    movie = Movie(path)
    assert movie.frame_count == movie.count_frames() == len(whole) == COUNT
    for number, frame in enumerate(movie):
        np.testing.assert_array_equal(frame, whole[number])
        assert seen(frame) == number


@pytest.mark.parametrize("kind", ["h264.mp4", "mpeg4.avi"])
def test_opencv_sees_the_same(files, kind):
    path, _ = files[kind]
    capture = cv2.VideoCapture(str(path))
    for frame in Movie(path):
        _, other = capture.read()
        assert cv2.absdiff(frame, cv2.cvtColor(other, cv2.COLOR_BGR2RGB)).max() <= 2
    assert not capture.read()[0]


def test_a_variable_rate(tmp_path, seeks):
    times = np.cumsum(np.random.default_rng(0).integers(10, 90, COUNT)).tolist()
    frames = [show(number) for number in range(COUNT)]
    for suffix in ("mp4", "mkv"):
        path = write_movie(
            tmp_path / f"a.{suffix}", frames, "libx264", {"bf": "3"}, 3, rate=1000, times=times
        )
        movie = Movie(path)
        assert [seen(frame) for frame in movie.frames([3, 17, 40, 49])] == [3, 17, 40, 49]
        assert [seen(frame) for frame in movie.frames([30])] == [30]
    assert seeks
    assert Movie(tmp_path / "a.mp4").fps == pytest.approx(1000 * COUNT / times[-1], rel=0.1)


def test_neighbours_are_decoded_on(files, monkeypatch):
    path, _ = files["h264.mp4"]
    movie = Movie(path)
    monkeypatch.setattr(Movie, "_approach", None)
    assert [seen(frame) for frame in movie.frames([0, 2])] == [0, 2]
    first, again = movie.frames([2, 2])
    assert first is again
    assert [seen(frame) for frame in movie.frames([4, 9, 10])] == [4, 9, 10]


def test_iterating_leaves_frames_alone(files):
    movie = Movie(files["vp9.webm"][0])
    walk = iter(movie)
    assert [seen(next(walk)), seen(movie.frames([20])[0]), seen(next(walk))] == [0, 20, 1]
    assert seen(movie.frames([21])[0]) == 21


def test_a_header_that_lies(tmp_path):
    path = write_movie(tmp_path / "a.avi", [show(number) for number in range(20)], "mpeg4")
    data = bytearray(path.read_bytes())
    for tag, field in ((b"avih", 16), (b"strh", 32)):  # dwTotalFrames, dwLength
        place = data.index(tag) + 8 + field
        data[place : place + 4] = (30).to_bytes(4, "little")
    path.write_bytes(data)
    assert Movie(path, use_headers=True).frame_count == 30
    assert Movie(path, use_headers=True).count_frames() == 20
    assert Movie(path).frame_count == 20
    with pytest.raises(FrameError, match=r"a\.avi' has 20 frames, so there is no frame 25"):
        Movie(path, use_headers=True).frames([25])


def test_without_a_header_packets_are_counted(files):
    assert Movie(files["vp9.webm"][0], use_headers=True).frame_count == COUNT


def test_packets_that_show_nothing(tmp_path, seeks):
    """MPEG-4 says "as before" with a packet of a few bytes, for which decoders give no frame."""
    path = write_movie(tmp_path / "a.avi", [show(number) for number in range(40)], "mpeg4")
    holed = tmp_path / "holed.avi"
    with av.open(str(path)) as source, av.open(str(holed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            kept = packet
            if number in (5, 20):
                bits = int.from_bytes(bytes(packet)[4:7], "big") >> 14  # type, time and markers
                kept = av.Packet(b"\0\0\1\xb6" + (bits << 14 | 0x1FFF).to_bytes(3, "big"))  # not coded
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = stream
            target.mux(kept)
    whole = decoded(holed)
    movie = Movie(holed)
    assert Movie(holed, use_headers=True).frame_count == 40
    assert movie.frame_count == len(whole) == 38
    for index in (37, 24, 3, 30):
        np.testing.assert_array_equal(movie.frames([index])[0], whole[index])
    assert not seeks


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_camera_held_upright(tmp_path, turned):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:10, :20] = 255
    path = write_movie(tmp_path / "a.mp4", [frame] * 3, turned=turned)
    capture = cv2.VideoCapture(str(path))
    _, expected = capture.read()
    (found,) = Movie(path).frames([0])
    assert found.shape == expected.shape
    assert cv2.absdiff(found, expected).max() <= 2
    assert found.flags.c_contiguous


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mpeg4"), ("ts", "libx264")])
def test_a_file_that_was_cut(tmp_path, suffix, codec):
    """Half a last frame, which decoders make up for, is an error; so is what would come after it."""
    path = write_movie(tmp_path / f"a.{suffix}", [show(number) for number in range(COUNT)], codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    last = len(decoded(path)) - 1
    assert 0 < last < COUNT - 1
    movie = Movie(path)
    assert seen(movie.frames([last - 1])[0]) == last - 1
    if suffix == "ts":
        for again in (movie, Movie(path)):
            with pytest.raises(FrameError, match=rf"frame {last} of '.*a\.ts' is damaged"):
                again.frames([3, last])
        with pytest.raises(FrameError, match=rf"frame {last} of '.*a\.ts' is damaged"):
            list(movie)
    with pytest.raises(FrameError, match=f"a.{suffix}' has {last + 1} frames"):
        movie.frames([COUNT - 1])


def test_what_is_no_video(tmp_path):
    with pytest.raises(FrameError, match=r"gone\.mp4' cannot be opened as a video: No such file"):
        Movie(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("not a video" * 1000)
    with pytest.raises(FrameError, match=r"text\.mp4' cannot be opened as a video: Invalid data"):
        Movie(tmp_path / "text.mp4")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    with pytest.raises(FrameError, match=r"sound\.wav' holds no video"):
        Movie(tmp_path / "sound.wav")


@pytest.mark.parametrize("kind", ["h264.mp4", "mjpeg.avi"])
def test_damage_names_the_file_and_the_frame(files, tmp_path, seeks, kind):
    source, whole = files[kind]
    with av.open(str(source)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(source.read_bytes())
    start, size = packets[20]
    data[start : start + size] = b"\xff" * size
    path = tmp_path / kind
    path.write_bytes(data)
    movie = Movie(path)
    for _ in range(2):
        with pytest.raises(FrameError, match=rf"{kind}' is damaged after frame \d+: "):
            list(map(movie.frames, [[number] for number in range(COUNT)]))
    with pytest.raises(FrameError, match=rf"{kind}' is damaged"):
        list(Movie(path))
    movie = Movie(path)
    np.testing.assert_array_equal(movie.frames([45])[0], whole[45])  # from a key frame behind the damage
    assert seeks


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([3, 1], r"indices=\[3, 1\]: must ascend, but 1 follows 3"),
        ([-1], "index=-1: must be an integer from 0"),
        ([1.5], r"index=1\.5: must be an integer"),
    ],
)
def test_wrong_numbers(files, indices, message):
    with pytest.raises(OptionError, match=message):
        Movie(files["h264.mp4"][0]).frames(indices)


def test_closing(files):
    with Movie(files["h264.mp4"][0]) as movie:
        (frame,) = movie.frames([7])
        assert "h264.mp4" in repr(movie)
    movie.close()
    assert seen(frame) == 7


@pytest.mark.slow
def test_no_thread_is_started(files):
    code = """
import os, sys
import numpy
from fastclips.data.video_files import Movie
before = len(os.listdir("/proc/self/task"))
movie = Movie(sys.argv[1])
movie.frames([0, 40, 49])
print(movie.frame_count, len(os.listdir("/proc/self/task")) - before, "tensorflow" in sys.modules)
"""
    for kind in ("h264.mp4", "vp9.webm", "mpeg4.avi"):
        assert run_python(code, files[kind][0]) == f"{COUNT} 0 False\n"


def test_without_pyav_the_extra_is_named():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['av'] = None; import fastclips.data.video_files"],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.path.dirname(__file__),  # noqa: PTH120 - not where the package's source lies unbuilt
    )
    assert 'reading video files needs PyAV: pip install "fastclips[video]"' in done.stderr
