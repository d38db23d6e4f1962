"""Streams of several sizes and kinds that tests share: small arrays, loaders of them, files."""

import struct

import cv2
import numpy as np
from slow_fields import slow_field

import fastclips as fc
from fastclips.pixels.recipe import compile_recipe
from fastclips.spec import StreamSpec

VIDEOS, FRAMES, HEIGHT, WIDTH = 2, 6, 24, 32
random = np.random.default_rng(0)
SHAPE = (VIDEOS, FRAMES, HEIGHT, WIDTH)
IMAGES = random.integers(0, 256, (*SHAPE, 3), np.uint8)
HALF = random.integers(0, 200, (VIDEOS, FRAMES, HEIGHT // 2, WIDTH // 2), np.uint8)
DEPTH = random.integers(0, 65536, SHAPE, np.uint16)
FLOW = random.normal(0, 3, (*SHAPE, 2)).astype(np.float32)


def loader(streams, transforms=(), **options):
    given_options = {"batch_size": 2, "workers": 0, "inputs": tuple(streams), "targets": None}
    return fc.ClipLoader(fc.open(images=streams), fc.Windows(3), transforms, **{**given_options, **options})


def batch(streams, transforms=(), **options):
    with loader(streams, transforms, **options) as opened:
        return next(iter(opened))


def resized(frames, height, width):
    """Nearest pixels, of (..., H, W)."""
    rows = (2 * np.arange(height) + 1) * frames.shape[-2] // (2 * height)
    columns = (2 * np.arange(width) + 1) * frames.shape[-1] // (2 * width)
    return frames[..., rows[:, None], columns]


def placed(frame, transforms, draws, kind, **options):
    """A frame of a stream, through its recipe."""
    from fastclips.pixels.geometry.fields import make_field_placer  # noqa: PLC0415 - after the fixtures

    stream = StreamSpec("it", kind, **options)
    recipe = compile_recipe(transforms).of(stream)
    geometry = recipe.geometry(*frame.shape[:2], recipe.own_draws(draws))
    out = np.empty((geometry.y.size, geometry.x.size, frame.shape[2]), frame.dtype)
    fill = recipe.border.fill
    make_field_placer(geometry, frame.shape[:2], fill, vectors=kind == "flow")(frame, out)
    box = None
    if geometry.warp is None:
        (top, bottom), (left, right) = geometry.y.box, geometry.x.box
        box = tuple(map(int, (top, left, bottom, right)))
    expected = slow_field(frame, geometry.matrix, out.shape[:2], fill, box, vectors=kind == "flow")
    return out, expected


def whole(data, **options):
    names = tuple(stream.name for stream in data.streams)
    settings = {"batch_size": 2, "inputs": names, "targets": None, "workers": 0}
    with fc.ClipLoader(data, fc.Windows(3), **{**settings, **options}) as opened:
        return {name: array.copy() for name, array in next(iter(opened)).items()}


def write_flo(path, flow):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PIEH" + struct.pack("<ii", flow.shape[1], flow.shape[0]) + flow.tobytes())


def write_kitti(path, flow, valid):
    path.parent.mkdir(parents=True, exist_ok=True)
    words = np.concatenate([np.round(np.float64(flow) * 64) + 2**15, valid[..., None]], 2).astype(np.uint16)
    cv2.imwrite(str(path), words[..., ::-1])
