"""The warning for masks from which nothing can be learnt."""

import re

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips.data.storage import Storage
from fastclips.serving.frame_check import spread_frames
from fastclips.serving.mask_check import _MOST

SHAPE = (4, 6, 8, 10)  # videos, frames, height, width


def masks(*values, shape=SHAPE):
    return np.random.default_rng(0).choice(np.array(values, np.uint8), shape)


def data(mask, **options):
    image = np.zeros((*mask.shape, 1), np.uint8)
    return fc.open(images={"image": image, "mask": mask}, **options)


def loader(dataset, **options):
    return fc.ClipLoader(
        dataset, fc.Windows(2), **{"batch_size": 2, "workers": 0, "targets": "mask", **options}
    )


@pytest.mark.parametrize(
    ("values", "options", "held", "remedy"),
    [
        ((0, 255), {}, "0 and 255 (ignore)", "if 255 marks objects, open the dataset with values={255: 1}"),
        ((1, 255), {}, "1 and 255 (ignore)", "if 255 marks objects, open the dataset with values={255: 2}"),
        ((255,), {}, "255 (ignore)", "if 255 marks objects, open the dataset with values={255: 1}"),
        ((0, 1), {"ignore": 0}, "0 (ignore) and 1", "if 0 is a class, open the dataset with another ignore="),
        ((0,), {}, "0", "check the mask files"),
        ((7,), {}, "7", "check the mask files"),
        ((0, 3), {"values": {3: 0}}, "0", "check the values that values= give to classes"),
        ((0, 3), {"values": {3: 255}}, "0 and 255 (ignore)", "check the values that values= give to classes"),
    ],
)
@pytest.mark.parametrize("used", [{"targets": "mask"}, {"inputs": ["image", "mask"], "targets": None}])
def test_masks_of_one_value_warn(values, options, held, remedy, used):
    expected = f"'mask': all 24 masks hold nothing but {held} (first: "
    with pytest.warns(UserWarning, match=f"^{re.escape(expected)}.*; {re.escape(remedy)}$") as caught:
        loader(data(masks(*values), **options), **used)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ((0, 1), {}),
        ((0, 1, 255), {}),
        ((0, 255), {"values": {255: 1}}),
        ((0, 255), {"ignore": 254}),
        ((3, 4, 0), {"ignore": 0}),
    ],
)
def test_masks_of_two_values_do_not_warn(values, options):
    loader(data(masks(*values), **options))


def test_masks_that_are_not_served_are_not_looked_at():
    loader(data(masks(0, 255)), targets=None)


def test_the_remedy_ends_the_warning_and_gives_the_objects_weight():
    batch = next(iter(loader(data(masks(0, 255), values={255: 1}), sample_weight="valid")))
    assert set(np.unique(batch[1])) == {0, 1}
    assert batch[2].min() == 1


@pytest.mark.parametrize("place", [(0, 0), (3, 5), (2, 3)])
def test_an_object_in_any_mask_of_a_small_set_is_found(place):
    mask = masks(0)
    mask[place][2, 3] = 1
    loader(data(mask))


def test_empty_masks_before_the_first_object_do_not_warn():
    """Half of the videos hold no object, the others only in their second half."""
    mask = masks(0, shape=(8, 40, 8, 10))
    mask[4:, 20:, 1, 1] = 1
    loader(data(mask))


def test_one_long_video_is_looked_at_throughout():
    mask = masks(0, shape=(1, 1000, 2, 2))
    mask[0, 940:] = 1
    loader(data(mask))
    mask[:] = 0
    with pytest.warns(UserWarning, match=f"'mask': all {_MOST} of 1,000 masks looked at hold nothing but 0 "):
        loader(data(mask))


class Counted(Storage):
    """A storage that notes the masks that are read."""

    def __init__(self, storage):
        self.storage, self.read_masks = storage, []

    def read(self, stream, video, frame):
        if stream == "mask":
            self.read_masks.append((video, frame))
        return self.storage.read(stream, video, frame)

    def where(self, stream, video, frame):
        return self.storage.where(stream, video, frame)


@pytest.mark.parametrize(("values", "most"), [((0, 1), 1), ((0, 255), _MOST)])
def test_few_masks_are_read_and_always_the_same(values, most):
    inner = data(masks(*values, shape=(50, 30, 8, 10)))
    read = []
    for _ in range(2):
        storage = Counted(inner.storage)
        counted = fc.Dataset(storage, inner.index, inner.streams)
        if values == (0, 1):
            loader(counted)
        else:
            with pytest.warns(UserWarning, match="32 of 1,500 masks looked at"):
                loader(counted)
        read.append(storage.read_masks)
    assert read[0] == read[1]
    first, headers, masks_read = read[0][0], read[0][1:9], read[0][9:]
    assert first == (0, 0)  # its size must be that of the first picture
    assert len(set(headers)) == 8
    assert len(set(masks_read)) == len(masks_read) == most


@pytest.mark.parametrize(
    ("videos", "frames"), [(1, 33), (1, 5000), (5, 7), (31, 2), (32, 100), (33, 1), (5000, 300)]
)
def test_the_sample_is_spread(videos, frames):
    dataset = data(np.broadcast_to(np.uint8(0), (videos, frames, 1, 1)))
    places = list(spread_frames(dataset.index, _MOST))
    rows, at = np.array(places).T
    assert len(places) <= _MOST
    assert len(set(places)) == len(places)
    assert len(set(rows)) == min(videos, _MOST)
    assert (rows.min(), at.min() >= 0, at.max() < frames) == (0, True, True)
    if frames >= 100:  # each eighth of the videos' length
        assert set(8 * at // frames) == set(range(8))


def test_masks_that_cannot_be_read_are_passed_over(tmp_path):
    frames = make_frames(tmp_path / "frames", videos=2, frames=3)
    root = make_masks(tmp_path / "masks", frames)
    for path in sorted(root.rglob("*.png"))[:5]:
        path.write_bytes(b"damaged")
    loader(fc.open({"image": frames, "mask": root}), damaged="repeat")
