"""`fastclips.mix`: datasets as one, wherever they lie, with the pixels, labels and times of each."""

import json
import pickle

import numpy as np
import pytest
from helpers import make_frames, picture
from object_server import ObjectServer
from stress import digest

import fastclips as fc
from fastclips.data.mixed_storage import MixedStorage

WINDOWS = fc.Windows(4, step=2)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Other videos: three classes, of which two are those of `frames`; some names of videos are the same."""
    return make_frames(tmp_path_factory.mktemp("others"), videos=4, frames=9, classes=3)


@pytest.fixture(scope="module")
def packed(tmp_path_factory, others):
    folder = tmp_path_factory.mktemp("packed") / "pack"
    fc.pack(others, folder, codec="dct", shard_size="20KiB", workers=0)
    return folder


@pytest.fixture(scope="module")
def both(frames, packed):
    return fc.open(frames), fc.open(packed)


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    pytest.importorskip("av", reason="video extra")
    from videos import show, write_movie  # noqa: PLC0415 - needs PyAV

    root = tmp_path_factory.mktemp("movies")
    for name, count in (("class_1/m0", 13), ("class_3/m1", 9)):
        write_movie(root / f"{name}.mp4", [show(number) for number in range(count)])
    return root


def pixels(videos=3, frames=8):
    return np.stack([[picture(100 * v + f) for f in range(frames)] for v in range(videos)])


def loader_of(data, clips=WINDOWS, transforms=(), **options):
    return fc.ClipLoader(
        data, clips, transforms, **({"batch_size": 4, "workers": 0, "shuffle": True, "seed": 3} | options)
    )


def by_paths(data, transforms, **options):
    """Pixels and class of each clip by the paths of its frames."""
    with loader_of(data, fc.Windows(4, step=1), transforms, shuffle=False, **options) as loader:
        paths = loader.plan_table(0)["paths"].tolist()
        rows = [(clip, data.classes[label]) for x, y in loader for clip, label in zip(x, y, strict=True)]
    return dict(zip(map(tuple, paths), rows, strict=True))


SOURCES = {
    "frames": lambda given: fc.open(given("frames")),
    "pack": lambda given: fc.open(given("packed")),
    "arrays": lambda _: fc.open(images=pixels(), labels=["class_0", "class_5", "class_1"]),
    "movies": lambda given: fc.open(given("movies")),
}
CHOSEN = {
    "frames pack": 0,
    "arrays frames pack": 2,
    "movies frames": 2,
    "pack movies arrays": 0,
    "movies movies": 1,
}


@pytest.mark.parametrize("names", CHOSEN)
def test_clips_have_the_pixels_and_classes_of_their_set(names, request):
    """Frames that are shrunk by 2, kept by the loader's cache, read by one storage or the other."""
    sets = [SOURCES[name](request.getfixturevalue) for name in names.split()]
    transforms = [fc.Resize((24, 32)), fc.CenterCrop(20)]
    expected = {}
    for one in sets:
        expected.update(by_paths(one, transforms))
    mixed = fc.mix(sets, [3, 2, 1][: len(sets)], clips_per_epoch=18)
    with loader_of(mixed, transforms=transforms, workers=CHOSEN[names]) as loader:
        seen = set()
        for epoch in range(3):
            table = loader.plan_table(epoch)
            rows = [(clip, label) for x, y in loader for clip, label in zip(x, y, strict=True)]
            assert np.bincount(table["set"]).tolist() == [[11, 7], [9, 6, 3]][len(sets) - 2]
            assert table["label"].tolist() == [label for _, label in rows]
            for paths, (clip, label) in zip(table["paths"].tolist(), rows, strict=True):
                pixels_, name = expected[tuple(paths)]
                np.testing.assert_array_equal(clip, pixels_)
                assert mixed.classes[label] == name
                seen.add(tuple(paths))
        assert len(seen) >= 8
        assert not loader.damaged


def test_without_shares_all_clips_come_once(both):
    mixed = fc.mix(both)
    assert repr(mixed) == "<Dataset: 10 videos, 108 frames, 3 classes; image; 2 sets>"
    with loader_of(mixed, shuffle=False, batch_size=1) as loader:
        served = [digest(batch) for batch in loader]
    alone = []
    for one in both:
        with loader_of(one, shuffle=False, batch_size=1) as loader:
            alone += [digest(batch) for batch in loader]
    assert served == alone
    with loader_of(mixed, batch_size=1, weights="balanced", interleave=None) as loader:
        assert len(loader) == len(alone)
    with loader_of(mixed, batch_size=1, interleave=4) as loader:
        assert sorted(digest(batch) for batch in loader) == sorted(alone)


def test_the_default_epoch_has_as_many_clips_as_all_sets(both):
    with loader_of(fc.mix(both, [1, 1])) as loader:
        assert np.bincount(loader.plan_table(0)["set"]).tolist() == [21, 21]  # of 30 and 12
    with loader_of(fc.mix(both, clips_per_epoch=21)) as loader:
        assert np.bincount(loader.plan_table(0)["set"]).tolist() == [15, 6]
    with loader_of(fc.mix(both, [1, 1]), transforms=[fc.ThreeCrop(40)], draws_per_clip=2) as loader:
        assert len(loader.plan_table(0)["set"]) == 42 * 3 * 2


def test_samplers_of_their_own(both):
    mixed = fc.mix(both, [1, 1], clips_per_epoch=24)
    samplers = [fc.Windows(4, step=8), fc.RandomWindow(4)]
    with loader_of(mixed, samplers) as loader:
        table = loader.plan_table(1)
        assert {*table["start"][table["set"] == 0].tolist()} == {0, 8}
        assert {*table["start"][table["set"] == 1].tolist()} > {0, 2}
        described = loader.state_dict()["parts"]["clips"]["sampler"]
        assert [text.split("(")[0] for text in described] == ["Windows", "RandomWindow"]
    with loader_of(fc.mix(both), [fc.Windows(4), fc.Windows(4, step=1)], shuffle=False) as loader:
        table = loader.plan_table(0)
        assert np.bincount(table["set"]).tolist() == [18, 24]
        assert table["start"][:18].tolist() == [0, 4, 8] * 6
        assert table["start"][18:24].tolist() == [*range(6)]
    for options in ({"weights": "balanced"}, {"interleave": 3}):
        with loader_of(fc.mix(both), [fc.Windows(4), fc.Windows(4, step=1)], **options) as loader:
            assert len(loader.plan_table(0)["set"]) == 42
    for clips, message in [
        ([fc.Windows(4)] * 3, "clips= is a list of 3.*this mix has 2 sets"),
        ([fc.Windows(4), fc.Windows(5)], "time_steps of 4, 5: must be the same"),
        ([fc.Windows(4), 7], "clips=7: must be a sampler"),
    ]:
        with pytest.raises(fc.OptionError, match=message):
            loader_of(mixed, clips)
    with pytest.raises(fc.OptionError, match=r"clips= is a list of 2.*this dataset is no mix"):
        loader_of(both[0], samplers)


def test_ranks_and_workers_and_resumed_loaders_serve_the_same_bits(both, request):
    mixed = fc.mix([*both, SOURCES["arrays"](request)], [4, 1, 2], clips_per_epoch=23)
    samplers = [WINDOWS, fc.RandomWindow(4), WINDOWS]
    options = {"transforms": [fc.RandomCrop(24), fc.RandomFlip()], "inputs": ("image", "video_index")}

    def rows_of(batches):
        for x, y, *_ in batches:
            for image, video, label in zip(x["image"], x["video_index"], y, strict=True):
                yield digest((image, video, label))

    with loader_of(mixed, samplers, **options) as loader:
        expected = [[*rows_of(loader)] for _ in range(3)]
    ranks = [loader_of(mixed, samplers, **options, rank=r, world=2, batch_size=3) for r in (0, 1)]
    rows = []
    for batch, pair in enumerate(zip(*(loader.epoch(1) for loader in ranks), strict=True)):
        rows += [row for half in pair for row in rows_of([half])]
        if batch == 1:
            break
    assert rows == expected[1][:12]
    state = json.loads(json.dumps(ranks[0].state_dict()))
    assert (state["epoch"], state["position"], ranks[1].state_dict()) == (1, 12, state)
    for loader in ranks:
        loader.close()
    with loader_of(mixed, samplers, **options, batch_size=5, workers=2, cache="1MiB") as loader:
        loader.load_state_dict(state)
        assert len(loader) == 3
        assert [[*rows_of(loader)], [*rows_of(loader)]] == [expected[1][12:], expected[2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: fc.mix([a, b], [2, 1], 20), "had 10 clips of set 0 .6 videos., 10 clips of set 1"),
        (lambda a, b: fc.mix([a, b], [1, 1], 24), "order.shares had 10 clips of set 0"),
        (lambda a, b: fc.mix([b, a], [1, 1], 20), "the names of the videos, or their order"),
        (lambda a, b: fc.mix([a, b]), "order.shares was given, and is not given now"),
    ],
)
def test_a_state_of_other_shares_is_refused(both, change, message):
    with loader_of(fc.mix(both, [1, 1], 20)) as loader:
        state = loader.state_dict(1, 2)
    with loader_of(fc.mix(both, [3, 3], 20)) as loader:  # the same shares
        loader.load_state_dict(state)
    with loader_of(change(*both)) as loader, pytest.raises(fc.OptionError, match=message):
        loader.load_state_dict(state)


def test_a_state_of_other_samplers_for_the_sets_is_refused(both):
    data, short = both[0], fc.Windows(4, step=1)
    first, second = data.select(data.index.names[:2]), data.select(data.index.names[2:])
    others = data.select(data.index.names[:3]), data.select(data.index.names[3:])
    with loader_of(fc.mix([first, second]), [WINDOWS, short], shuffle=False) as loader:
        state = loader.state_dict(0, 1)
    with (
        loader_of(fc.mix(others), [WINDOWS, short], shuffle=False) as loader,
        pytest.raises(
            fc.OptionError, match=r"clips.sampler had Windows.*for 2 videos.*has Windows.* 3 videos"
        ),
    ):
        loader.load_state_dict(state)
    with loader_of(fc.mix(others), [WINDOWS, fc.Windows(4, step=2)], shuffle=False) as loader:
        state = loader.state_dict(0, 1)
    with loader_of(fc.mix([first, second]), shuffle=False) as loader:  # the same clips
        loader.load_state_dict(state)


def test_a_state_goes_on_with_packs_in_place_of_folders(both, others, recwarn):
    with loader_of(fc.mix([both[0], fc.open(others)], [1, 1], 20)) as loader:
        state = loader.state_dict(1, 2)
    with loader_of(fc.mix(both, [1, 1], 20)) as loader:
        loader.load_state_dict(state)
    assert not recwarn.list


def test_parts_of_a_remote_pack_are_read_ahead(packed, frames, tmp_path, monkeypatch):
    pytest.importorskip("obstore")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ObjectServer(packed.parent) as server:
        remote = fc.open(f"{server.url}/pack/", storage_options={"allow_http": True})
        local = fc.mix([fc.open(frames), fc.open(packed)], [1, 2], 30)
        mixed = fc.mix([fc.open(frames), remote], [1, 2], 30)
        assert mixed.storage.is_remote
        with loader_of(local) as loader:
            expected = [digest(batch) for _ in range(2) for batch in loader]
        for workers in (0, 2):
            with loader_of(mixed, workers=workers, cache=0) as loader:
                assert [digest(batch) for _ in range(2) for batch in loader] == expected
                assert (loader.stats().ahead_bytes > 0) == bool(workers)
        late = fc.mix([fc.open(frames)] * 6 + [remote])  # after more clips than a loader looks at
        with loader_of(late, fc.Windows(4, step=1), shuffle=False, workers=1, cache=0) as loader:
            assert len(loader) * 4 > 324
            assert len([*loader.epoch(0, start=78)]) == len(loader) - 78
            assert loader.stats().ahead_bytes > 0


def test_a_frame_cache_is_shared_by_the_parts_of_a_mix(both):
    training, validation = fc.mix(both, [1, 1], 40).split(0.3)
    cache = fc.FrameCache("64MiB")
    with loader_of(training, cache=cache, workers=1) as loader, loader_of(training, cache=0) as plain:
        assert [digest(b) for b in loader] == [digest(b) for b in plain]
        assert loader.stats().decodes_per_frame < 0.9
    with loader_of(fc.mix(validation.sets), cache=cache, shuffle=False) as loader:
        assert len([*loader]) == len(loader)


def test_frames_are_kept_over_short_epochs(frames):
    """Of 18 clips, each epoch shows 2, so 9 epochs pass until a clip comes again."""
    mixed = fc.mix([fc.open(frames)], clips_per_epoch=2)
    with loader_of(mixed, fc.Windows(4), batch_size=2, workers=1) as loader:
        for _ in range(27):
            list(loader)
        stats = loader.stats()
        assert (stats.frames_served, stats.decoded_frames) == (27 * 8, 72)


def test_sets_of_one_storage_share_it(both):
    data = both[0]
    rare = data.select(data.index.names[:2])
    mixed = fc.mix([data, rare], [1, 1])
    assert mixed.storage is data.storage
    assert mixed.index.keys.tolist() == [*range(6), 0, 1]
    assert [one.index.names[:] for one in mixed.sets] == [data.index.names[:], rare.index.names[:]]
    training, validation = mixed.split(0.3)
    assert not {*training.index.keys.tolist()} & {*validation.index.keys.tolist()}
    again = fc.mix(fc.mix(both, [1, 1]).sets)
    assert isinstance(again.storage, MixedStorage)
    assert len(again.storage.parts) == 2
    flat = fc.mix([again, fc.open(images=pixels(), labels=[0, 1, 0])]).storage
    assert [type(part).__name__ for part in flat.parts] == ["FolderStorage", "PackStorage", "ArrayStorage"]


def test_select_keeps_the_sets_together(both):
    mixed = fc.mix(both, [3, 1])
    chosen = mixed.select(["class_2/video_2", "class_1/video_1", "class_0/video_0"])
    assert chosen.index.names[:] == [f"class_{n}/video_{n}" for n in (1, 0, 2, 1, 0)]
    assert chosen.mixed.counts == (2, 3)
    alone = mixed.select(["class_2/video_2"])
    assert (alone.mixed.counts, alone.mixed.weights) == ((1,), (1,))
    with loader_of(alone) as loader:
        assert {*loader.plan_table(0)["name"].tolist()} == {"class_2/video_2"}
    assert pickle.loads(pickle.dumps(chosen)).mixed == chosen.mixed


def test_labels_of_a_mix(both):
    mixed = fc.mix(both, [3, 1])
    labelled = mixed.with_labels("n", [*range(10)], kind="target")
    assert labelled.mixed == mixed.mixed
    assert labelled.sets[1].index.named["n"].labels.values.tolist() == [6, 7, 8, 9]
    with pytest.raises(fc.OptionError, match="'class_0/video_0' is the name of a video in several sets"):
        mixed.with_labels("n", dict.fromkeys(mixed.index.names, 1), kind="target")
    with pytest.raises(fc.OptionError, match="name='set': is a column of plan_table"):
        mixed.with_labels("set", [*range(10)], kind="target")
    twice = fc.mix([both[0], both[0]]).with_labels("n", dict.fromkeys(both[0].index.names, 1), kind="target")
    assert len(twice.index.named["n"].labels) == 12


def test_times_are_those_of_each_set(both, movies, frames):
    timed = fc.open(movies)
    slow = fc.open([{"path": "class_0/video_0", "fps": 10}], root=frames, labels=None)
    mixed = fc.mix([fc.open(movies, labels=None), slow, fc.open(movies, labels=None)])
    shown = np.array([[0, 5]] * 5)
    expected = timed.index.seconds([0, 1], shown[:2]).tolist()
    assert mixed.index.seconds(np.arange(5), shown).tolist() == [*expected, [0.0, 0.5], *expected]
    with loader_of(mixed, inputs=("image", "timestamp")) as loader:
        assert next(iter(loader))["timestamp"].shape == (4, 4)
    untimed = fc.mix([fc.open(movies), both[0]])
    with pytest.raises(fc.OptionError, match=r"'timestamp' in.*'class_0/video_0' are unknown"):
        loader_of(untimed, inputs=("image", "timestamp"))
    with pytest.raises(fc.OptionError, match=r"video 'class_0/video_0' has fps nan"):
        loader_of(untimed, fc.Windows(4, fps=5))


def test_damage_is_named_by_its_path_and_the_number_of_its_video(both, tmp_path):
    root = make_frames(tmp_path / "more", videos=2, frames=5)
    mixed = fc.mix([both[0], fc.open(root)], [1, 1])
    path = root / "class_1/video_1/frame_00004.jpg"
    path.unlink()
    with pytest.raises(fc.FrameError) as caught:
        mixed.storage.read("image", 7, 3)
    assert (caught.value.video, caught.value.frame, caught.value.path) == (7, 3, str(path))
    with loader_of(mixed, damaged="repeat") as loader:
        assert len([*loader]) == len(loader)
        assert [where for where, _ in loader.damaged] == [str(path)]


def test_frames_of_another_size_in_a_small_set_are_found_at_once(both, tmp_path):
    small = make_frames(tmp_path / "small", videos=1, frames=5, height=40, width=60)
    mixed = fc.mix([both[0], fc.open(small), both[0]], [1, 1, 1])
    with pytest.raises(fc.OptionError, match=r"frames come out in mixed sizes, 48x64.*and 40x60"):
        loader_of(mixed)
    with pytest.raises(fc.OptionError, match="40"):
        loader_of(mixed, transforms=[fc.RandomCrop(44)])


def test_a_frame_of_each_set_is_looked_at(both, tmp_path):
    small = make_frames(tmp_path / "small", videos=1, frames=5)
    mixed = fc.mix([*[both[0]] * 2, fc.open(small), *[both[0]] * 3], [1] * 6)
    (small / "class_0/video_0/frame_00003.jpg").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 of 9 frames looked at cannot be read"):
        loader_of(mixed, transforms=[fc.RandomCrop(24)])
