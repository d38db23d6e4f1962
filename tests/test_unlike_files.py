"""Files of depth and flow, and packs of them."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from unlike import (
    DEPTH,
    FLOW,
    HALF,
    HEIGHT,
    IMAGES,
    WIDTH,
    whole,
    write_flo,
    write_kitti,
)

import fastclips as fc
from fastclips.pixels.decoding.decoder import Decoder
from fastclips.spec import StreamSpec
from fastclips.testing import check_storage


@pytest.fixture
def files(tmp_path):
    """Pictures, depth of three types, flow of two formats: 2 videos of 3 frames."""
    for video, frame in np.ndindex(2, 3):
        name = f"class_{video}/v/{frame:03d}"
        for stream in ("image", "png", "tif", "flo", "kitti"):
            (tmp_path / stream / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[video, frame]).save(tmp_path / f"image/{name}.png")
        Image.fromarray(DEPTH[video, frame]).save(tmp_path / f"png/{name}.png")
        Image.fromarray(FLOW[video, frame, ..., 0]).save(tmp_path / f"tif/{name}.tif")
        write_flo(tmp_path / f"flo/{name}.flo", FLOW[video, frame])
        write_kitti(
            tmp_path / f"kitti/{name}.png", FLOW[video, frame], HALF[0, 0].repeat(2, 0).repeat(2, 1) > 99
        )
    return tmp_path


def from_files(root, **more):
    return fc.open(
        {
            "image": root / "image",
            "png": fc.Stream(root / "png", kind="depth"),
            "tif": fc.Stream(root / "tif", kind="depth", ignore=-1),
            "flo": fc.Stream(root / "flo", kind="flow"),
            "kitti": fc.Stream(root / "kitti", kind="flow"),
        },
        **more,
    )


def test_files_of_numbers(files):
    data = from_files(files)
    assert "png (depth), tif (depth), flo (flow), kitti (flow)>" in repr(data)
    found = whole(data)
    assert np.array_equal(found["png"][..., 0], DEPTH[:, :3])
    assert np.array_equal(found["tif"][..., 0], FLOW[:, :3, ..., 0])
    assert np.array_equal(found["flo"], FLOW[:, :3])
    valid = HALF[0, 0].repeat(2, 0).repeat(2, 1) > 99
    expected = np.where(valid[..., None], np.round(np.float64(FLOW[:, :3]) * 64) / 64, 0)
    assert np.array_equal(found["kitti"], expected)


@pytest.fixture
def series(tmp_path):
    """One folder for each video, of pictures and of flow in two series, as denseflow writes them."""
    for video, frame in np.ndindex(2, 3):
        folder = tmp_path / f"raw/class_{video}/v"
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {
            "img": IMAGES[video, frame],
            "flow_x": HALF[video, frame],
            "flow_y": HALF[video, frame + 3],
        }
        for name, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / f"{name}_{frame:05d}.{'png' if name == 'img' else 'jpg'}")
    return tmp_path


def of_series(root, **options):
    patterns = ("flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg")
    streams = {
        "image": fc.Stream(root / "raw", frames="img_{:05d}.png"),
        "flow": fc.Stream(root / "raw", kind="flow", frames=patterns, **options),
    }
    return fc.open(streams)


def test_two_series_of_flow(series, tmp_path):
    data = of_series(series, bound=15)
    assert repr(data) == "<Dataset: 2 videos, 6 frames, 2 classes; image, flow (flow)>"
    transforms = [fc.On("flow", fc.Resize((HEIGHT, WIDTH)))]
    with fc.ClipLoader(data, fc.Windows(3), batch_size=2, inputs="flow", targets=None, workers=0) as opened:
        found = next(iter(opened))
    for video, frame in np.ndindex(2, 3):
        for axis, name in enumerate(("flow_x", "flow_y")):
            path = series / f"raw/class_{video}/v/{name}_{frame:05d}.jpg"
            expected = np.asarray(Image.open(path), np.float64) * 2 * 15 / 255 - 15
            assert np.allclose(found[video, frame, ..., axis], expected, atol=1e-5)
    fc.pack(data, tmp_path / "packed", workers=0)
    packed = fc.open(tmp_path / "packed")
    assert packed.streams[1].bound == 15
    results = [whole(d, transforms=transforms)["flow"] for d in (data, packed)]
    assert np.array_equal(*results)
    assert whole(of_series(series), transforms=transforms)["flow"].max() > results[0].max()  # bound=20
    check_storage(data.storage, streams={"image": "image", "flow": "flow"}, frame_counts=[3, 3])


@pytest.mark.slow
def test_series_in_workers(series):
    data = of_series(series)
    transforms = [fc.On("flow", fc.Resize((HEIGHT, WIDTH))), fc.RandomCrop(12), fc.RandomFlip()]
    results = [whole(data, transforms=transforms, workers=workers)["flow"] for workers in (0, 2)]
    assert np.array_equal(*results)


def test_series_that_do_not_fit(series):
    path = series / "raw/class_0/v/flow_y_00001.jpg"
    Image.fromarray(HALF[0, 0][:6]).save(path)
    with pytest.raises(fc.FrameError, match=r"of x and of y are \(12, 16\) and \(6, 16\)"):
        whole(of_series(series), transforms=[fc.On("flow", fc.Resize((HEIGHT, WIDTH)))])
    path.unlink()
    with pytest.raises(fc.DataError, match=r"lacks 1 of the"):
        of_series(series)


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
def test_packs_keep_numbers(files, tmp_path, codec):
    data = from_files(files)
    fc.pack(data, tmp_path / "packed", codec=codec, quality=None, workers=0)
    packed = fc.open(tmp_path / "packed")
    assert [s.kind for s in packed.streams] == [s.kind for s in data.streams]
    assert packed.streams[2].unknown == -1
    one, other = whole(data), whole(packed)
    for name in ("png", "tif", "flo", "kitti"):
        assert np.array_equal(one[name], other[name])
    with pytest.raises(fc.OptionError, match=r"short_side=10: .*'png' \(depth\) are packed as they are"):
        fc.pack(data, tmp_path / "small", short_side=10, workers=0)


def test_packs_of_arrays_keep_numbers(tmp_path):
    streams = {
        "image": IMAGES,
        "depth": fc.Stream(DEPTH, kind="depth"),
        "mask": fc.Stream(HALF, kind="mask", ignore=7),
        "flow": fc.Stream(FLOW, kind="flow"),
    }
    fits = [fc.On("mask", fc.Resize((HEIGHT, WIDTH)))]
    data = fc.open(images=streams)
    fc.pack(data, tmp_path / "packed", workers=0)
    packed = fc.open(tmp_path / "packed")
    assert [(s.name, s.kind, s.ignore) for s in packed.streams] == [
        (s.name, s.kind, s.ignore) for s in data.streams
    ]
    one, other = whole(data, transforms=fits), whole(packed, transforms=fits)
    for name in ("depth", "mask", "flow"):
        assert np.array_equal(one[name], other[name])


def test_an_index_is_saved(files, tmp_path):
    one, other = (from_files(files, index=tmp_path / "index") for _ in range(2))
    assert one.streams == other.streams
    first, second = whole(one), whole(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_npy_files(tmp_path):
    for name, array in (("depth", DEPTH), ("flow", FLOW)):
        np.save(tmp_path / f"{name}.npy", array)
    streams = {name: fc.Stream(tmp_path / f"{name}.npy", kind=name) for name in ("depth", "flow")}
    found = whole(fc.open(images=streams))
    assert np.array_equal(
        found["depth"][..., 0].reshape(2, 3, HEIGHT, WIDTH), DEPTH[0].reshape(2, 3, HEIGHT, WIDTH)
    )
    assert np.array_equal(found["flow"], FLOW[0].reshape(2, 3, HEIGHT, WIDTH, 2))


@pytest.mark.slow
def test_any_number_of_workers(files):
    transforms = [
        fc.RandomCrop(12),
        fc.RandomFlip(),
        fc.RandomRotation(20),
        fc.On("png", fc.Rescale(0.01)),
        fc.On("flo", fc.Apply(lambda clip: clip * clip.max())),
    ]
    data = from_files(files)
    results = [whole(data, transforms=transforms, workers=workers, shuffle=True) for workers in (0, 2)]
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])


def test_files_that_do_not_fit(files):
    path = files / "png/class_0/v/001.png"
    Image.fromarray(DEPTH[0, 0].astype(np.float32)).save(path.with_suffix(".tif"))
    path.unlink()
    data = fc.open({"image": files / "image", "depth": fc.Stream(files / "png", kind="depth")})
    with pytest.raises(fc.FrameError, match="depth of float32, while the first frame is uint16"):
        whole(data)
    plain = fc.open(files / "kitti")
    with pytest.raises(
        fc.FrameError, match=r"16-bit PNG: frames must have 8 bits per channel; convert it once$"
    ):
        whole(plain)
    with pytest.raises(fc.FrameError, match=r"or open it as Stream\(path, kind='depth'\)"):
        whole(fc.open(files / "png"))
    with pytest.raises(fc.FrameError, match="depth must have one channel"):
        whole(fc.open({"depth": fc.Stream(files / "image", kind="depth")}))
    with pytest.raises(fc.FrameError, match=r"must be a \.flo file, or a PNG of three channels of 16 bits"):
        whole(fc.open({"flow": fc.Stream(files / "image", kind="flow")}))
    for source in (files / "flo", {"a": fc.Stream(files / "flo", kind="depth")}):
        with pytest.raises(fc.DataError, match=r"found \d+ \.flo files?\. .*Stream\(path, kind='flow'\)"):
            fc.open(source)
    with pytest.raises(fc.DataError, match=r"are optical flow, such as .*Stream\(path, kind='flow'\)"):
        fc.open({"path": ["class_0/v"]}, root=files / "flo")
    with pytest.raises(fc.FrameError, match=r"open it as Stream\(path, kind='flow'\)"):
        whole(fc.open(files / "flo", frames="*.flo"))


@pytest.mark.parametrize("name", ["flo", "kitti", "png", "tif"])
def test_damage_is_found(files, name):
    path = min((files / name).rglob("*.*"))
    data = from_files(files)
    content = path.read_bytes()
    for cut in (3, 10, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(fc.FrameError, match=r"truncated|damaged|neither"):
            whole(data)


def test_unknown_flow_is_0(tmp_path):
    flow = FLOW[0, 0].copy()
    flow[0, 0], flow[1, 1, 0], flow[2, 2, 1] = 1e10, np.nan, -2e9
    write_flo(tmp_path / "a/v/0.flo", flow)
    data = fc.open({"flow": fc.Stream(tmp_path, kind="flow")})
    with fc.ClipLoader(data, fc.Windows(1), batch_size=1, inputs="flow", workers=0) as opened:
        x, _ = next(iter(opened))
    assert (x[0, 0, [0, 1, 2], [0, 1, 2]] == 0).all()
    assert np.array_equal(x[0, 0, 3:], flow[3:])


def test_patterns(tmp_path):
    """Streams of one folder, each with its own pattern."""
    for frame in range(3):
        for name in (f"img_{frame}.png", f"depth_{frame}.png"):
            path = tmp_path / "a/v" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[0, frame] if "img" in name else DEPTH[0, frame]).save(path)
    streams = {
        "image": fc.Stream(tmp_path, frames="img_*"),
        "depth": fc.Stream(tmp_path, kind="depth", frames="depth_*"),
    }
    found = whole(fc.open(streams, match=r"\d+"), batch_size=1)
    assert np.array_equal(found["depth"][0, ..., 0], DEPTH[0, :3])
    rows = [{"path": "a/v", "label": "x"}]
    assert np.array_equal(
        whole(fc.open(rows, root=streams, match=r"\d+"), batch_size=1)["depth"], found["depth"]
    )


def test_damaged_depth_is_replaced(files):
    path = files / "png/class_0/v/001.png"
    path.write_bytes(path.read_bytes()[:40])
    data = from_files(files)
    found = whole(data, damaged="repeat")
    assert np.array_equal(found["png"][0, 1, ..., 0], DEPTH[0, 0])  # as pictures: all show the frame before
    assert np.array_equal(found["flo"][0, 1], FLOW[0, 0])
    path = files / "tif/class_0/v/002.tif"
    path.write_bytes(path.read_bytes()[:40])
    found = whole(data, damaged="repeat")
    assert (found["tif"][0, 2] == -1).all()  # with ignore=, as masks
    assert np.array_equal(found["flo"][0, 2], FLOW[0, 2])


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


WORDS = DEPTH[0, 0]
SIGNED = (WORDS.astype(np.int32) - 2**15).astype(np.int16)
BYTES = Image.fromarray(HALF[0, 0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.fromarray(WORDS), "PNG"), WORDS),
        (encoded(Image.fromarray(WORDS), "TIFF"), WORDS),
        (encoded(Image.frombytes("I;16B", (WIDTH, HEIGHT), WORDS.astype(">u2").tobytes()), "TIFF"), WORDS),
        (cv2.imencode(".tif", SIGNED)[1].tobytes(), SIGNED.astype(np.float32)),
        (encoded(Image.fromarray(FLOW[0, 0, ..., 0]), "TIFF"), FLOW[0, 0, ..., 0]),
        (encoded(BYTES, "PNG"), HALF[0, 0]),
        (encoded(BYTES, "BMP"), HALF[0, 0]),
    ],
    ids=["png", "tiff", "big-endian", "signed", "float", "bytes", "bmp"],
)
def test_formats_of_depth(data, expected):
    found = Decoder(StreamSpec("depth", "depth")).decode(data).pixels
    assert found.dtype == expected.dtype
    assert np.array_equal(found[..., 0], expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(Image.fromarray(WORDS.astype(np.int32)), "TIFF"), "a TIFF of 32 bits, mode I"),
        (encoded(Image.fromarray(WORDS > 9), "PNG"), "a PNG of 1 bits"),
        (encoded(BYTES.convert("P"), "PNG"), "8 or 16 bits without a palette"),
        (encoded(BYTES.convert("LA"), "PNG"), "depth must have one channel"),
        (encoded(BYTES.convert("RGB"), "WebP", lossless=True), "depth must have one channel"),
        (encoded(BYTES, "JPEG"), "a lossy JPEG, which changes the numbers of depth"),
        (np.zeros((4, 4, 1), np.int32), "depth must be uint8 or uint16 or float32"),
        (np.zeros((4, 4, 3), np.uint8), r"depth must be .*\(height, width, 1\)"),
    ],
)
def test_formats_that_are_no_depth(data, message):
    with pytest.raises(fc.FrameError, match=message):
        Decoder(StreamSpec("depth", "depth")).decode(data)
