"""Several labels of a video, by name: opened, kept, served, weighed, tabled and drawn."""

import pickle

import numpy as np
import pytest
from helpers import make_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import FRAMES, NOUNS, STATES, VERBS, VIDEOS, arrays, batches, images, joined, several

import fastclips as fc
from fastclips.errors import DataError, OptionError
from fastclips.preview.sheet import lay_out
from fastclips.reserved import COLUMNS

KINDS = {"verb": "label", "noun": "label", "tags": "labels", "state": "frame_target"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("frames"), videos=VIDEOS, frames=FRAMES, height=16, width=16)


def names(root):
    return [str(path.relative_to(root)) for path in sorted(root.glob("*/*"))]


# Opened


def rows(root):
    tags = [("a",), ("a", "b"), (), ("c",), ("b",), ("c", "a")]
    columns = {"path": names(root), "verb": VERBS, "noun": NOUNS, "tags": tags, "state": list(STATES)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_columns(data):
    assert repr(data).endswith("image; verb, noun, tags, state>")
    assert data.classes == ()
    assert data.classes_of("verb") == ("close", "cut", "open")
    assert data.classes_of("noun") == ("0", "1", "2")
    assert data.classes_of("tags") == ("a", "b", "c")
    assert data.classes_of("state") == ()
    found, table = batches(data, targets=tuple(KINDS))
    y = joined([y for _, y in found])
    videos = table["video"]
    np.testing.assert_array_equal(y["verb"], np.array([2, 0, 2, 1, 1, 2])[videos])
    np.testing.assert_array_equal(y["noun"], np.array(NOUNS)[videos])
    np.testing.assert_array_equal(y["tags"][0], [1, 0, 0])
    np.testing.assert_array_equal(
        y["state"], STATES[videos[:, None], np.maximum(table["frames"], ~table["frames"])]
    )
    for name in KINDS:
        np.testing.assert_array_equal(table[name], y[name])


def test_columns_of_a_list(root):
    listed = rows(root)
    check_columns(fc.open(listed, root=root, labels=KINDS))
    check_columns(
        fc.open({name: [row[name] for row in listed] for name in listed[0]}, root=root, labels=KINDS)
    )
    tuples = [tuple(row.values()) for row in listed]
    check_columns(fc.open(tuples, root=root, labels=KINDS, columns="path verb noun tags state"))


def test_columns_of_text(root, tmp_path):
    listed = rows(root)
    text = [f"{row['path']},{row['verb']},{row['noun']},{';'.join(row['tags'])}" for row in listed]
    (tmp_path / "list.csv").write_text(
        "\n".join(["path,verb,noun,tags,notes", *(f"{row},x" for row in text)])
    )
    (tmp_path / "list.txt").write_text("\n".join(row.replace(",", " ").replace(";", " ") for row in text))
    kinds = {name: kind for name, kind in KINDS.items() if name != "state"}
    for file, columns in (("list.csv", None), ("list.txt", "path verb noun tags")):
        data = fc.open(tmp_path / file, root=root, labels=kinds, columns=columns)
        check_columns(data.with_labels("state", STATES, kind="frame_target"))


def test_a_column_may_be_the_label(root):
    listed = [
        {"path": name, "label": verb, "noun": noun}
        for name, verb, noun in zip(names(root), VERBS, NOUNS, strict=True)
    ]
    data = fc.open(listed, root=root, labels={"noun": "label", "label": "label"})
    assert data.classes == ("close", "cut", "open")
    found, table = batches(data)
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), table["label"])
    assert list(table)[5:8] == ["name", "label", "noun"]


def test_classes_by_name(root):
    listed, more = rows(root), ["cut", "jump", "close", "open"]
    data = fc.open(listed, root=root, labels=KINDS, classes={"verb": more})
    assert data.classes_of("verb") == tuple(more)
    assert data.classes_of("noun") == ("0", "1", "2")
    again = fc.open(listed, root=root, labels=KINDS, classes={"verb": data.classes_of("verb")})
    assert again.classes_of("verb") == data.classes_of("verb")
    same = several().with_labels("hand", ["left"] * VIDEOS, kind="label", classes=["right", "left"])
    assert same.classes_of("hand") == ("right", "left")


def test_refused_columns(root):
    listed = rows(root)
    refused = [
        (listed, {"labels": {}}, "must name columns and their kinds"),
        (listed, {"labels": {"verb": "class"}}, "labels= of 'verb'='class': must be one of 'label'"),
        (listed, {"labels": {"path": "label"}}, "'path' is a column with another meaning"),
        (
            listed,
            {"labels": {"verbs": "label"}},
            "no column is named 'verbs', which labels= names; there are 'path', 'verb'",
        ),
        (listed, {"labels": {"image": "label"}}, "is the name of a stream"),
        (listed, {"labels": {"valid": "label"}}, "a column in labels='valid': labels must have another name"),
        (
            listed,
            {"labels": {"verb": "label"}, "classes": ["a"]},
            "must be a mapping here, as in classes={'verb'",
        ),
        (
            listed,
            {"labels": {"verb": "label"}, "classes": {"noun": ["a"]}},
            "classes= names the labels 'noun'",
        ),
        (
            listed,
            {"labels": {"verb": "label"}, "classes": {"verb": ["cut"]}},
            "'open' is not one of the 1 classes",
        ),
        (
            listed,
            {"labels": {"state": "frame_target"}, "classes": {"state": ["a"]}},
            "are numbers, not classes",
        ),
        ([("a", "b")], {"labels": {"verb": "label"}}, "columns='path verb'"),
        (
            root,
            {"labels": {"verb": "label"}},
            r"these are folders or tar files; add labels with dataset.with_labels",
        ),
        (
            root,
            {"classes": {"verb": ["a"]}},
            "classes= names the labels 'verb', but these data have only 'label'",
        ),
    ]
    for source, options, text in refused:
        with pytest.raises((OptionError, DataError), match=text):
            fc.open(source, **({"root": root} if isinstance(source, list) else {}), **options)
    with pytest.raises(OptionError, match="these are arrays; add labels with"):
        fc.open(images=images(), labels={"verb": "label"})
    with pytest.raises(
        DataError, match=r"2 kinds of target; keep one, or set labels={'label': 'label', 'target'"
    ):
        fc.open([{"path": "a", "label": 0, "target": 1.0}], root=root)


# Added


def test_values_by_the_names_of_videos(root):
    data = fc.open(root)
    listed = data.index.names[:]
    by_name = dict(zip(reversed(listed), reversed(VERBS), strict=True))
    given = data.with_labels("verb", by_name, kind="label")
    plain = data.with_labels("verb", VERBS, kind="label")
    for one in (given, plain):
        assert one.index.named["verb"].labels.per_video.tolist() == [2, 0, 2, 1, 1, 2]
    with pytest.raises(DataError, match=r"values of 'verb' have none for 'class_0/video_0', 1 of 6 videos"):
        data.with_labels("verb", dict.fromkeys(listed[1:], "a"), kind="label")
    with pytest.raises(
        DataError, match=r"values of 'verb' name 'x', which are no videos .* before select\(\)"
    ):
        data.with_labels("verb", {**by_name, "x": "cut"}, kind="label")


def test_the_label_may_be_added():
    data = arrays().with_labels("label", VERBS, kind="label")
    assert data.classes == data.classes_of("label") == ("close", "cut", "open")
    assert data.index.named == {}
    np.testing.assert_array_equal(batches(data)[0][0][1], [2, 2, 0, 0])


def test_parts_of_a_video(root):
    parts = [(names(root)[0], 1, start, 4) for start in (0, 4)]
    data = fc.open(parts, root=root, columns="path label start length")
    with_state = data.with_labels("state", [STATES[0, :4], STATES[0, 4:]], kind="frame_target")
    found, _ = batches(with_state, targets="state")
    np.testing.assert_array_equal(found[0][1], STATES[0].reshape(2, 4, 2))
    assert data.with_labels("verb", {names(root)[0]: "cut"}, kind="label").classes_of("verb") == ("cut",)
    with pytest.raises(OptionError, match="several rows are parts of one video: give a sequence"):
        data.with_labels("state", {names(root)[0]: STATES[0]}, kind="frame_target")


class Series(list):
    """As pandas has it, as far as with_labels looks."""

    index = ("a", "b")


def test_refused_labels():
    data = several()
    refused = [
        ("verb", VERBS, "label", "the dataset has such labels already"),
        ("mask", VERBS, "label", "is the name of a stream"),
        ("label", VERBS, "label", "the dataset has such labels already"),
        ("auto", VERBS, "label", "labels must have another name than 'auto', 'valid'"),
        ("frame_index", VERBS, "label", "labels must have another name"),
        ("position", VERBS, "label", "labels must have another name"),
        ("", VERBS, "label", "must be a str that is not empty"),
        (3, VERBS, "label", "name=3: must be a str"),
        ("new", VERBS, "class", "kind='class': must be one of"),
        ("new", VERBS[1:], "label", "values of 'new' have 5 items for 6 rows"),
        ("new", "verbs", "label", "values='verbs': must be a sequence"),
        ("new", 3, "label", "values=3: must be a sequence"),
        ("new", Series(), "label", r"a Series with names of its own: .* values.to_dict\(\)"),
        ("new", [*VERBS[1:], 3], "label", r"values\[5\] \(video '5'\): new 3 mixes numbers and names"),
        ("new", [*NOUNS[1:], None], "label", r"values\[5\] .*is missing: give a value for this video"),
        ("new", [*NOUNS[1:], 0.5], "label", "must be an integer, or a name"),
        ("new", np.ma.masked_array(NOUNS), "label", "must be a plain array"),
    ]
    for name, values, kind, text in refused:
        with pytest.raises((OptionError, DataError), match=text):
            data.with_labels(name, values, kind=kind)
    with pytest.raises(
        OptionError, match="name='noun': must be the name of labels; this dataset has 'label', 'verb'"
    ):
        data.classes_of("noun")


def test_reserved_names_are_no_streams():
    for name in ("frame_index", "timestamp", "video_index"):
        with pytest.raises(OptionError, match=f"a stream cannot be named '{name}'"):
            fc.open(images={"image": images(), name: images()})


# Kept


def same_labels(one, other):
    assert {*one.index.every_label} == {*other.index.every_label}
    frames = np.tile(np.arange(3, dtype=np.int32), (len(one), 1))
    every = np.arange(len(one))
    for name, (labels, classes) in one.index.every_label.items():
        found = other.index.every_label[name]
        assert found.classes == classes
        np.testing.assert_array_equal(labels.targets(every, frames), found.labels.targets(every, frames))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, VIDEOS - 1), min_size=1, max_size=8))
def test_rows_keep_their_labels(taken):
    data = several()
    rows = np.array(taken)
    index = data.index.take(rows)
    for name, (labels, _) in index.every_label.items():
        frames = np.zeros((len(rows), 2), np.int32)
        whole = data.index.every_label[name].labels.targets(rows, frames)
        np.testing.assert_array_equal(labels.targets(np.arange(len(rows)), frames), whole)


def test_parts_pickles_packs_and_saved_indexes_keep_labels(root, tmp_path):
    listed = rows(root)
    data = fc.open(listed, root=root, labels=KINDS)
    same_labels(data, pickle.loads(pickle.dumps(data)))
    train, val = data.split(0.5, seed=1)
    assert [*train.index.named] == [*val.index.named] == [*KINDS]
    chosen = data.select(names(root)[4:2:-1])
    assert chosen.index.named["verb"].labels.per_video.tolist() == [1, 1]
    fc.pack(data, tmp_path / "packed", workers=0)
    packed = fc.open(tmp_path / "packed")
    same_labels(data, packed)
    check_columns(packed)
    assert fc.open(tmp_path / "packed", labels=None).index.every_label == {}
    renamed = fc.open(tmp_path / "packed", classes={"noun": ["cup", "tap", "pan"]})
    assert renamed.classes_of("noun") == ("cup", "tap", "pan")
    with pytest.raises(OptionError, match="no labels of classes called 'hand'"):
        fc.open(tmp_path / "packed", classes={"hand": ["cup"]})
    with pytest.raises(OptionError, match="these are a pack; add labels with"):
        fc.open(tmp_path / "packed", labels={"noun": "label"})
    kinds = {"verb": "label", "noun": "label"}
    text = [f"{row['path']},{row['verb']},{row['noun']}\n" for row in listed]
    (tmp_path / "list.csv").write_text("path,verb,noun\n" + "".join(text))
    for _ in range(2):
        saved = fc.open(tmp_path / "list.csv", root=root, labels=kinds, index=tmp_path / "index")
        same_labels(fc.open(tmp_path / "list.csv", root=root, labels=kinds), saved)
    with pytest.raises(OptionError, match="was made with labels="):
        fc.open(tmp_path / "list.csv", root=root, labels={"verb": "label"}, index=tmp_path / "index")


# Served


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_inputs_and_targets_by_name(workers):
    options = {"inputs": ("image", "state", "verb"), "targets": ("label", "verb", "mask"), "shuffle": True}
    found, table = batches(several(), workers=workers, transforms=[fc.Reverse(0.5)], **options)
    x, y = joined([x for x, _ in found]), joined([y for _, y in found])
    shown = np.maximum(table["frames"], ~table["frames"])
    np.testing.assert_array_equal(x["image"], images()[table["video"][:, None], shown])
    np.testing.assert_array_equal(x["state"], STATES[table["video"][:, None], shown])
    for verbs in (x["verb"], y["verb"], table["verb"]):
        np.testing.assert_array_equal(verbs, np.array([2, 0, 2, 1, 1, 2])[table["video"]])
    np.testing.assert_array_equal(y["label"], np.array(NOUNS)[table["video"]])
    plain, _ = batches(several(), targets="verb")
    np.testing.assert_array_equal(plain[0][1], [2, 2, 0, 0])


def test_auto_is_the_label_alone():
    assert {type(y) for _, y in batches(several())[0]} == {np.ndarray}
    unlabelled = arrays().with_labels("verb", VERBS, kind="label")
    assert {type(batch) for batch in batches(unlabelled)[0]} == {np.ndarray}
    with pytest.raises(OptionError, match="this dataset has no labels of this name, but 'verb'"):
        batches(unlabelled, targets="label")
    with pytest.raises(
        OptionError, match=r"'verbs' in inputs or targets is no stream .* has 'image', 'mask', 'verb'"
    ):
        batches(unlabelled, targets="verbs")


def test_what_the_plan_knows_of_each_clip(root):
    parts = [(name, 1, 2, 5) for name in names(root)]
    data = fc.open([(*part, 4.0) for part in parts], root=root, columns="path label start length fps")
    inputs = ("image", "frame_index", "timestamp", "video_index")
    found, table = batches(data, inputs=inputs, shuffle=True)
    x = joined([x for x, _ in found])
    shown = np.maximum(table["frames"], ~table["frames"])
    assert {name: x[name].dtype for name in inputs[1:]} == {
        "frame_index": np.int64,
        "timestamp": np.float64,
        "video_index": np.int64,
    }
    assert (table["frames"] < 0).any()
    np.testing.assert_array_equal(x["frame_index"], shown)
    np.testing.assert_array_equal(x["timestamp"], (shown + 2) / 4)
    np.testing.assert_array_equal(x["video_index"], table["video"])
    targets, _ = batches(data, targets=("timestamp", "label"), shuffle=True)
    np.testing.assert_array_equal(targets[0][1]["timestamp"], found[0][0]["timestamp"])
    with pytest.raises(
        OptionError,
        match=r"'timestamp' in inputs or targets: the times .* add the column fps",
    ):
        batches(fc.open(root), inputs=("image", "timestamp"))
    with pytest.raises(OptionError, match="must name a stream"):
        batches(data, inputs="frame_index", targets="label")


def test_a_resumed_loader_serves_the_same():
    options = {"batch_size": 2, "workers": 0, "shuffle": True, "targets": ("verb", "state")}
    with fc.ClipLoader(several(), fc.Windows(4), **options) as loader:
        next(iter(loader))
        state = loader.state_dict()
        whole = list(loader.epoch(0))
    with fc.ClipLoader(several(), fc.Windows(4), **options) as again:
        again.load_state_dict(state)
        for (x, y), (u, v) in zip(whole[1:], again, strict=True):
            np.testing.assert_array_equal(x, u)
            for name, target in y.items():
                np.testing.assert_array_equal(target, v[name])


def test_views_are_averaged_beside_their_labels():
    with fc.ClipLoader(
        several(), fc.Views(3, temporal=2), [fc.ThreeCrop(4)], batch_size=4, workers=0
    ) as loader:
        table = loader.plan_table(0)
        verbs = np.eye(3)[table["verb"]]
        np.testing.assert_array_equal(fc.average_views(verbs, loader).argmax(1), [2, 0, 2, 1, 1, 2])


def test_columns_of_the_table_are_no_names_of_labels():
    with fc.ClipLoader(arrays(), fc.Windows(4), batch_size=4, workers=0) as loader:
        assert set(loader.plan_table(0)) == set(COLUMNS)


# Mirrored


def test_mirrored_classes_by_name():
    turns = np.array(["left", "right", "on"])
    data = arrays(labels=turns[NOUNS]).with_labels("turn", turns[NOUNS], kind="label")
    swapped = {"left": "right", "right": "left", "on": "on"}
    served = {}
    for label_map in (
        {"left": "right"},
        {"turn": {"left": "right"}},
        {"turn": {"left": "right"}, "label": {0: 2}},
    ):
        flip = fc.RandomFlip(1.0, label_map=label_map)
        assert fc.RandomFlip(1.0, label_map=flip.label_map) == flip
        found, _ = batches(data, transforms=[flip], targets=("label", "turn"))
        served = joined([y for _, y in found])
        names = {name: np.array(data.classes_of(name))[served[name]] for name in served}
        plain = np.repeat(turns[NOUNS], 2).tolist()
        mirrored = [swapped[turn] for turn in plain]
        first = label_map.get("label") or "left" in label_map
        assert names["turn"].tolist() == (plain if "left" in label_map else mirrored)
        assert names["label"].tolist() == (mirrored if first else plain)
    refused = [
        ({"turns": {"left": "right"}}, "needs classes, but this dataset has no labels called 'turns'"),
        ({"turn": {"left": "up"}}, "label_map names 'up': must be a class"),
        ({"turn": {"left": "right"}, "on": "left"}, "must map classes to classes, or names of labels"),
        ({"turn": {"left": "left"}}, "must pair 'left' with one other"),
    ]
    for label_map, text in refused:
        with pytest.raises(OptionError, match=text):
            batches(data, transforms=[fc.RandomFlip(label_map=label_map)])


# Drawn


def test_the_sheet_shows_every_label():
    data = several(fc.open(images=images(), labels=NOUNS)).with_labels(
        "phase", [[0, 1] * 4] * VIDEOS, kind="frame_labels"
    )
    data = data.with_labels("grip", np.arange(VIDEOS) / 2, kind="target")
    targets = ("label", "verb", "state", "phase", "grip")
    inputs = ("image", "frame_index", "video_index")
    with fc.ClipLoader(
        data, fc.Windows(4), batch_size=4, workers=0, inputs=inputs, targets=targets
    ) as loader:
        sheet = lay_out(loader, loader._outputs.names, 2, 0)
        loader.preview(2)
    texts = [words.text for words in sheet.words]
    assert any("video_index 0   label 2   verb open   grip 0" in text for text in texts)
    assert texts.count("phase 0") == texts.count("phase 1") == 4
    assert sum(text.startswith("state ") for text in texts) == 8
