"""Images and masks by their ids: aligned, each once, as the tutorial's Sequence does it."""

import numpy as np
import pytest
from helpers import picture, write_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastclips as fc
from fastclips.compat import DataGenerator, ImageDataGenerator

SIZE = (12, 16)
COUNT = 9
options = {"dim": SIZE, "workers": 0}


def mask_of(number, height=12, width=16):
    """A mask whose values tell its number and the place."""
    return ((np.add.outer(np.arange(height) // 3, np.arange(width) // 4) + number) % 5).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """images/img_0.png ... gray, each of one value that tells its number, and masks/img_0.png."""
    root = tmp_path_factory.mktemp("pairs")
    for number in range(COUNT):
        save(root / "images" / f"img_{number}.png", np.full(SIZE, 20 * number, np.uint8))
        save(root / "masks" / f"img_{number}.png", mask_of(number))
    return root


@pytest.fixture(scope="module")
def ids():
    return [f"img_{number}" for number in range(COUNT)]


def numbers(x):
    return np.rint(x[:, 0, 0, 0] * 255 / 20).astype(int).tolist()


@settings(max_examples=30)
@given(
    chosen=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=12),
    batch_size=st.integers(1, 5),
    shuffle=st.booleans(),
    one_hot=st.booleans(),
)
def test_each_id_once_with_its_own_mask(root, chosen, batch_size, shuffle, one_hot):
    names = [f"img_{number}.png" for number in chosen]
    generator = DataGenerator(
        names,
        root / "images",
        root / "masks",
        True,
        batch_size,
        SIZE,
        1,
        5,
        shuffle,
        one_hot=one_hot,
        workers=0,
    )
    with generator:
        assert len(generator) == -(-len(chosen) // batch_size)
        for _ in range(2):
            seen = []
            for x, y in generator:
                assert x.shape == (len(x), *SIZE, 1)
                assert x.dtype == np.float32
                for number, mask in zip(numbers(x), y, strict=True):
                    want = mask_of(number)
                    np.testing.assert_array_equal(
                        mask, np.eye(5, dtype=np.float32)[want] if one_hot else want
                    )
                seen += numbers(x)
            assert sorted(seen) == sorted(chosen)
            if not shuffle:
                assert seen == chosen


def test_predictions_line_up_with_the_ids(root, ids):
    order = ids[::-1]
    with DataGenerator(
        order, root / "images", to_fit=False, batch_size=4, shuffle=True, **options
    ) as generator:
        assert len(generator) == 3
        for _ in range(2):
            served = np.concatenate(list(generator))
            assert numbers(served) == list(range(COUNT))[::-1]


def test_as_the_tutorial_loads_it(tmp_path):
    """Gray, / 255, of the images' own size: within what two formulas of gray differ by."""
    import cv2  # noqa: PLC0415 - the reference alone

    for number in range(3):
        write_jpeg(tmp_path / "i" / f"{number}.jpg", picture(number, 24, 32))
        save(tmp_path / "m" / f"{number}.png", mask_of(number, 24, 32))
    with DataGenerator(
        [f"{n}.jpg" for n in range(3)],
        tmp_path / "i",
        tmp_path / "m",
        dim=(24, 32),
        n_classes=5,
        shuffle=False,
        workers=0,
    ) as generator:
        x, _ = next(generator)
    for number in range(3):
        want = cv2.cvtColor(cv2.imread(str(tmp_path / "i" / f"{number}.jpg")), cv2.COLOR_BGR2GRAY) / 255
        np.testing.assert_allclose(x[number, ..., 0], want, atol=6 / 255)
        assert np.abs(x[number, ..., 0] - want).mean() < 1 / 255


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_images_of_any_size_and_the_same_for_any_number_of_workers(tmp_path, workers):
    import cv2  # noqa: PLC0415 - the reference alone

    sizes = [(24, 32), (40, 20), (12, 16)]
    for number, size in enumerate(sizes):
        save(tmp_path / "i" / f"{number}.png", picture(number, *size))
        save(tmp_path / "m" / f"{number}.png", mask_of(number, *size))
    generator = DataGenerator(
        range(3), tmp_path / "i", tmp_path / "m", dim=SIZE, n_channels=3, n_classes=5, one_hot=False,
        batch_size=2, seed=1, workers=workers, rescale=None,
    )  # fmt: skip
    with generator:
        for x, y in [*generator, *generator]:
            for image, mask in zip(x, y, strict=True):
                want = [
                    cv2.resize(picture(n, *size).astype(np.float32), SIZE[::-1])
                    for n, size in enumerate(sizes)
                ]
                number = int(np.argmin([np.abs(image - other).max() for other in want]))
                np.testing.assert_allclose(image, want[number], atol=0.01)
                height, width = sizes[number]
                rows = ((np.arange(12) + 0.5) * height / 12).astype(int)
                columns = ((np.arange(16) + 0.5) * width / 16).astype(int)
                np.testing.assert_array_equal(mask, mask_of(number, height, width)[np.ix_(rows, columns)])


@pytest.mark.slow
def test_batches_are_the_same_for_any_number_of_workers(root, ids):
    batches = []
    for workers in (0, 1, 2):
        generator = DataGenerator(
            ids, root / "images", root / "masks", dim=SIZE, n_classes=5, batch_size=4, seed=2, workers=workers
        )
        with generator:
            batches.append([*generator, *generator])
    for other in batches[1:]:
        for (a, b), (c, d) in zip(batches[0], other, strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


@pytest.mark.parametrize("labels", ["dict", "list", "array"])
@pytest.mark.parametrize("by_place", [False, True])
def test_the_tutorials_labels(root, labels, by_place):
    names = [f"img_{number}.png" for number in range(COUNT)]
    given = {"dict": dict(enumerate(names)), "list": names, "array": np.array(names)}[labels]
    chosen = np.array([7, 2, 5])
    folders = (f"{root}/images/", f"{root}/masks/")
    if by_place:
        generator = DataGenerator(chosen, given, *folders, dim=SIZE, n_classes=5, shuffle=False, workers=0)
    else:
        generator = DataGenerator(
            chosen, *folders, labels=given, dim=SIZE, n_classes=5, shuffle=False, workers=0
        )
    with generator:
        assert numbers(next(generator)[0]) == [7, 2, 5]
        assert generator.indexes.tolist() == [0, 1, 2]


def test_ids_and_extensions(tmp_path):
    for name in ("a.1.jpg", "b.png", "sub/c.JPG"):
        if name.endswith("png"):
            save(tmp_path / "i" / name, picture(0, *SIZE))
        else:
            write_jpeg(tmp_path / "i" / name, picture(0, *SIZE))
        save((tmp_path / "m" / name).with_suffix(".png"), mask_of(0))
    for ids in (["a.1", "b", "sub/c"], ["a.1.jpg", "b.png", "sub/c.JPG"], ["a.1.jpg", "b.jpg", "sub/c.png"]):
        with DataGenerator(ids, tmp_path / "i", tmp_path / "m", n_classes=5, **options) as generator:
            assert next(generator)[1].shape == (3, *SIZE, 5)


def test_one_class_is_whatever_is_not_zero(tmp_path):
    save(tmp_path / "i" / "a.png", picture(0, *SIZE))
    save(tmp_path / "m" / "a.png", mask_of(0) * 60)
    with DataGenerator(["a"], tmp_path / "i", tmp_path / "m", n_classes=1, **options) as generator:
        y = next(generator)[1]
        np.testing.assert_array_equal(y[0, ..., 0], mask_of(0) != 0)
        assert y.shape == (1, *SIZE, 1)
    one = {"n_classes": 1, "one_hot": False, "ignore": 60, **options}
    with DataGenerator(["a"], tmp_path / "i", tmp_path / "m", **one) as generator:
        want = np.where(mask_of(0) == 1, 60, mask_of(0) != 0)
        np.testing.assert_array_equal(next(generator)[1][0], want)


def test_values_colours_and_what_is_ignored(tmp_path):
    mask = mask_of(0)
    save(tmp_path / "i" / "a.png", picture(0, *SIZE))
    save(tmp_path / "black" / "a.png", np.where(mask == 1, 255, 0).astype(np.uint8))
    save(
        tmp_path / "rgb" / "a.png", np.where((mask == 1)[..., None], [255, 0, 0], [0, 0, 9]).astype(np.uint8)
    )
    folders = (tmp_path / "i", tmp_path / "black")
    with DataGenerator(["a"], *folders, n_classes=2, values={255: 1}, **options) as generator:
        np.testing.assert_array_equal(next(generator)[1][0, ..., 1], mask == 1)
    with DataGenerator(["a"], *folders, n_classes=2, ignore=255, **options) as generator:
        y = next(generator)[1][0]
        np.testing.assert_array_equal(y[..., 0], mask != 1)
        assert not y[..., 1].any()
    colors = {(255, 0, 0): 1, (0, 0, 9): 0}
    with DataGenerator(
        ["a"], tmp_path / "i", tmp_path / "rgb", n_classes=2, colors=colors, one_hot=False, **options
    ) as generator:
        np.testing.assert_array_equal(next(generator)[1][0], mask == 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_with_a_value_beyond_the_classes_is_named(root, ids, workers):
    generator = DataGenerator(
        ids, root / "images", root / "masks", dim=SIZE, n_classes=4, shuffle=False, workers=workers
    )
    with (
        generator,
        pytest.raises(fc.FrameError, match=r"masks/img_\d\.png: .*value 4, but n_classes=4.*n_classes=5"),
    ):
        next(generator)


def test_the_last_batch_may_be_left_out(root, ids):
    settings = {"batch_size": 4, "n_classes": 5, **options}
    with DataGenerator(ids, root / "images", root / "masks", drop_last=True, **settings) as generator:
        assert [len(x) for x, _ in generator] == [4, 4]
    with DataGenerator(ids, root / "images", to_fit=False, drop_last=True, **settings) as generator:
        assert sum(map(len, generator)) == COUNT


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"list_IDs": []}, fc.OptionError, r"list_IDs=\[\]"),
        ({"list_IDs": "img_0"}, fc.OptionError, "list_IDs='img_0'"),
        ({"list_IDs": 3}, fc.OptionError, "list_IDs=3"),
        ({"list_IDs": ["img_0", "img_77"]}, fc.DataError, "image_path=.*1 of 2 ids.*'img_77'.*'img_0.png'"),
        ({"list_IDs": ["sub/img_0"]}, fc.DataError, "image_path=.*sub.*cannot be listed"),
        ({"image_path": "nowhere"}, fc.DataError, "image_path='nowhere'.*cannot be listed"),
        ({"mask_path": None}, fc.OptionError, "mask_path=None.*to_fit=False"),
        ({"mask_path": "empty"}, fc.DataError, "mask_path=.*9 of 9 ids.*no pictures"),
        ({"labels": {"img_0": "a.png"}}, fc.OptionError, "labels= has no file name for the id 'img_1'"),
        ({"dim": (16,)}, fc.OptionError, r"dim=\(16,\)"),
        ({"dim": (16, 0)}, fc.OptionError, r"dim=\(16, 0\)"),
        ({"n_channels": 4}, fc.OptionError, "n_channels=4"),
        ({"n_classes": 0}, fc.OptionError, "n_classes=0"),
        ({"batch_size": 0}, fc.OptionError, "batch_size=0"),
        ({"to_fit": "no"}, fc.OptionError, "to_fit='no'"),
        ({"shuffle": None}, fc.OptionError, "shuffle=None"),
        ({"rescale": "1/255"}, fc.OptionError, "rescale='1/255'"),
        ({"ignore": 256}, fc.OptionError, "ignore"),
        ({"values": {300: 1}}, fc.OptionError, "values"),
    ],
    ids=str,
)
def test_mistakes_are_told(root, ids, tmp_path, changed, error, says):
    arguments = {"list_IDs": ids, "image_path": root / "images", "mask_path": root / "masks", **changed}
    if arguments["mask_path"] == "empty":
        arguments["mask_path"] = tmp_path
    with pytest.raises(error, match=says):
        DataGenerator(arguments.pop("list_IDs"), **{**options, **arguments})


def test_two_files_for_one_id_are_told(tmp_path):
    for name in ("a.png", "a.bmp"):
        save(tmp_path / name, picture(0, *SIZE))
    with pytest.raises(fc.DataError, match=r"'a\.bmp', 'a\.png' could all be 'a'"):
        DataGenerator(["a"], tmp_path, to_fit=False, **options)
    with DataGenerator(["a.png"], tmp_path, to_fit=False, **options) as generator:
        assert len(next(generator)) == 1


CLASSES = "For pictures with classes, use ImageDataGenerator.*; for clips with classes, fastclips.open"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (({"img_0": 1, "img_1": 0},), r"labels\['img_0'\]=1: must be the name of a file"),
        (([1, 0],), "labels= has no file name for the id 'img_0'"),
        (({"img_0": "cat", "img_1": "dog"},), "image_path=None: must be the folder of the images"),
        ((), "image_path=None: must be the folder of the images"),
        ((None,), "image_path=None: must be the folder of the images"),
    ],
)
def test_the_call_of_the_generator_with_classes_is_told_its_replacement(arguments, error):
    """``DataGenerator(partition["train"], labels, **params)``, as in another tutorial."""
    params = {"dim": (32, 32, 32), "batch_size": 64, "n_classes": 6, "n_channels": 1, "shuffle": True}
    with pytest.raises(fc.OptionError, match=f"^{error}.*{CLASSES}"):
        DataGenerator(["img_0", "img_1"], *arguments, **params)


def test_the_replacements_that_the_error_names(root, capsys):
    ids, labels = ["img_2", "img_1"], {"img_1": 0, "img_2": 1}
    table = {"filename": [f"{key}.png" for key in ids], "class": [labels[key] for key in ids]}
    generator = ImageDataGenerator()
    with generator.flow_from_dataframe(
        table, root / "images", class_mode="raw", target_size=SIZE, shuffle=False, workers=0
    ) as it:
        x, y = next(it)
    assert x[:, 0, 0, 0].tolist() == [40, 20]
    assert y.tolist() == [1, 0]
    rows = [{"path": "images", "label": 1}, {"path": "masks", "label": 0}]
    with fc.ClipLoader(fc.open(rows, root=root), fc.Windows(4, step=9), batch_size=2, workers=0) as loader:
        assert next(iter(loader))[1].tolist() == [1, 0]
    assert "Found 2 images" in capsys.readouterr().out


def test_labels_are_given_once(root, ids):
    labels = dict(zip(ids, ids, strict=True))
    with pytest.raises(TypeError, match="multiple values for argument 'labels'"):
        DataGenerator(ids, labels, root / "images", root / "masks", labels=labels)
    with DataGenerator(ids, None, root / "images", root / "masks", **options) as generator:
        assert len(generator) == 1
