"""draws_per_clip: rows are those of tickets of one row each, bit for bit, and frames are decoded once."""

import numpy as np
import pytest
from helpers import make_frames
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jpegs import SAMPLINGS, encode, natural
from rendering import Store, compositions, render
from slow_plan import by_row, plan_options

import fastclips as fc
from fastclips.engine.arena import COUNTERS, note_to_damage
from fastclips.errors import FrameError
from fastclips.pixels.recipe import compile_recipe
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.plan import Plan
from fastclips.spec import ticket_dtype

TRANSFORMS = [fc.RandomResizedCrop(24), fc.RandomFlip(), fc.Brightness(0.3)]


# The plan


@pytest.mark.slow
@given(
    plan_options(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans()
)
def test_rows_of_a_clip(given_options, each, batch_size, world, rank, drop_last):
    cut = {"rank": min(rank, world - 1), "world": world, "drop_last": drop_last}
    given_options["choices"] = [fc.Reverse()]
    try:
        single = Plan(**given_options, batch_size=batch_size, **cut)
    except fc.OptionError:
        assume(False)
    plan = Plan(**given_options, batch_size=batch_size * each, draws_per_clip=each, **cut)
    assert (len(plan), plan.rows_per_epoch) == (len(single), single.rows_per_epoch * each)
    assert plan.clips_per_epoch == single.clips_per_epoch * each
    for batch in range(len(plan)):
        rows = by_row(plan.clips(1, batch))
        clips = by_row(single.clips(1, batch))
        assert len(rows) == len(clips) * each
        for number, (position, padding, (video, view, draws, frames)) in enumerate(rows):
            of_clip = clips[number // each]
            assert position == of_clip[0] * each + number % each
            assert (padding, video, view, frames) == (of_clip[1], *of_clip[2][:2], of_clip[2][3])
            own = Draws(given_options["seed"], 1).units(Purpose.RECIPE, position, 1, plan.draws)
            assert draws == own[0].tolist()
    for name, column in single.table(1).items():
        expected = np.repeat(column, each)
        found = plan.table(1)[name]
        assert (found // each if name == "position" else found).tolist() == expected.tolist()
    assert plan.frames(1).tolist() == np.repeat(single.frames(1), each, axis=0).tolist()


def test_fingerprints_differ():
    prints = [
        Plan([9], fc.Windows(3), draws=1, batch_size=4, draws_per_clip=each).fingerprint for each in (1, 2, 4)
    ]
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    ("each", "message"),
    [
        (0, "draws_per_clip=0: must be an integer from 1 to 2147483647"),
        (2.0, "draws_per_clip=2.0: must be an integer from 1 to 2147483647"),
        (
            3,
            (
                "draws_per_clip=3: must divide batch_size=8, since all draws of a clip are in one batch; "
                "give batch_size=9"
            ),
        ),
        (
            16,
            (
                "draws_per_clip=16: must divide batch_size=8, since all draws of a clip are in one batch; "
                "give batch_size=16"
            ),
        ),
    ],
)
def test_what_is_refused(each, message):
    with pytest.raises(fc.OptionError) as error:
        Plan([9], fc.Windows(3), draws=1, batch_size=8, draws_per_clip=each)
    assert str(error.value) == message


# The renderer


def check(transforms, size, sampling, restart, seed, rows=3, labels=None, frames=(0, 1, ~1)):
    random = np.random.default_rng(seed)
    pixels = np.stack([natural(random, *size) for _ in range(2)])
    store = {"image": [encode(frame, sampling, restart) for frame in pixels]}
    if labels is not None:
        store["mask"] = labels
    draws = random.random((rows, compile_recipe(transforms, time_steps=len(frames)).draws))
    given = {"stored": Store(**store), "frames": frames, "dct_scaling": True}
    try:
        alone = [render(transforms, pixels, labels, draws=own.tolist(), **given) for own in draws]
    except FrameError:
        assume(False)
    together = render(transforms, pixels, labels, draws=draws.tolist(), **given)
    for number, row in enumerate(alone):
        for name, array in row.items():
            np.testing.assert_array_equal(together[name][number], array)


sides, seeds = st.integers(16, 100), st.integers(0, 2**32)


@pytest.mark.slow
@given(sides, sides, st.sampled_from([*SAMPLINGS][:-1]), st.sampled_from([0, 1, 10]), seeds, st.data())
@settings(max_examples=100)
def test_any_composition(height, width, sampling, restart, seed, data):
    transforms, _ = data.draw(compositions(height, width))
    check(transforms, (height, width), sampling, restart, seed)


@given(st.sampled_from([(64, 96), (61, 97)]), st.sampled_from([0, 1]), st.integers(2, 5), seeds)
@settings(max_examples=20)
def test_scales_masks_and_steps(size, restart, rows, seed):
    labels = np.random.default_rng(seed).integers(0, 256, (2, *size), np.uint8)
    transforms = [fc.RandomResizedCrop(12, area=(0.1, 1.0)), fc.RandomFlip(), fc.GaussianNoise(9)]
    check(transforms, size, "420", restart, seed, rows, labels)
    check([fc.RandomCrop(8), fc.Brightness(0.5)], size, "420", restart, seed, rows, labels)  # apart
    check([fc.RandomCrop(8), fc.Saturation(0.5)], size, "420", restart, seed, rows)


# The loader


def rows_alone(loader, plain, epoch, batch):
    """Render the rows of a batch one by one."""
    tickets = next(loader.schedule.run(epoch, batch, 1)).tickets
    rows = tickets["draws"].shape[1]
    single = np.zeros(len(tickets) * rows, ticket_dtype(plain.schedule.time_steps, tickets["draws"].shape[2]))
    for name in single.dtype.names:
        column = tickets[name]
        if name in ("draws", "weight"):
            single[name] = column.reshape(single[name].shape)
        else:
            single[name] = np.repeat(column, rows, axis=0)
    return plain._engine.collect(plain._engine.submit(single))


def check_batches(data, clips, transforms, each=2, batch_size=4, streams=("image",), **given):
    settings = {"shuffle": True, "targets": None, "inputs": streams, "batch_size": batch_size} | given
    with fc.ClipLoader(data, clips, transforms, workers=0, **settings) as plain:
        served = {}
        for workers in (0, 1):
            with fc.ClipLoader(
                data, clips, transforms, draws_per_clip=each, workers=workers, **settings
            ) as loader:
                served[workers] = [
                    np.copy(x["image"]) if isinstance(x, dict) else x for x in map(first, loader)
                ]
                for batch, x in enumerate(map(first, loader.epoch(0))):
                    alone = rows_alone(loader, plain, 0, batch)
                    for name in streams:
                        array = x[name] if isinstance(x, dict) else x
                        np.testing.assert_array_equal(array, alone[name])
                damaged = loader.damaged
        assert len(served[0]) == len(served[1])
        for one, other in zip(served[0], served[1], strict=True):
            np.testing.assert_array_equal(one, other)
        notes = [(int(ticket["video"]), note_to_damage(note)[0]) for ticket, note in plain._engine.notes]
        paths = {data.storage.where(streams[at], video, frame) for video, of in notes for at, frame, _ in of}
        assert {path for path, _ in damaged} == paths
    return damaged


def first(batch):
    return batch[0] if isinstance(batch, tuple) else batch


@pytest.mark.parametrize(
    "clips", [fc.RandomWindow(4), fc.Views(4, temporal=2), fc.Windows(4, tail="pad", step=5)]
)
def test_masks_and_samplers(frames, masks, clips):
    data = fc.open({"image": frames, "mask": masks})
    check_batches(data, clips, TRANSFORMS, streams=("image", "mask"))


@pytest.mark.parametrize(
    ("transforms", "options"),
    [
        ([fc.ThreeCrop(32), fc.RandomFlip()], {}),
        ([fc.RandomCrop(32), fc.Normalize((0.5,) * 3, (0.2,) * 3)], {"channels_first": True}),
        ([fc.RandomCrop(32, per="frame"), fc.On("image", fc.Brightness(0.5, per="video"))], {}),
        ([fc.RandomRotation(30, fill="constant"), fc.RandomCrop(32), fc.Blur((0.3, 1.5))], {}),
        ([fc.RandomCrop(32), fc.Apply(lambda clip: clip + np.random.randint(99))], {}),  # noqa: NPY002
        ([fc.RandomFlip(mask_map={1: 2}), fc.Resize((24, 32))], {"fast_dct": True, "interleave": 3}),
    ],
)
def test_recipes(frames, masks, transforms, options):
    data = fc.open({"image": frames, "mask": masks})
    check_batches(data, fc.Windows(4), transforms, each=3, batch_size=6, streams=("image", "mask"), **options)


def test_packs_and_arrays(frames, tmp_path):
    fc.pack(frames, tmp_path / "packed")
    check_batches(fc.open(tmp_path / "packed"), fc.Windows(4), [fc.RandomCrop(32)], each=4)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 48, 64, 3), np.uint8)
    check_batches(fc.open(images=images), fc.Windows(4), TRANSFORMS, each=4)


def test_frames_are_decoded_once(frames):
    data, crop = fc.open(frames), [fc.RandomCrop(40)]
    decoded = {}
    for each in (1, 4):
        options = {"batch_size": 4 * each, "draws_per_clip": each, "workers": 0}
        with fc.ClipLoader(data, fc.Windows(4), crop, **options) as loader:
            list(loader)
            stats = loader.stats()
            decoded[each] = stats.sliced_frames + stats.cropped_frames + stats.whole_frames
            assert stats.frames_served == 72 * each
    assert decoded[4] == decoded[1] == 72


def cut_short(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def spoil(path):
    """Damage the data of a part of a frame: found only where that part is decoded."""
    data = bytearray(path.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 8] = b"\xff\x00" * 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [cut_short, spoil])
def test_damage_is_judged_by_row(tmp_path, damage):
    root = make_frames(tmp_path / "frames")
    for path in sorted(root.rglob("*3.jpg")):
        damage(path)
    options = {"damaged": "repeat", "damaged_limit": 1.0}
    data, clips = fc.open(root), fc.Windows(4, step=2)
    damaged = check_batches(data, clips, [fc.RandomCrop(16)], each=4, batch_size=8, **options)
    assert damaged
    assert {path for path, _ in damaged} <= {str(path) for path in root.rglob("*3.jpg")}
    assert damage is spoil or len(damaged) == 6


def test_a_clip_that_kills_workers_is_lost_in_all_rows(frames):
    with fc.ClipLoader(
        fc.open(frames), fc.Windows(4), [fc.RandomCrop(16)], batch_size=4, draws_per_clip=2, damaged="repeat",
        workers=0,
    ) as loader:  # fmt: skip
        ticket = next(loader.schedule.run(0, 0, 1)).tickets[0]
        row, counters = {"image": np.ones((2, 4, 16, 16, 3), np.uint8)}, np.zeros(len(COUNTERS))
        damage = loader._engine._render.__self__.render_lost(ticket, row, counters, "gone")
    assert [(found.frame, found.why) for found in damage] == [(frame, "gone") for frame in range(4)] * 2
    assert not row["image"].any()


def test_a_sheet_shows_rows(frames):
    data = fc.open(frames)
    with fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(16)], batch_size=4, draws_per_clip=4) as loader:
        assert loader.preview(clips=4).mode == "RGB"


def test_an_error_is_that_of_a_row(tmp_path):
    root = make_frames(tmp_path / "frames")
    path = root / "class_0/video_0/frame_00003.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(100))
    with (
        fc.ClipLoader(
            fc.open(root), fc.Windows(4), [fc.RandomCrop(16)], batch_size=4, draws_per_clip=4, workers=0
        ) as loader,
        pytest.raises(FrameError, match="frame_00003"),
    ):
        list(loader)


def test_labels_weights_and_views_follow(frames):
    data = fc.open(frames)
    flip = fc.RandomFlip(label_map={"class_0": "class_1"})
    options = {"batch_size": 4, "draws_per_clip": 2, "workers": 0}
    with fc.ClipLoader(
        data, fc.Views(4, temporal=3), [flip], sample_weight={"class_0": 3.0}, **options
    ) as loader:
        batches = list(loader)
        table = loader.plan_table(0)
        means = fc.average_views(np.concatenate([x.mean(axis=(1, 2, 3)) for x, _, _ in batches]), loader)
    y, weight = (np.concatenate([batch[part] for batch in batches]) for part in (1, 2))
    assert y.tolist() == table["label"].tolist()
    assert weight.tolist() == np.where(y == 0, 3.0, 1.0).tolist()
    pairs = y.reshape(-1, 2)
    assert (pairs[:, 0] != pairs[:, 1]).any()
    assert (np.diff(table["start"].reshape(-1, 2)) == 0).all()
    assert means.shape == (6, 3)
    with fc.ClipLoader(data, fc.Views(4, temporal=3), batch_size=4, workers=0) as plain:
        whole = fc.average_views(np.concatenate([x.mean(axis=(1, 2, 3)) for x, _ in plain]), plain)
    np.testing.assert_allclose(means, whole, atol=1e-3)  # mirroring changes no mean


def test_weights_of_masks_are_those_of_rows(frames, masks):
    data = fc.open({"image": frames, "mask": masks})
    options = {"targets": "mask", "sample_weight": {1: 5.0}, "batch_size": 4}
    with fc.ClipLoader(
        data, fc.Windows(4), [fc.RandomCrop(32)], draws_per_clip=2, rank=1, world=4, workers=0, **options
    ) as loader:
        for x, y, weight in loader:
            assert x.shape[0] == y.shape[0] == weight.shape[0]
            table = loader.plan_table(0)
        padding = table["padding"]
        assert padding.reshape(-1, 2).any(axis=1).tolist() == padding.reshape(-1, 2).all(axis=1).tolist()
    last = weight[padding[-len(weight) :]]
    assert not last.any()


def test_an_epoch_is_resumed(frames):
    def make(**options):
        settings = {"batch_size": 4, "draws_per_clip": 2, "shuffle": True, "interleave": 4, "workers": 0}
        return fc.ClipLoader(fc.open(frames), fc.Windows(2), TRANSFORMS, **(settings | options))

    with make() as loader:
        whole, state = list(loader), loader.state_dict(0, 3)
    with make(workers=1) as loader:
        loader.load_state_dict(state)
        rest = list(loader)
    assert len(rest) == len(whole) - 3
    for (x, y), (again, labels) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)
    with (
        make(draws_per_clip=1) as loader,
        pytest.raises(fc.OptionError, match=r"order\.draws_per_clip was given"),
    ):
        loader.load_state_dict(state)
