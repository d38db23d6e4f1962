"""One contract, every engine: inline and worker processes serve equal bytes, whatever is done to them.

Bytes are compared with those of an untouched inline loader. Not compared: timings, and how far ahead an
engine has read.
"""

import gc
import hashlib
import itertools
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from helpers import alive, decode, make_frames, make_loader, wait_until, write_jpeg

import fastclips as fc


def digest(batch):
    x, *rest = batch if isinstance(batch, tuple) else (batch,)
    parts = [part for _, part in sorted(x.items())] if isinstance(x, dict) else [x]
    return [hashlib.sha256(np.ascontiguousarray(part)).hexdigest() for part in (*parts, *rest)]


@pytest.fixture(scope="module")
def expected(frames):
    """Digests of three shuffled epochs."""
    with make_loader(frames, shuffle=True) as loader:
        return [[digest(batch) for batch in loader.epoch(epoch)] for epoch in range(3)]


@pytest.fixture(params=[0, 1, 3], ids=["inline", "one worker", "three workers"])
def loader(request, frames):
    with make_loader(frames, request.param, shuffle=True) as loader:
        yield loader


@pytest.mark.slow
def test_epochs_follow_each_other(loader, expected):
    assert [[digest(batch) for batch in loader] for _ in range(3)] == expected
    assert len({tuple(map(tuple, epoch)) for epoch in expected}) == 3


@pytest.mark.slow
def test_any_batch_at_any_time(loader, expected):
    """Random access neither moves the iteration nor is moved by it."""
    served = []
    for index, batch in enumerate(loader):
        served.append(digest(batch))
        assert digest(loader.batch(2, 4 - index)) == expected[2][4 - index]
        assert digest(loader.batch(0, index)) == expected[0][index]
    assert served == expected[0]


@pytest.mark.slow
def test_break_and_begin_again(loader, expected):
    for _ in itertools.islice(loader, 2):
        pass
    assert [digest(batch) for batch in loader] == expected[1]
    assert [digest(batch) for batch in loader.epoch(0, start=3)] == expected[0][3:]


@pytest.mark.slow
def test_a_later_iteration_ends_an_earlier_one(loader, expected):
    first = iter(loader)
    next(first)
    assert digest(next(loader.epoch(1))) == expected[1][0]
    with pytest.raises(fc.EngineError, match="a later iteration"):
        next(first)


@pytest.mark.slow
def test_keep_every_batch(loader, expected):
    """More batches than the arena has slots, all kept, all still right."""
    kept = list(itertools.chain.from_iterable(map(loader.epoch, (0, 1, 2, 0, 1, 2))))
    assert [digest(batch) for batch in kept] == (expected[0] + expected[1] + expected[2]) * 2


@pytest.mark.slow
def test_batches_outlive_the_loader(frames, loader):
    kept = [x[1:, ::2].transpose(0, 2, 1, 3, 4) for x, _ in loader]
    copies = [array.copy() for array in kept]
    loader.close()
    del loader
    gc.collect()
    with make_loader(
        frames, 2, shuffle=True, seed=9
    ) as other:  # whose memory would be the same, were it freed
        list(other)
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_resume_anywhere(loader, frames, expected, stop):
    for _ in itertools.islice(loader.epoch(1), stop):
        pass
    state = json.loads(json.dumps(loader.state_dict()))
    with make_loader(frames, 2, shuffle=True) as other:
        other.load_state_dict(state)
        assert other.state_dict() == state
        rest = [digest(batch) for batch in other]
        assert rest == (expected[1][stop:] if stop < 5 else expected[2])
        assert [digest(batch) for batch in other] == (expected[2] if stop < 5 else rest_of(frames, 3))


def rest_of(frames, epoch):
    with make_loader(frames, shuffle=True) as loader:
        return [digest(batch) for batch in loader.epoch(epoch)]


def test_a_state_of_another_plan_is_refused(frames, loader):
    with (
        make_loader(frames, shuffle=True, seed=1) as other,
        pytest.raises(fc.OptionError, match="another plan"),
    ):
        loader.load_state_dict(other.state_dict())
    with pytest.raises(fc.OptionError, match="must be the state of a loader"):
        loader.load_state_dict({"epoch": 1})
    with pytest.raises(fc.OptionError, match="batch=17"):
        loader.load_state_dict({**loader.state_dict(), "batch": 17})


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_repeat_goes_on(frames, expected, workers):
    with make_loader(frames, workers, shuffle=True, repeat=True) as loader:
        served = [digest(batch) for batch in itertools.islice(loader, 12)]
    assert served == (expected[0] + expected[1] + expected[2])[:12]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_share_an_epoch(frames, workers):
    """Three ranks: equal batches, each clip once, the padding marked and weightless."""
    seen, padded = [], 0
    for rank in range(3):
        with make_loader(
            frames, workers, clips=fc.Windows(4, step=3), batch_size=3, rank=rank, world=3, shuffle=True
        ) as loader:
            batches = list(loader)
            table = loader.plan_table(0)
        assert [len(x) for x, _, _ in batches] == [3, 3]
        weights = np.concatenate([weight for _, _, weight in batches])
        np.testing.assert_array_equal(weights == 0, table["padding"])
        seen += list(zip(table["video"][weights > 0], table["start"][weights > 0], strict=True))
        padded += int((weights == 0).sum())
    assert padded == 0
    assert len(seen) == len(set(seen)) == 18


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_padding_has_no_weight(frames, workers):
    weights = []
    for rank in range(4):
        with make_loader(frames, workers, batch_size=4, rank=rank, world=4) as loader:
            weights += [weight for _, _, weight in loader]
    assert [weight.tolist() for weight in weights] == [[1] * 4, [1]] * 2 + [[1] * 4, [0]] * 2


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_structure(frames, masks, workers):
    dataset = fc.open({"image": frames, "mask": masks})
    options = {"transforms": [fc.RandomCrop(32), fc.RandomFlip()], "batch_size": 4, "workers": workers}
    with fc.ClipLoader(dataset, fc.Windows(4), targets="mask", **options) as loader:
        x, y = next(iter(loader))
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((4, 4, 32, 32, 3), "uint8", (4, 4, 32, 32), "uint8")
    with fc.ClipLoader(
        dataset, fc.Windows(4), inputs=["image", "mask"], targets=["label", "mask"], **options
    ) as loader:
        both, targets = next(iter(loader))
    np.testing.assert_array_equal(both["image"], x)
    np.testing.assert_array_equal(both["mask"], y)
    np.testing.assert_array_equal(targets["mask"], y)
    assert targets["label"].tolist() == [0, 0, 0, 0]
    with fc.ClipLoader(dataset, fc.Windows(4), targets=None, **options) as loader:
        np.testing.assert_array_equal(next(iter(loader)), x)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_image_and_mask_are_cut_alike(frames, masks, workers):
    """The mask's indices say where each pixel came from: they rise by one per column, or fall if flipped."""
    dataset = fc.open({"image": frames, "mask": masks})
    with fc.ClipLoader(
        dataset,
        fc.Windows(4),
        [fc.RandomCrop(32), fc.RandomFlip()],
        targets="mask",
        batch_size=18,
        workers=workers,
        seed=3,
    ) as loader:
        x, y = next(iter(loader))
        table = loader.plan_table(0)
    files = sorted(sorted(folder.iterdir()) for folder in frames.glob("*/*"))
    flips = set()
    for row, (video, start) in enumerate(zip(table["video"], table["start"], strict=True)):
        steps = np.diff(y[row].astype(int), axis=-1) % 21
        assert len(set(steps.ravel().tolist())) == 1, "all frames of a clip are flipped, or none"
        flip = steps.flat[0] == 20
        flips.add(flip)
        for step in range(4):
            number = 12 * video + start + step
            corner = y[row, step, :, ::-1][0, 0] if flip else y[row, step, 0, 0]
            whole = decode(files[video][start + step])
            places = [
                (top, left)
                for top, left in np.ndindex(17, 33)
                if (top + left + number) % 21 == corner
                and np.array_equal(
                    whole[top : top + 32, left : left + 32], x[row, step, :, ::-1] if flip else x[row, step]
                )
            ]
            assert len(places) == 1
    assert flips == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("channels_first", [False, True])
def test_normalize(frames, workers, channels_first):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    with make_loader(frames, workers) as loader:
        plain = next(iter(loader))[0].copy()
    for dtype in ("float32", "float16"):
        with make_loader(
            frames,
            workers,
            transforms=[fc.RandomCrop(32), fc.RandomFlip(), fc.Normalize(mean, std, dtype)],
            channels_first=channels_first,
        ) as loader:
            x, _ = next(iter(loader))
        expected = ((plain / 255 - mean) / std).astype(dtype)
        np.testing.assert_array_equal(x, np.moveaxis(expected, -1, 2) if channels_first else expected)


@pytest.mark.slow
def test_the_budget_is_a_ceiling(frames):
    for memory in ("300KiB", "1MiB", "1GiB"):
        with make_loader(frames, 1, memory=memory) as loader:
            engine = loader._engine
            assert engine.nbytes <= {"300KiB": 300, "1MiB": 1024, "1GiB": 2**20}[memory] * 1024
            assert engine.slots >= 3
            assert [len(x) for x, _ in loader] == [4, 4, 4, 4, 2]


def test_too_small_a_budget_states_the_least(frames):
    with pytest.raises(
        fc.OptionError, match=r"memory=100000: must be at least \d+ bytes, the room of 3 batches"
    ):
        make_loader(frames, 1, memory=100_000)
    with pytest.raises(fc.OptionError, match="memory='1 lot': must be a number of bytes"):
        make_loader(frames, 1, memory="1 lot")


@pytest.mark.slow
def test_only_as_many_slots_as_free_memory_are_leased(frames):
    """Past slots - 2, batches are copies, and their slots go straight back."""
    with make_loader(frames, 1, memory="300KiB") as loader:
        kept = [x for x, _ in itertools.chain(loader, loader)]
        arena = loader._engine._arena
        start = arena.slot(0).ctypes.data
        inside = [start <= x.ctypes.data < start + arena.nbytes for x in kept]
    assert inside == [True] * (arena.slots - 2) + [False] * (len(kept) - arena.slots + 2)


@pytest.mark.slow
def test_arrays_are_aligned(frames, masks):
    for workers in (0, 2):
        with fc.ClipLoader(
            fc.open({"image": frames, "mask": masks}),
            fc.Windows(3),
            [fc.RandomCrop(31)],
            batch_size=5,
            targets="mask",
            workers=workers,
        ) as loader:
            for x, y in loader:
                assert x.ctypes.data % 64 == y.ctypes.data % 64 == 0


@pytest.mark.slow
def test_two_loaders_side_by_side(frames, expected):
    with make_loader(frames, 2, shuffle=True) as a, make_loader(frames, 1, shuffle=True) as b:
        pairs = [(digest(x), digest(y)) for x, y in zip(a, b, strict=True)]
    assert pairs == [(digest, digest) for digest in expected[0]]


def test_inline_loaders_in_threads(tmp_path):
    """Frames large enough for every trick of the kernels, in four threads at once."""
    root = make_frames(tmp_path, videos=4, height=260, width=340)
    options = {"transforms": [fc.RandomCrop(256), fc.RandomFlip()], "batch_size": 2}
    with make_loader(root, **options) as loader:
        expected = [x for x, _ in loader]
    loaders = [make_loader(root, **options) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for served in threads.map(lambda loader: [x for x, _ in loader], loaders):
            for array, wanted in zip(served, expected, strict=True):
                np.testing.assert_array_equal(array, wanted)


@pytest.mark.slow
def test_close_ends_everything(frames):
    loader = make_loader(frames, 2)
    iterator = iter(loader)
    next(iterator)
    wait_until(lambda: len(loader.pids) == 3)
    pids = loader.pids
    loader.close()
    loader.close()
    assert not any(map(alive, pids))
    with pytest.raises(fc.ClosedError, match="the loader was closed"):
        next(iterator)
    with pytest.raises(fc.ClosedError):
        loader.batch(0, 0)


@pytest.mark.slow
def test_garbage_collection_closes(frames):
    loader = make_loader(frames, 2)
    next(iter(loader))
    pids = loader.pids
    del loader
    gc.collect()
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.slow
def test_stats_add_up(frames):
    with make_loader(frames, 2) as loader:
        assert loader.stats().verdict == "no batch has been served yet."
        list(loader)
        stats = loader.stats()
    assert stats.frames_served == 72
    assert stats.frames >= 72
    assert stats.bytes_read > 72 * 1000
    assert min(stats.read_s, stats.decode_s, stats.kernel_s, stats.seconds, stats.start_s) > 0
    assert stats.start_s <= stats.waited_s <= stats.seconds
    assert stats.resident_bytes > 50 * 2**20
    assert str(stats).endswith(stats.verdict)


def test_the_dataset_travels(frames):
    dataset = pickle.loads(pickle.dumps(fc.open(frames)))
    with fc.ClipLoader(dataset, fc.Windows(4), batch_size=4, workers=0) as loader:
        assert next(iter(loader))[0].shape == (4, 4, 48, 64, 3)


# Bad input: raised in the caller, naming the file or value, and the loader can still be closed.


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "00007.jpg"),
        (lambda path: path.write_bytes(b"hello, world"), "00007.jpg"),
        (lambda path: path.write_bytes(b""), "00007.jpg"),
        (lambda path: path.unlink(), "00007.jpg"),
        (lambda path: write_jpeg(path, np.zeros((20, 20, 3), np.uint8)), r"size=\(32, 32\): must be"),
    ],
    ids=["cut short", "no JPEG", "empty", "gone", "too small"],
)
def test_a_bad_frame_raises_with_its_path(tmp_path, workers, damage, said):
    root = make_frames(tmp_path, videos=2)
    bad = root / "class_0" / "video_0" / "frame_00007.jpg"
    loader = make_loader(root, workers)
    damage(bad)
    with loader:
        iterator = iter(loader)
        with pytest.raises(fc.FrameError, match=said) as caught:
            list(iterator)
        assert str(bad) in str(caught.value)
        assert len(list(loader.epoch(0, start=1))) == 1, "other batches are still served"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_mixed_sizes(tmp_path, workers):
    root = make_frames(tmp_path, videos=2)
    odd = root / "class_1" / "video_1" / "frame_00003.jpg"
    write_jpeg(odd, np.zeros((50, 70, 3), np.uint8))
    with (
        make_loader(root, workers, transforms=[]) as loader,
        pytest.raises(fc.FrameError, match="mixed sizes"),
    ):
        list(loader)
    with make_loader(root, workers, transforms=[fc.CenterCrop(40)]) as loader:
        assert len(list(loader)) == 2
    write_jpeg(odd.with_name("frame_00001.jpg"), np.zeros((50, 70, 3), np.uint8))
    with pytest.raises(fc.OptionError, match=r"48x64.*50x70.*RandomCrop\(224\)"):
        make_loader(root, workers, transforms=[])


def test_options_that_cannot_work(frames):
    for options, said in [
        (
            {"transforms": [fc.RandomCrop(224)]},
            r"RandomCrop's size=\(224, 224\): must be at most the frame's 48x64.*\.jpg",
        ),
        ({"clips": fc.Windows(13)}, "13"),
        ({"targets": "depth"}, "'depth' in inputs or targets is no stream"),
        ({"inputs": "label"}, "inputs='label'"),
        ({"inputs": ["image", "image"]}, "inputs="),
        ({"batch_size": 0}, "batch_size=0"),
        ({"workers": -1}, "workers=-1"),
        ({"transforms": [fc.RandomCrop]}, "is no transform"),
        ({"transforms": fc.RandomCrop(32)}, r"must be a list, as in \[RandomCrop"),
        ({"clips": 16}, r"clips=16: must be a sampler, such as Windows"),
        ({"repeat": "no"}, "repeat='no': must be True or False"),
        ({"targets": []}, r"targets=\[\]"),
        ({"transforms": [fc.Normalize(), fc.Normalize()]}, "more than once"),
        ({"batch_size": 100, "drop_last": True}, "drop_last"),
    ]:
        with pytest.raises(fc.OptionError, match=said):
            make_loader(frames, **options)


@pytest.mark.slow
def test_a_forked_child_does_not_end_a_lease(frames):
    """It drops its copies of all batches; the trainer's stay as they are."""
    with make_loader(frames, 1, memory="300KiB") as loader:
        kept = [x for x, _ in itertools.islice(loader, 2)]
        before = [x.copy() for x in kept]
        pid = os.fork()
        if pid == 0:
            try:
                kept.clear()
                gc.collect()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        list(loader.epoch(1))
        for array, copy in zip(kept, before, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_a_forked_child_may_not_iterate(frames):
    with make_loader(frames, 1) as loader:
        iterator = iter(loader)
        x, _ = next(iterator)
        before = x.copy()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                next(iterator)
            except fc.EngineError as error:
                os.write(write, f"{np.array_equal(x, before)} {error}".encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 1000).startswith(b"True this loader belongs to the parent process")
        os.close(read)
        os.close(write)
        assert len(list(iterator)) == 4


@pytest.mark.slow
def test_a_path_that_is_no_text(tmp_path):
    """A folder's name may be any bytes; the error still names it."""
    root = make_frames(tmp_path / os.fsdecode(b"v\xe9"), videos=2)
    (root / "class_0" / "video_0" / "frame_00003.jpg").write_bytes(b"nothing")
    for workers in (0, 1):
        with make_loader(root, workers) as loader, pytest.raises(fc.FrameError) as caught:
            list(loader)
        assert str(root) in str(caught.value)


def test_iterating_twice_after_a_load_resumes_once(frames, expected):
    with make_loader(frames, shuffle=True) as loader:
        loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": 3})
        iter(loader)
        assert [digest(batch) for batch in loader] == expected[1][3:]
        assert [digest(batch) for batch in loader] == expected[2]


def test_a_state_of_other_videos_is_refused(tmp_path):
    with make_loader(make_frames(tmp_path / "a")) as loader:
        state = loader.state_dict()
    root = make_frames(tmp_path / "b")
    (root / "class_0" / "video_0").rename(root / "class_0" / "video_00")
    with make_loader(root) as loader, pytest.raises(fc.OptionError, match="another plan"):
        loader.load_state_dict(state)


def test_the_consumers_opencv_keeps_its_threads(frames):
    before = cv2.getNumThreads()
    with make_loader(frames, transforms=[fc.Resize(40)]) as loader:
        list(loader)
    assert cv2.getNumThreads() == before
