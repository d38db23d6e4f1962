"""Small video files, shared by tests; needs PyAV."""

from __future__ import annotations

import os
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice

import av
import cv2
import numpy as np
from helpers import picture

# name: codec, options of the encoder, B-frames in a row. The first three are what a camera, a site and a
# dataset of actions hold; the others are what a seek may stumble over.
KINDS = {
    "h264.mp4": ("libx264", {"bf": "3", "b-pyramid": "normal"}, 3),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, 0),
    "mpeg4.avi": ("mpeg4", {}, 0),
    "mjpeg.avi": ("mjpeg", {}, 0),
    "open-gop.mkv": ("libx264", {"x264-params": "open-gop=1:bframes=3:keyint=10:scenecut=0"}, 3),
    "open-gop.ts": ("libx264", {"x264-params": "open-gop=1:bframes=3:keyint=10:scenecut=0"}, 3),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:bframes=0:keyint=10"}, 0),
    "reordered.avi": ("libx264", {"bf": "3"}, 3),
    "mpeg4.mp4": ("mpeg4", {}, 2),
    "mpeg2.mpg": ("mpeg2video", {}, 2),
    "vp8.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}, 0),
    "timeless.h264": ("libx264", {"bf": "3"}, 3),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none:bframes=3"}, 3),
    "av1.mp4": ("libsvtav1", {"preset": "12"}, 0),
    "ffv1.mkv": ("ffv1", {}, 0),
}


def available(codec):
    try:
        return av.Codec(codec, "w") is not None
    except ValueError:  # of PyAV: this build has no such encoder
        return False


def show(number, height=48, width=64):
    """A frame whose number can be seen: see `seen`."""
    frame = picture(number, height, width)
    for bit in range(8):
        frame[:8, 8 * bit : 8 * bit + 8] = 235 if number >> bit & 1 else 20
    return frame


def seen(frame):
    """The number that a frame shows, whatever its size."""
    frame = cv2.resize(np.asarray(frame, np.float32), (64, 48), interpolation=cv2.INTER_AREA)
    bright = frame.reshape(48, 64, -1).mean(2)
    bright = bright * (255 if bright.max() <= 1.5 else 1)
    return sum(int(bright[2:6, 8 * bit + 2 : 8 * bit + 6].mean() > 128) << bit for bit in range(8))


@contextmanager
def usual_scheduling():
    """SVT-AV1 gives a process of root, and its children, real-time priority for good: others starve."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def write_movie(path, frames, codec="libx264", options=(), b_frames=0, *, rate=25, times=None, turned=0):
    """Encode frames; `times` in milliseconds, else evenly; every 12th frame is a key frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with usual_scheduling(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.max_b_frames = b_frames
        stream.options = dict(options)
        if turned:
            stream.set_display_rotation(turned)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_kind(path, kind, frames):
    codec, options, b_frames = KINDS[kind]
    return write_movie(path, frames, codec, options, b_frames)


def decoded(path):
    """All frames, by PyAV alone, as it gives them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


LENGTHS = {
    "a/v0": 20,
    "a/v1": 25,
    "a/v2": 31,
    "b/v0": 24,
    "b/v1": 40,
    "b/v2": 3,
    "b/v3": 22,
}  # of movie_files


def epoch(generator):
    """The batches of the epoch that comes next."""
    return list(islice(generator, len(generator)))


def write_cut(path, source, first):
    """Copy packets so that an edit list cuts off the frames before `first`."""
    with av.open(str(source)) as container, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        shift = sorted(packet.pts for packet in packets)[first]
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            copy.mux(packet)
    return path


def spoil(path, source, number):
    """Copy a file with one packet of its video overwritten."""
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        start, size = packet.pos, packet.size
    data = bytearray(source.read_bytes())
    data[start : start + size] = b"\xff" * size
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
