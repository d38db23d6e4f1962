"""Every storage keeps the contract of `fastclips.Storage`, and `check_storage` notices one that does not."""

import os
import pickle
import threading

import numpy as np
import pytest
from helpers import frames_of

import fastclips as fc
from fastclips.data.storage import SentStorage, opened
from fastclips.testing import check_storage

COUNTS = [12] * 6


@pytest.fixture(scope="module")
def tarred(tmp_path_factory, frames):
    import tarfile  # noqa: PLC0415 - here alone

    path = tmp_path_factory.mktemp("tarred") / "frames.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(frames, ".")
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory, frames, masks):
    path = tmp_path_factory.mktemp("packed") / "pack"
    fc.pack(fc.open({"image": frames, "mask": masks}), path, shard_size=30_000, workers=0)
    return path


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, (6, 12, *shape), np.uint8)


def as_npy(folder, array):
    np.save(folder / "x.npy", array)
    return folder / "x.npy"


BUILT_IN = {
    "folders": lambda given: fc.open({"image": given("frames"), "mask": given("masks")}),
    "lists": lambda given: fc.open([(f"class_{v % 2}/video_{v}",) for v in range(6)], root=given("frames")),
    "pack": lambda given: fc.open(given("packed")),
    "tars": lambda given: fc.open(given("tarred")),
    "arrays": lambda _: fc.open(images={"image": pixels(9, 8, 3), "mask": pixels(9, 8)}),
    "npy": lambda given: fc.open(images=as_npy(given("tmp_path"), pixels(9, 8, 1))),
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_built_in_storages_keep_the_contract(kind, request):
    data = BUILT_IN[kind](request.getfixturevalue)
    streams = [stream.name for stream in data.streams]
    check_storage(data.storage, streams=streams, frame_counts=data.index.frame_counts.tolist())


def test_video_files_keep_the_contract(tmp_path):
    pytest.importorskip("av")
    from videos import show, write_movie  # noqa: PLC0415 - needs av

    for name in ("a/v0", "b/v1"):
        write_movie(
            tmp_path / f"{name}.mp4", [show(number) for number in range(30)], "libx264", {"bf": "3"}, 3
        )
    data = fc.open(tmp_path)
    check_storage(data.storage, streams=["image"], frame_counts=[30, 30])


# Storages of others


class Counting(fc.Storage):
    """Two videos of 3 frames that show their numbers."""

    def __init__(self):
        self.owner = None  # which process opened it

    def __reduce__(self):
        return type(self), ()

    def open_in_worker(self):
        self.owner = os.getpid()

    def check(self, video, frame):
        assert self.owner == os.getpid(), "opened in this process"
        if not (0 <= video < 2 and 0 <= frame < 3):
            raise IndexError(f"no frame {frame} of video {video}")

    def read(self, stream, video, frame):  # noqa: ARG002 - as of all
        self.check(video, frame)
        return np.full((8, 9, 3), 10 * video + frame, np.uint8)


def test_a_storage_of_others_keeps_the_contract():
    check_storage(Counting(), streams=["image"], frame_counts=[3, 3])


class Unpicklable(Counting):
    def __reduce__(self):
        return dict, (vars(self),)

    def open_in_worker(self):
        super().open_in_worker()
        self.lock = threading.Lock()


class Forgets(Counting):
    """A copy forgets what was said to the first one."""

    def __init__(self, seed=7):
        super().__init__()
        self.seed = seed

    def read(self, stream, video, frame):
        return super().read(stream, video, frame) + np.uint8(self.seed)

    def __reduce__(self):
        return Forgets, (8,)


class Drifts(Counting):
    reads = 0

    def read(self, stream, video, frame):
        self.reads += 1
        return super().read(stream, video, frame) + np.uint8(self.reads)


class Unsorted(Counting):
    def read_many(self, stream, video, frames):
        return [self.read(stream, video, frame) for frame in sorted(frames)]


class Clamps(Counting):
    def read(self, stream, video, frame):
        return super().read(stream, max(0, min(video, 1)), max(0, min(frame, 2)))


class Leaks(Counting):
    def open_in_worker(self):
        super().open_in_worker()
        self.fd = os.open("/dev/null", os.O_RDONLY)


class OnlyHere(Counting):
    home = os.getpid()

    def open_in_worker(self):
        super().open_in_worker()
        if os.getpid() != self.home:
            os._exit(3)


def returning(value):
    return type(
        "Returning", (Counting,), {"read": lambda self, _, video, frame: self.check(video, frame) or value}
    )


BROKEN = [
    (Unpicklable, "cannot be pickled after reads: .*cannot pickle '_thread.lock'"),
    (
        Forgets,
        r"read\('image', 0, 0\) of a copy that was pickled before its first read returned another frame",
    ),
    (Drifts, r"read\('image', 1, 2\) returned another frame when repeated"),
    (Unsorted, r"read_many\('image', 0, \[.*\]\) and read\('image', 0, \d\) returned different frames"),
    (Clamps, r"read\('image', 0, 3\) returned a frame, but video 0 has 3 frames: raise IndexError"),
    (Leaks, "left files open: /dev/null, /dev/null"),
    (OnlyHere, "died with exit code 3"),
    (returning(b""), "returned no bytes: raise FrameError for an empty frame"),
    (returning(b"no picture"), "returned bytes that are no picture"),
    (returning(bytearray(b"x")), "returned bytearray: must be bytes or an ndarray"),
    (returning(np.zeros((8, 9, 3))), "array of float64: must be uint8"),
    (returning(np.zeros((3, 8, 9), np.uint8)), r"array of shape \(3, 8, 9\): must be \(H, W, 3\)"),
    (
        type("Nameless", (Counting,), {"where": lambda *_: "here"}),
        r"where\('image', 0, 1\) and where\('image', 0, 0\) are both 'here': must differ",
    ),
]


@pytest.mark.parametrize(("kind", "message"), BROKEN, ids=[kind.__name__ for kind, _ in BROKEN])
def test_a_broken_storage_is_named(kind, message):
    with pytest.raises(AssertionError, match=message):
        check_storage(kind(), streams=["image"], frame_counts=[3, 3])


def test_streams_of_two_sizes_are_named():
    class Sizes(Counting):
        def read(self, stream, video, frame):
            return super().read(stream, video, frame)[: 8 if stream == "image" else 4]

    with pytest.raises(AssertionError, match=r"is \(4, 9\) \(H, W\), but stream 'image' is \(8, 9\)"):
        check_storage(Sizes(), streams=["image", "flow"], frame_counts=[3, 3])


def test_errors_without_a_path_are_named():
    class Pathless(Counting):
        def read(self, stream, video, frame):
            try:
                return super().read(stream, video, frame)
            except IndexError as error:
                raise fc.FrameError("gone") from error

    with pytest.raises(AssertionError, match="a FrameError without path="):
        check_storage(Pathless(), streams=["image"], frame_counts=[3, 3])


def test_what_is_no_storage_is_named(frames):
    with pytest.raises(AssertionError, match=r"<Dataset: .*> must be an instance of fastclips\.Storage"):
        check_storage(fc.open(frames), streams=["image"], frame_counts=COUNTS)


# Opening in a process


class Opens(Counting):
    """It counts how often it was opened; a copy begins anew."""

    opens = 0

    def open_in_worker(self):
        super().open_in_worker()
        self.opens += 1

    def read(self, stream, video, frame):  # noqa: ARG002 - as of all
        self.check(video, frame)
        return np.full((8, 9, 3), self.opens, np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_storage_is_opened_once_in_each_process(workers):
    data = fc.Dataset.of(Opens(), frame_counts=[3, 3])
    assert data.storage.opens == 0, "nothing is read before a loader needs the size of frames"
    for _ in range(2):
        with fc.ClipLoader(data, fc.Windows(2), batch_size=1, workers=workers) as loader:
            for _ in range(2):
                assert {int(x.max()) for x in loader} == {1}
    assert data.storage.opens == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_storage_is_opened_where_frames_are_packed(workers, tmp_path):
    fc.pack(fc.Dataset.of(Opens(), frame_counts=[3, 3]), tmp_path / "p", codec="raw", workers=workers)
    assert fc.open(tmp_path / "p").storage.read("image", 1, 2).max() == 1


def test_a_forked_process_opens_its_own():
    storage = opened(Counting())
    pid = os.fork()
    if pid == 0:
        os._exit(storage.owner != os.getpid() and opened(storage).owner == os.getpid())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_what_cannot_be_sent_names_the_storage():
    storage = Unpicklable()
    storage.open_in_worker()
    data = fc.Dataset.of(storage, frame_counts=[3, 3])
    with pytest.raises(
        fc.OptionError, match=r"storage=<.*Unpicklable.*cannot be sent to workers: cannot pickle"
    ):
        fc.ClipLoader(data, fc.Windows(2), batch_size=1, workers=1)
    with fc.ClipLoader(data, fc.Windows(2), batch_size=1, workers=0) as loader:
        assert len(list(loader)) == len(loader)


def test_a_storage_on_its_way_shares_its_columns(frames):
    storage = fc.open(frames).storage
    sent = SentStorage.of(storage)
    assert sent.columns == (storage.columns,)
    assert sent.unpickled().columns is storage.columns
    assert pickle.loads(pickle.dumps(sent)).unpickled().read("image", 3, 4) == storage.read("image", 3, 4)


# Errors


def gone(folder):
    frames_of(folder, "a/v", 3)
    data = fc.open(folder)
    (folder / "a/v/img_00002.jpg").unlink()
    return data, str(folder / "a/v/img_00002.jpg"), "No such file or directory"


def empty(folder):
    frames_of(folder, "a/v", 3)
    (folder / "a/v/img_00002.jpg").write_bytes(b"")
    return fc.open(folder), str(folder / "a/v/img_00002.jpg"), "is empty (0 bytes)"


def cut(folder):
    path = as_npy(folder, pixels(8, 9, 3)[:1, :3])
    data = fc.open(images=path)
    os.truncate(path, path.stat().st_size - 8 * 9 * 3 * 2 + 1)
    return data, f"{path}[0, 1]", None


def overwritten(folder):
    frames_of(folder / "src", "a/v", 3)
    fc.pack(fc.open(folder / "src"), folder / "pack", workers=0)
    data = fc.open(folder / "pack")
    shard = folder / "pack/00000.tar"
    shard.write_bytes(bytes(shard.stat().st_size))
    return data, data.storage.where("image", 0, 1), None


@pytest.mark.parametrize("harm", [gone, empty, cut, overwritten])
def test_an_error_knows_its_frame(harm, tmp_path):
    data, path, reason = harm(tmp_path)
    with pytest.raises(fc.FrameError) as caught:
        data.storage.read("image", 0, 1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.path, error.video, error.frame) == (path, 0, 1)
    assert path in str(error)
    assert path not in error.reason
    assert error.reason == (reason or error.reason)
    assert str(error) == str(caught.value)
