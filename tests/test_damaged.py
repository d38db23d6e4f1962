"""What becomes of a damaged frame: real files are damaged after they were opened, against plain loops."""

import logging
import os
import signal
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from helpers import decode, make_frames, make_masks, neighbour, picture, wait_until, write_jpeg
from PIL import Image
from storages import DiesOnce

import fastclips as fc

IGNORE = 255
CUT = np.s_[8:40, 12:52]
SETTINGS = {
    "clips": fc.Windows(4, step=2),
    "transforms": [fc.CenterCrop((32, 40))],
    "targets": "mask",
    "batch_size": 4,
    "shuffle": True,
    "damaged": "repeat",
    "damaged_limit": 1.0,
}


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def harm(frames, masks):
    """Damage files in every way; return the pictures and the masks that are lost, by name."""
    videos = [f"class_{video % 2}/video_{video}" for video in range(6)]
    pictures = {videos[0]: (3, 4), videos[1]: (1, 12), videos[2]: (5, 6, 7, 8), videos[3]: (12,)}
    labels = {videos[3]: (6, 12), videos[4]: (2,)}
    lost = [frames / video / f"frame_{n:05d}.jpg" for video, numbers in pictures.items() for n in numbers]
    gone = [masks / video / f"frame_{n:05d}.png" for video, numbers in labels.items() for n in numbers]
    halve(lost[0])
    lost[1].write_bytes(b"")
    lost[2].unlink()
    lost[3].write_text("This is no picture, but an answer of a server that had none.")
    for path in lost[4:8]:
        path.unlink()
    lost[8].chmod(0o600)
    lost[8].write_bytes(lost[8].read_bytes()[:20])  # not even a whole header
    halve(gone[0])
    gone[1].write_bytes(gone[1].read_bytes()[:7])
    gone[2].unlink()
    return set(map(str, lost)), set(map(str, gone))


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """A dataset that was whole when it was opened; its pictures and masks that are not."""
    root = tmp_path_factory.mktemp("harmed")
    frames = make_frames(root / "frames")
    masks = make_masks(root / "masks", frames)
    dataset = fc.open({"image": frames, "mask": masks})
    return dataset, *harm(frames, masks)


def by_hand(paths, lost, gone):
    """A clip of files: pictures, masks, and which of them were damaged."""
    beside = [path.replace("frames/", "masks/").replace(".jpg", ".png") for path in paths]
    intact = [step for step, path in enumerate(paths) if path not in lost]
    x = np.zeros((len(paths), 32, 40, 3), np.uint8)
    y = np.full((len(paths), 32, 40), IGNORE, np.uint8)
    for step, mask in enumerate(beside):
        if intact:
            x[step] = decode(paths[neighbour(step, intact)])[CUT]
        if step in intact and mask not in gone:
            y[step] = np.asarray(Image.open(mask))[CUT]
    return x, y, {*lost.intersection(paths), *gone.intersection(beside)}


@pytest.fixture(scope="module")
def expected(harmed):
    """Two epochs, and what was found."""
    dataset, lost, gone = harmed
    with fc.ClipLoader(dataset, **SETTINGS, workers=0) as loader:
        tables = [loader.plan_table(epoch)["paths"].tolist() for epoch in range(2)]
    clips = [by_hand(paths, lost, gone) for paths in chain(*tables)]
    return np.stack([x for x, _, _ in clips]), np.stack([y for _, y, _ in clips]), clips


def served(batches):
    x, y = zip(*((x.copy(), y.copy()) for x, y in batches), strict=True)
    return np.concatenate(x), np.concatenate(y)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_damaged_frames_are_replaced_and_listed(harmed, expected, workers, caplog):
    dataset, lost, gone = harmed
    with fc.ClipLoader(dataset, **SETTINGS, workers=workers) as loader:
        assert loader.damaged == []
        x, y = served(chain(loader, loader))
        listed, stats = loader.damaged, loader.stats()
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])
    assert any(not clip.any() for clip in x), "no clip has lost all of its pictures"
    assert len(listed) == len(dict(listed)) == stats.damaged_frames == 12
    assert dict(listed).keys() == lost | gone
    assert "replaced" in str(stats)
    found = [record for record in caplog.records if record.name == "fastclips.serving.batches"]
    assert [record.levelno for record in found] == [logging.WARNING] * 12
    assert [record.args[:2] for record in found] == listed


@pytest.mark.slow
def test_what_is_listed_is_the_same_for_any_number_of_workers(harmed):
    """In the same order, with the same words."""
    lists = []
    for workers in (0, 1, 2):
        with fc.ClipLoader(harmed[0], **SETTINGS, workers=workers) as loader:
            served(loader)
            lists.append(loader.damaged)
    assert lists[0] == lists[1] == lists[2]
    assert not any("video_" in why for _, why in lists[0]), "a path is told twice"
    reasons = " | ".join(why for _, why in lists[0])
    for word in (
        "No such file or directory",
        "is empty (0 bytes)",
        "truncated or damaged JPEG of",
        "neither JPEG, PNG, BMP, TIFF nor WebP",
        "header of a JPEG of 20 bytes",
        "unusual PNG of",
    ):
        assert word in reasons


@pytest.mark.slow
def test_the_list_follows_the_plan(harmed, expected):
    """After each batch it holds what that batch and those before it met, in this order."""
    clips, seen = expected[2], set()
    with fc.ClipLoader(harmed[0], **SETTINGS, workers=2) as loader:
        for number, _ in enumerate(loader):
            before = dict(loader.damaged[: len(seen)]).keys()
            assert before == seen
            seen |= set().union(*(found for _, _, found in clips[:30][4 * number : 4 * number + 4]))
            assert dict(loader.damaged).keys() == seen


@pytest.mark.slow
def test_any_batch_at_any_time(harmed, expected):
    """Out of turn, over again, with an iteration begun anew: the same rows, and nothing listed twice."""
    with fc.ClipLoader(harmed[0], **SETTINGS, workers=2) as loader:
        for number, (x, _) in enumerate(loader):
            np.testing.assert_array_equal(x, expected[0][4 * number :][: len(x)])
            out, _ = loader.batch(0, len(loader) - 1)
            np.testing.assert_array_equal(out, expected[0][4 * len(loader) - 4 :][: len(out)])
            if number == 3:
                break
        x, y = served(loader.epoch(0))
        np.testing.assert_array_equal(x, expected[0][: len(x)])
        np.testing.assert_array_equal(y, expected[1][: len(y)])
        assert len(loader.damaged) == len(dict(loader.damaged)) == 12


@pytest.mark.slow
def test_killed_workers_change_nothing(harmed, expected):
    with fc.ClipLoader(harmed[0], **SETTINGS, workers=2) as loader:
        parts = []
        for number, (x, y) in enumerate(chain(loader, loader)):
            parts.append((x.copy(), y.copy()))
            if number % 5 == 1:
                victim = loader.pids[-1]
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda victim=victim: victim not in loader.pids)  # replaced
        x, y = served(parts)
        assert len(loader.damaged) == 12
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


@pytest.mark.slow
def test_a_worker_that_dies_over_damage_changes_nothing(harmed, expected, tmp_path):
    """Its clip is done again, and what it had found is found again."""
    dataset = replace(harmed[0], storage=DiesOnce(harmed[0].storage, str(tmp_path / "died")))
    with fc.ClipLoader(dataset, **SETTINGS, workers=1) as loader:
        first = loader.pids[1:]
        x, y = served(chain(loader, loader))
        assert (tmp_path / "died").exists()
        assert first != loader.pids[1:]
        assert len(loader.damaged) == 12
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


@pytest.mark.slow
def test_ranks(harmed):
    """Each lists what it has met; together they serve the epoch."""
    listed, clips = set(), []
    for rank in range(2):
        options = {**SETTINGS, "rank": rank, "world": 2, "drop_last": True, "batch_size": 3}
        with fc.ClipLoader(harmed[0], **options, workers=rank) as loader:
            x, y = served(loader)
            table = loader.plan_table(0)["paths"].tolist()
            by = [by_hand(paths, *harmed[1:]) for paths in table]
            np.testing.assert_array_equal(x, [clip[0] for clip in by])
            np.testing.assert_array_equal(y, [clip[1] for clip in by])
            assert dict(loader.damaged).keys() == set().union(*(found for _, _, found in by))
            listed |= dict(loader.damaged).keys()
            clips += table
    assert len(clips) == len({tuple(clip) for clip in clips}) == 30
    assert listed == harmed[1] | harmed[2]


def test_plan_labels_and_valid_stay(harmed):
    options = {
        **SETTINGS,
        "clips": fc.Windows(5, tail="pad"),
        "inputs": ("image", "valid"),
        "targets": "label",
        "batch_size": 18,
    }
    with fc.ClipLoader(harmed[0], **options, workers=0) as loader:
        (inputs, labels), table = next(iter(loader)), loader.plan_table(0)
        assert loader.damaged
        np.testing.assert_array_equal(labels, table["label"])
        np.testing.assert_array_equal(inputs["valid"], table["frames"] >= 0)


def test_weights_of_lost_pixels_are_zero(harmed, expected):
    options = {**SETTINGS, "sample_weight": {3: 2.0}}
    with fc.ClipLoader(harmed[0], **options, workers=0) as loader:
        for number, (_, y, weight) in enumerate(loader):
            np.testing.assert_array_equal(y, expected[1][4 * number :][: len(y)])
            np.testing.assert_array_equal(weight, np.where(y == IGNORE, 0, np.where(y == 3, 2, 1)))


@pytest.mark.slow
def test_by_default_damage_is_an_error(harmed):
    for workers in (0, 1):
        options = {**SETTINGS, "damaged": "error", "damaged_limit": None}
        with pytest.warns(UserWarning, match=r"frames looked at cannot be read.*damaged='repeat'"):
            loader = fc.ClipLoader(harmed[0], **options, workers=workers)
        with loader:
            with pytest.raises(fc.FrameError, match=r"frame_000\d\d\.(jpg|png)"):
                list(loader)
            assert loader.damaged == []
            assert loader.stats().damaged_frames == 0
            assert "replaced" not in str(loader.stats())


@pytest.mark.parametrize("value", ["raise", None, True, "skip"])
def test_what_the_knob_takes(frames, value):
    with pytest.raises(fc.OptionError, match=r"damaged=.*must be one of 'error', 'repeat'"):
        fc.ClipLoader(fc.open(frames), fc.Windows(4), batch_size=4, damaged=value)


def test_all_is_lost(tmp_path):
    """Zeros, or what a function makes of nothing: none is called; each file is listed."""
    root = make_frames(tmp_path / "frames", videos=2)
    dataset = fc.open(root)

    def fail(clip):
        assert clip.any()
        return clip + 1.5

    transforms = [fc.CenterCrop(32), fc.Apply(fail)]
    for workers in (0, 2):
        with fc.ClipLoader(
            dataset, fc.Windows(6), transforms, batch_size=4, workers=workers, damaged="repeat"
        ) as loader:
            hidden = [path.rename(path.with_suffix(".hidden")) for path in root.glob("*/*/*.jpg")]
            ((x, _),) = loader
            assert (x.shape, x.dtype) == ((4, 6, 32, 32, 3), "float64")
            assert not x.any()
            assert len(loader.damaged) == 24
            assert {why for _, why in loader.damaged} == {"No such file or directory"}
            for path in hidden:
                path.rename(path.with_suffix(".jpg"))


def test_what_is_no_damage_is_an_error_still(tmp_path):
    """Sizes that differ, what a mask must not hold, a function that fails: also where it is not the first."""

    def loader(dataset, *transforms, workers=0, **options):
        settings = {"batch_size": 1, "workers": workers, "damaged": "repeat", **options}
        return fc.ClipLoader(dataset, fc.Windows(4), transforms, **settings)

    frames = make_frames(tmp_path / "frames", videos=1, frames=4)
    write_jpeg(frames / "class_0/video_0/frame_00002.jpg", picture(3, 60, 80))
    with loader(fc.open(frames)) as mixed, pytest.raises(fc.FrameError, match=r"00002.jpg.*mixed sizes"):
        list(mixed)

    masks = make_masks(tmp_path / "masks", frames)  # 48x64 all
    pairs = fc.open({"image": frames, "mask": masks})
    for workers in (0, 1):
        with (
            loader(pairs, fc.CenterCrop(32), targets="mask", workers=workers) as sizes,
            pytest.raises(fc.FrameError, match=r"00002.png.*48x64 while its image is 60x80"),
        ):
            list(sizes)

    write_jpeg(frames / "class_0/video_0/frame_00002.jpg", picture(3))
    colours = Image.fromarray(picture(4))
    colours.save(masks / "class_0/video_0/frame_00003.png")
    with pytest.warns(
        UserWarning, match=r"00003.png is of mode RGB, while others are .*a single channel.* ignored"
    ):
        channels = loader(pairs, fc.CenterCrop(32), targets="mask")
    with channels:
        ((_, y),) = channels
        assert (y[0] == 255).all(axis=(1, 2)).tolist() == [False, False, True, False]
    with pytest.warns(UserWarning, match=r"00003.png .*will stop at it, or ignore it with damaged='repeat'"):
        channels = loader(pairs, fc.CenterCrop(32), targets="mask", damaged="error")
    with channels, pytest.raises(fc.FrameError, match=r"00003.png.*a single channel"):
        list(channels)

    def fail(clip):
        if not (clip == clip[:1]).all():  # not the try-out, which shows one frame
            raise ArithmeticError("not mine")
        return clip

    with (
        loader(fc.open(frames), fc.CenterCrop(32), fc.Apply(fail)) as own,
        pytest.raises(fc.FrameError, match="not mine"),
    ):
        list(own)


def test_what_an_error_cuts_short_is_not_listed(tmp_path):
    """A batch that is not served tells nothing; the same for any number of workers."""
    frames = make_frames(tmp_path / "frames", videos=1, frames=8)
    folder = frames / "class_0/video_0"
    dataset = fc.open(frames)
    (folder / "frame_00001.jpg").unlink()
    write_jpeg(folder / "frame_00008.jpg", picture(3, 60, 80))
    for workers in (0, 2):
        with fc.ClipLoader(dataset, fc.Windows(4), batch_size=2, workers=workers, damaged="repeat") as loader:
            with pytest.raises(fc.FrameError, match="00008"):
                next(iter(loader))
            assert loader.damaged == []


# What is looked at before anything begins


@pytest.mark.parametrize("kept", [20, 1000], ids=["no header", "half a picture"])
@pytest.mark.parametrize(
    "transforms",
    [[], [fc.CenterCrop(32)], [fc.CenterCrop(32), fc.Apply(lambda clip: clip / 2)]],
    ids=["any size", "fixed size", "function"],
)
def test_the_first_frames_may_be_damaged(tmp_path, kept, transforms):
    """The size is that of the first intact one; so is what functions are tried on."""
    frames = make_frames(tmp_path / "frames", videos=4, frames=6)
    dataset = fc.open(frames)
    first = frames / "class_0/video_0/frame_00001.jpg"
    first.write_bytes(first.read_bytes()[:kept])
    for path in first.parent.glob("*[2-6].jpg"):
        path.unlink()
    (frames / "class_0/video_2/frame_00001.jpg").write_bytes(b"")
    options = {"clips": fc.Windows(6), "transforms": transforms, "batch_size": 4, "workers": 0}
    if kept == 20 or len(transforms) != 1:  # else the header of one frame is all that is looked at
        with pytest.raises(fc.FrameError, match=r"frame_00001.jpg"):
            fc.ClipLoader(dataset, **options)
    with fc.ClipLoader(dataset, **options, damaged="repeat") as loader:
        ((x, _),) = loader
        assert [bool(clip.any()) for clip in x] == [False, True, True, True]
        assert len(loader.damaged) == 7


def test_looking_has_an_end(tmp_path, monkeypatch):
    frames = make_frames(tmp_path / "frames", videos=1, frames=4)
    dataset = fc.open(frames)
    for number in (1, 2, 3):
        (frames / f"class_0/video_0/frame_0000{number}.jpg").unlink()
    options = {"clips": fc.Windows(4), "batch_size": 4, "damaged": "repeat", "workers": 0}
    monkeypatch.setattr(fc.serving.layout, "_MOST_DAMAGED", 3)
    with fc.ClipLoader(dataset, **options) as loader:
        ((x, _),) = loader
        np.testing.assert_array_equal(x, np.broadcast_to(x[0, 3], x.shape))
    monkeypatch.setattr(fc.serving.layout, "_MOST_DAMAGED", 2)
    with pytest.raises(fc.FrameError, match=r"frame_00001.jpg.*No such file"):
        fc.ClipLoader(dataset, **options)


def test_nothing_to_look_at(tmp_path):
    frames = make_frames(tmp_path / "frames", videos=2, frames=4)
    dataset = fc.open(frames)
    for path in frames.glob("*/*/*.jpg"):
        path.unlink()
    with pytest.raises(fc.FrameError, match=r"video_0/frame_00001.jpg.*No such file"):
        fc.ClipLoader(dataset, fc.Windows(4), batch_size=4, damaged="repeat")


def test_what_is_no_damage_is_not_passed_over(tmp_path):
    masks = make_frames(tmp_path / "masks", videos=1, frames=3)
    dataset = fc.open({"mask": masks}, labels=None)
    with pytest.raises(fc.FrameError, match=r"frame_0000\d.jpg: a JPEG, which changes"):
        fc.ClipLoader(dataset, fc.Windows(3), batch_size=1, inputs="mask", workers=0, damaged="repeat")


def test_more_than_a_note_holds(tmp_path, caplog):
    """The plan goes on; what has no place in the note is counted in the log."""
    frames = make_frames(tmp_path / "frames", videos=1, frames=200, height=16, width=16)
    dataset = fc.open(frames)
    for workers in (0, 1):
        caplog.clear()
        options = {"batch_size": 1, "workers": workers, "damaged": "repeat", "damaged_limit": 1.0}
        with fc.ClipLoader(dataset, fc.Windows(200), **options) as loader:
            if not workers:
                for path in frames.glob("*/*/*.jpg"):
                    path.unlink()
                os.link(make_one(tmp_path), frames / "class_0/video_0/frame_00200.jpg")
            ((x, _),) = loader
            assert (x == x[0, -1]).all()
            assert x.any()
            listed = loader.damaged
        assert 100 < len(listed) < 199
        assert len(caplog.messages) == len(listed)
        assert caplog.messages[0].endswith(f"{199 - len(listed)} more of its clip are not listed")


def make_one(root):
    path = root / "one.jpg"
    write_jpeg(path, picture(3, 16, 16))
    return path


@pytest.mark.slow
def test_keras_sees_no_difference(harmed, expected):
    pytest.importorskip("keras")
    from fastclips.adapters.keras import ClipSequence  # noqa: PLC0415 - needs keras

    with fc.ClipLoader(harmed[0], **SETTINGS, workers=1) as loader:
        sequence = ClipSequence(loader)
        x, y = served(sequence[index] for index in range(len(sequence)))
        assert len(loader.damaged) == 12
    np.testing.assert_array_equal(x, expected[0][: len(x)])
    np.testing.assert_array_equal(y, expected[1][: len(y)])
