"""The contact sheet: its thumbnails are the batch's pixels, its words say what is known, nothing overlaps."""

import re
from itertools import combinations

import numpy as np
import pytest
from helpers import make_frames, make_loader, picture
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.preview.painting import mask_colors
from fastclips.preview.sheet import lay_out

STRIPES = {(250, 250, 250), (150, 150, 150)}  # of what a mask ignores


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """Frames that a sheet shows as they are: 100x120."""
    return make_frames(tmp_path_factory.mktemp("roomy"), videos=3, frames=6, height=100, width=120)


def look(loader, clips=4, epoch=0):
    """A checked sheet, what stands where on it, and all that is written."""
    sheet = lay_out(loader, loader._outputs.names, clips, epoch)
    image = loader.preview(clips, epoch)
    check(sheet, image)
    return sheet, np.asarray(image), [words.text for words in sheet.words]


def check(sheet, image):
    """Thumbnails are drawn as they are, and no two things on the sheet share a pixel."""
    assert (image.mode, image.size) == ("RGB", (sheet.width, sheet.height))
    assert image.width <= 1920
    pixels, boxes = np.asarray(image), []
    for x, y, shown in sheet.pictures:
        boxes.append((x, y, x + shown.shape[1], y + shown.shape[0]))
        np.testing.assert_array_equal(pixels[y : boxes[-1][3], x : boxes[-1][2]], shown)
    for words in sheet.words:
        left, top, right, bottom = ImageFont.load_default(words.size).getbbox(words.text)
        boxes.append((words.x + left, words.y + top, words.x + right, words.y + bottom))
    for left, top, right, bottom in boxes:
        assert 0 <= left <= right <= image.width
        assert 0 <= top <= bottom <= image.height
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


def thumbnails(sheet):
    """The thumbnails as an array for each row of them, from the top; a legend's swatches are left out."""
    rows = {}
    for x, y, shown in sheet.pictures:
        if shown.shape[:2] != (14, 14):
            rows.setdefault(y, []).append((x, shown))
    for row in rows.values():
        assert [x for x, _ in row] == sorted(x for x, _ in row)
    return [np.stack([shown for _, shown in rows[y]]) for y in sorted(rows)]


def as_if(monkeypatch, loader, function):
    """Let batches hold what a user's function would have left."""
    batch = loader.batch
    monkeypatch.setattr(loader, "batch", lambda *place: (function(batch(*place)[0]), batch(*place)[1]))


# --- pixels


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_frames_that_fit_are_shown_as_the_batch_holds_them(roomy, workers):
    options = {"transforms": [fc.RandomFlip(), fc.RandomCrop((96, 112))], "batch_size": 2, "shuffle": True}
    with make_loader(roomy, workers=workers, **options) as loader:
        sheet, _, _ = look(loader, clips=3, epoch=1)
        clips = np.concatenate([x for x, _ in loader.epoch(1)])
    rows = thumbnails(sheet)
    assert len(rows) == 3
    for row, clip in zip(rows, clips, strict=False):
        np.testing.assert_array_equal(row, clip)


def test_small_frames_are_enlarged_by_whole_pixels(frames):
    loader = make_loader(frames, transforms=[fc.CenterCrop((30, 40))])
    sheet, _, texts = look(loader, clips=1)
    (row,) = thumbnails(sheet)
    np.testing.assert_array_equal(row, loader.batch(0, 0)[0][0].repeat(3, axis=1).repeat(3, axis=2))
    assert "Thumbnails are enlarged, 3 times as wide" in texts


def test_long_clips_of_large_frames_are_thinned_and_made_smaller():
    images = np.stack([picture(number, 300, 400) for number in range(40)])[None]
    sheet, _, texts = look(fc.ClipLoader(fc.open(images=images), fc.Windows(40), batch_size=1, workers=0))
    (row,) = thumbnails(sheet)
    shown = [int(text) for text in texts if text.isdecimal()]
    assert len(row) == len(shown) == 16
    assert (shown[0], shown[-1]) == (0, 39)
    assert set(np.diff(shown)) == {2, 3}
    assert any("16 of its 40 time steps are shown" in text for text in texts)
    assert any(re.search(r"made smaller, 0\.2\d times", text) for text in texts)
    for small, number in zip(row, shown, strict=True):
        assert abs(small.mean() - images[0, number].mean()) < 1
        assert row.shape[1] / row.shape[2] == pytest.approx(0.75, abs=0.01)


def test_gray_and_channels_first_look_like_any_other(roomy):
    first, last = (thumbnails(look(make_loader(roomy, channels_first=c))[0]) for c in (True, False))
    np.testing.assert_array_equal(first, last)
    gray = np.random.default_rng(0).integers(0, 256, (2, 4, 96, 100, 1), np.uint8)
    for channels_first in (False, True):
        loader = fc.ClipLoader(
            fc.open(images=gray), fc.Windows(4), batch_size=2, workers=0, channels_first=channels_first
        )
        np.testing.assert_array_equal(thumbnails(look(loader)[0]), gray.repeat(3, axis=4))


def test_floats_are_stretched_to_the_range_that_is_told(roomy):
    loader = make_loader(roomy, transforms=[fc.RandomCrop(100), fc.Normalize(0.25, 0.5)])
    sheet, _, texts = look(loader, clips=2)
    x = loader.batch(0, 0)[0][:2]
    expected = np.round((x - x.min()) / (x.max() - x.min()) * 255)
    assert np.abs(np.stack(thumbnails(sheet)) - expected).max() <= 1
    assert f"image: black is {x.min():.4g}, white is {x.max():.4g}" in texts
    assert np.stack(thumbnails(sheet)).min() == 0
    assert np.stack(thumbnails(sheet)).max() == 255


SHAPES = {  # a function of a batch; rows and columns of thumbnails, and a text
    "flow": (lambda x: x[..., :2] / 9, (2, 4), "image, channel 1 of 2"),
    "flow, channels first": (lambda x: np.moveaxis(x[..., :2] / 9, -1, 2), (2, 4), "image, channel 0 of 2"),
    "many channels": (lambda x: x.repeat(3, -1), (4, 4), "image, channel 3 of 9"),
    "maps": (lambda x: x.mean(-1), (1, 4), None),
    "half of the steps": (lambda x: x[:, ::2], (1, 2), "frames 0, 1, 2, 3"),
    "one picture": (lambda x: x.mean(1), (1, 1), "frames 0, 1, 2, 3"),
    "one map": (lambda x: x.std((1, 4)), (1, 1), None),
    "a few numbers each step": (lambda x: x.mean((2, 3)), (1, 1), None),
    "a vector": (lambda x: x.mean((1, 2, 4)), (1, 1), None),
    "bools": (lambda x: x > 99, (1, 4), "image: black is 0, white is 1"),
    "halves": (lambda x: x.astype(np.float16), (1, 4), None),
    "integers": (lambda x: x.astype(np.int64) * 1000, (1, 4), None),
    "all the same": (lambda x: x * 0.0 + 3, (1, 4), "image: gray is 3"),
    "a number": (lambda x: np.full(len(x), 2.5), (0, 0), "clip 0   image 2.5   label class_0"),
    "more axes": (
        lambda x: x[..., None, None],
        (0, 0),
        "clip 0   image uint8 (4, 100, 100, 3, 1, 1), 0 to 255   label class_0",
    ),
}


@pytest.mark.parametrize(("function", "size", "text"), SHAPES.values(), ids=SHAPES)
def test_what_a_users_function_may_leave(roomy, monkeypatch, function, size, text):
    loader = make_loader(roomy, transforms=[fc.CenterCrop(100)])
    as_if(monkeypatch, loader, function)
    sheet, _, texts = look(loader, clips=1)
    rows = thumbnails(sheet)
    assert len(rows) == size[0]
    assert {len(row) for row in rows} <= {size[1]}
    told = " ".join(re.sub(r"\d+ to \d+   label", "0 to 255   label", line) for line in texts)
    assert text is None or text in told
    if rows and text != "image: gray is 3":
        assert min(row.min() for row in rows) < max(row.max() for row in rows)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    shape=st.lists(st.sampled_from([1, 2, 3, 4, 7, 30, 97, 500]), min_size=0, max_size=4),
    dtype=st.sampled_from(["uint8", "bool", "int32", "float16", "float64"]),
    seed=st.integers(0, 99),
)
def test_nothing_overlaps_whatever_the_shape(frames, shape, dtype, seed):
    assume(np.prod(shape) <= 500_000)
    values = np.random.default_rng(seed).integers(0, 256, (4, *shape)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        loader = make_loader(frames)
        as_if(patch, loader, lambda x: values[: len(x)])
        look(loader, clips=3)


def test_what_is_not_finite_is_magenta(roomy, monkeypatch):
    loader = make_loader(roomy, transforms=[fc.CenterCrop(100)])

    def spoil(x):
        x = x / 255
        x[:, :, :10], x[:, :, 10:20] = np.nan, np.inf
        return x

    as_if(monkeypatch, loader, spoil)
    sheet, _, texts = look(loader, clips=1)
    (row,) = thumbnails(sheet)
    assert (row[:, :20] == (255, 0, 255)).all()
    assert not (row[:, 20:] == (255, 0, 255)).all(axis=-1).any()
    assert any("white is" in text and "magenta is not finite" in text for text in texts)


# --- masks, streams, weights


@pytest.fixture(scope="module")
def pairs():
    """Two videos of six frames, 96x100, with masks of values 0 to 3 and 255 on the left."""
    random = np.random.default_rng(3)
    masks = random.integers(0, 4, (2, 6, 12, 10), np.uint8).repeat(8, 2).repeat(10, 3)
    masks[..., :20] = 255
    images = np.stack([[picture(10 * v + t, 96, 100) for t in range(6)] for v in range(2)])
    return {"image": images, "depth": images[..., :1].copy(), "mask": masks}


def test_masks_in_colours_beneath_their_frames(pairs):
    loader = fc.ClipLoader(fc.open(images=pairs), fc.Windows(6), batch_size=2, targets="mask", workers=0)
    sheet, pixels, texts = look(loader, clips=2)
    rows = thumbnails(sheet)
    np.testing.assert_array_equal(rows[::2], pairs["image"])
    for row, mask in zip(rows[1::2], pairs["mask"], strict=True):
        np.testing.assert_array_equal(row[:, :, 20:], mask_colors()[mask[:, :, 20:]])
        assert {tuple(color) for color in row[:, :, :20].reshape(-1, 3).tolist()} == STRIPES
    assert texts.count("image") == texts.count("mask") == 2
    legend = texts[texts.index("mask:") + 1 :][:5]
    assert legend == ["0", "1", "2", "3", "255 ignored"]
    swatches = [(x, y) for x, y, shown in sheet.pictures if shown.shape[:2] == (14, 14)]
    assert [tuple(pixels[y, x]) for x, y in swatches[:4]] == [tuple(c) for c in mask_colors()[:4]]


def test_a_mask_with_its_own_ignored_value(pairs):
    data = fc.open(images=pairs, ignore=0)
    sheet, _, texts = look(fc.ClipLoader(data, fc.Windows(6), batch_size=2, targets="mask", workers=0))
    assert "0 ignored" in texts
    assert "255" in texts
    mask = thumbnails(sheet)[1]
    np.testing.assert_array_equal(mask[:, :, :20], np.broadcast_to(mask_colors()[255], (6, 96, 20, 3)))


def test_each_stream_has_a_row(pairs):
    loader = fc.ClipLoader(
        fc.open(images=pairs), fc.Windows(6), batch_size=2, inputs=["depth", "image"], workers=0
    )
    sheet, _, texts = look(loader, clips=1)
    depth, image = thumbnails(sheet)
    np.testing.assert_array_equal(depth, pairs["depth"][0].repeat(3, axis=-1))
    np.testing.assert_array_equal(image, pairs["image"][0])
    assert {"depth", "image"} <= set(texts)


def test_weights_of_pixels(pairs):
    options = {"batch_size": 2, "targets": "mask", "workers": 0, "sample_weight": {1: 0.5, 2: 4.0}}
    loader = fc.ClipLoader(fc.open(images=pairs), fc.Windows(6), **options)
    sheet, _, texts = look(loader, clips=1)
    weight = loader.batch(0, 0)[2][0]
    np.testing.assert_array_equal(thumbnails(sheet)[2][..., 0], np.floor(weight / 4 * 255 + 0.5))
    assert "weight of mask" in texts
    assert "weight of mask: black is 0, white is 4" in texts


def test_a_legend_of_many_values_is_cut_short():
    images = np.zeros((1, 2, 64, 100, 3), np.uint8)
    masks = np.arange(6400).reshape(1, 1, 64, 100).repeat(2, 1).astype(np.uint8)
    data = fc.open(images={"image": images, "mask": masks})
    _, _, texts = look(fc.ClipLoader(data, fc.Windows(2), batch_size=1, targets="mask", workers=0))
    assert "and 216 more" in texts


# --- words


def test_label_file_and_frames_are_told(frames):
    loader = make_loader(frames, clips=fc.Windows(4, step=4, dilation=2), shuffle=True, seed=3)
    _, _, texts = look(loader, clips=2)
    table = loader.plan_table(0)
    assert texts[0] == f"Epoch 0: clips 0 to 1 of {len(table['video'])}, in served order"
    assert "A clip is image uint8 (4, 32, 32, 3), label int64" in texts
    for row in range(2):
        name = loader.dataset.classes[table["label"][row]]
        where = texts.index(f"clip {row}   label {name}") + 1
        assert texts[where] == ".../" + "/".join(table["paths"][row][0].split("/")[-3:])
        assert texts[where + 1 :][:4] == [str(frame) for frame in table["frames"][row]]


def test_all_words_are_drawn_once(frames, monkeypatch):
    drawn, text = [], ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, *args: drawn.append(args[1]) or text(self, *args)
    )
    loader = make_loader(frames)
    image = loader.preview()
    assert drawn == [words.text for words in lay_out(loader, loader._outputs.names, 4, 0).words]
    assert (np.asarray(image) != np.asarray(Image.new("RGB", image.size, "white"))).any()


LABELS = {
    "of classes, by number": (np.array([1, 0]), None, "clip 0   label 1"),
    "of classes, by name": (np.array([1, 0]), ["swim", "dive"], "clip 0   label dive"),
    "several": (np.array([[1, 0, 1], [0, 0, 0]], bool), ["a", "b", "c"], "clip 0   labels a, c"),
    "numbers": (np.array([[0.5, 2], [3, 4]], np.float32), None, "clip 0   target 0.5, 2"),
}


@pytest.mark.parametrize(("labels", "classes", "text"), LABELS.values(), ids=LABELS)
def test_labels(pairs, labels, classes, text):
    data = fc.open(images=pairs["image"], labels=labels, classes=classes)
    loader = fc.ClipLoader(data, fc.Windows(6), batch_size=2, workers=0)
    assert text in look(loader)[2]
    if labels.dtype == bool:
        assert "clip 1   labels none" in look(loader)[2]


def test_targets_that_are_maps_are_shown(pairs):
    density = np.random.default_rng(0).random((2, 6, 24, 25), np.float32)
    data = fc.open(images=pairs["image"], labels=density)
    sheet, _, texts = look(fc.ClipLoader(data, fc.Windows(6), batch_size=2, workers=0), clips=1)
    _, shown = thumbnails(sheet)
    expected = np.round((density[0] - density[:1].min()) / np.ptp(density[:1]) * 255)
    np.testing.assert_allclose(shown[..., 0], expected.repeat(4, 1).repeat(4, 2), atol=1)
    assert "label" in texts


def test_labels_and_weights_of_frames_stand_beneath_them(pairs):
    names = ["approach and landing of a very large bird", "rest"]
    numbers = np.array([[0, 0, 1, 1, 0, 1], [1] * 6])
    data = fc.open(images=pairs["image"], labels=numbers, classes=names)
    options = {"batch_size": 2, "workers": 0, "sample_weight": {"rest": 2.5}}
    sheet, _, texts = look(fc.ClipLoader(data, fc.Windows(6), **options), clips=1)
    for frame in range(6):
        number, label, weight = texts[texts.index("0") :][3 * frame :][:3]
        assert number == str(frame)
        assert weight == ("weight 2.5" if numbers[0, frame] else "weight 1")
        assert label == "rest" if numbers[0, frame] else re.fullmatch(r"appr.*\.\.\..*bird", label)
    x = [words.x for words in sheet.words if words.text.startswith("weight ")]
    assert x == [x for x, *_ in sheet.pictures]


def test_without_a_picture_for_each_step_their_labels_are_listed(pairs, monkeypatch):
    data = fc.open(images=pairs["image"], labels=np.array([[0, 0, 1, 1, 0, 1]] * 2), classes=["a", "b"])
    loader = fc.ClipLoader(data, fc.Windows(6), batch_size=2, workers=0)
    as_if(monkeypatch, loader, lambda x: x.mean(1))
    assert "frames 0 a, 1 a, 2 b, 3 b, 4 a, 5 b" in look(loader)[2]


def test_padding_is_marked(roomy):
    loader = make_loader(roomy, clips=fc.Windows(4, tail="pad"), inputs=("image", "valid"), batch_size=2)
    sheet, pixels, texts = look(loader, clips=2)
    assert loader.plan_table(0)["frames"][1].tolist() == [4, 5, ~5, ~5]
    assert texts[-4:] == ["4", "5", "5 padding", "5 padding"]
    assert len(sheet.marks) == 2
    for (left, top, right, bottom), (x, y, shown) in zip(sheet.marks, sheet.pictures[-2:], strict=True):
        assert left < x < x + shown.shape[1] <= right
        assert top < y < y + shown.shape[0] <= bottom
        assert tuple(pixels[top, left]) == (190, 75, 0)


def test_views_and_what_fills_up_the_last_batch(frames):
    loader = make_loader(frames, transforms=[fc.ThreeCrop(40)])
    texts = look(loader, clips=2)[2]
    assert "clip 0   label class_0   view 0" in texts
    assert "clip 1   label class_0   view 1" in texts
    ranks = [
        look(make_loader(frames, clips=fc.Windows(9), batch_size=2, world=4, rank=rank))[2] for rank in (0, 3)
    ]
    assert "clip 0   label class_0   weight 1" in ranks[0]
    assert "clip 0   label class_0   weight 0   padding: fills up the last batch" in ranks[1]


def test_names_that_no_font_has(pairs):
    names = ["a\nb\udcff", "中文 " * 90]
    data = fc.open(images=pairs["image"], labels=np.array([0, 1]), classes=names)
    texts = look(fc.ClipLoader(data, fc.Windows(6), batch_size=2, workers=0))[2]
    assert "clip 0   label a?b?" in texts
    assert any(text.startswith("clip 1   label 中文") and "..." in text for text in texts)


# --- the loader


def test_iteration_is_not_moved(frames):
    loader, twin = make_loader(frames, shuffle=True), make_loader(frames, shuffle=True)
    batches = iter(loader)
    np.testing.assert_array_equal(next(batches)[0], next(iter(twin))[0])
    state = loader.state_dict()
    loader.preview(epoch=5)
    assert loader.state_dict() == state
    np.testing.assert_array_equal(next(batches)[0], twin.batch(0, 1)[0])


def test_as_many_clips_as_there_are(roomy):
    loader = make_loader(roomy, batch_size=2)  # three clips
    sheet, _, texts = look(loader, clips=9)
    assert len(thumbnails(sheet)) == 3
    assert texts[0] == "Epoch 0: clips 0 to 2 of 3, in served order"


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"clips": 1.5}, {"epoch": -1}, {"epoch": "1"}])
def test_wrong_arguments(frames, wrong):
    ((knob, value),) = wrong.items()
    with pytest.raises(fc.OptionError, match=f"{knob}={value!r}"):
        make_loader(frames).preview(**wrong)


def test_a_closed_loader(frames):
    loader = make_loader(frames)
    loader.close()
    with pytest.raises(fc.ClosedError):
        loader.preview()


# --- the command

OPTIONS = ["--time-steps", "4", "--step", "2"]


def test_the_command_writes_what_a_loader_previews(frames, masks, tmp_path, capsys):
    output = tmp_path / "sheet.png"
    more = ["--mask", str(masks), "--stream", f"twin={frames}", "--short-side", "40", "--crop", "32"]
    asked = ["--flip", "--clips", "3", "--epoch", "2", "--seed", "7", "-o", str(output)]
    assert main(["preview", str(frames), *OPTIONS, *more, *asked]) == 0
    dataset = fc.open({"image": frames, "mask": masks, "twin": frames})
    with fc.ClipLoader(
        dataset,
        fc.Windows(4, step=2),
        [fc.Resize(short_side=40), fc.RandomCrop(32), fc.RandomFlip()],
        batch_size=3,
        shuffle=True,
        seed=7,
        workers=0,
        inputs=["image", "twin"],
        targets=["label", "mask"],
    ) as loader:
        expected = loader.preview(3, epoch=2)
    with Image.open(output) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert list(tmp_path.iterdir()) == [output]
    assert capsys.readouterr().out == (
        f"{output}: {expected.width}x{expected.height} pixels, 3 of 30 clips of 6 videos "
        "(image, twin, label, mask)\n"
    )


def test_without_options_it_writes_preview_png_here(tmp_path, monkeypatch, capsys):
    make_frames(tmp_path / "frames", videos=2, frames=16)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["preview", "frames"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "preview.png"]
    assert "2 of 2 clips of 2 videos (image, label)" in capsys.readouterr().out


def test_options_shared_with_bench_read_the_same(capsys):
    def manual(command):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        out = re.sub(r"\s+", " ", capsys.readouterr().out)
        return {name: re.search(rf" {name} \S+ (.*?)(?: \(|$)", out)[1] for name in shared}

    shared = ("--time-steps", "--step", "--crop")
    assert manual("bench") == manual("preview")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "sheet.jpg"], "output='sheet.jpg': must end in .png"),
        (["-o", "none/sheet.png"], "the folder 'none' does not exist"),
        (["-o", "taken.png"], "output='taken.png': cannot be written"),
        (["--clips", "0"], "clips=0"),
        (["--epoch", "-1"], "epoch=-1"),
        (["--seed", "-1"], "seed=-1"),
        (["--crop", "99"], "at most the frame's 48x64"),
        (["--short-side", "0"], "0"),
        (["--time-steps", "99"], "no video gives a clip"),
        (["--stream", "other"], "stream=other=: must be NAME=DIR"),
        (["--stream", "image=x"], "with a name other than image"),
        (["--mask", "missing"], "missing"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(frames, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.png").mkdir()
    assert main(["preview", str(frames), *OPTIONS, *options]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("fastclips: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_that_is_missing_or_empty(tmp_path, capsys, make):
    folder = tmp_path / "frames"
    if make:
        folder.mkdir()
    assert main(["preview", str(folder), "-o", str(tmp_path / "sheet.png")]) == 1
    assert str(folder) in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()
