"""Which frame belongs to which: against dicts, as published data sets name things, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastclips.data import pairing
from fastclips.data.names import FileNames, natural_key
from fastclips.data.pairing import pair
from fastclips.data.scan import FrameTree
from fastclips.errors import DataError, OptionError


def trees(**streams):
    """Make streams of {video: names}, each under the root ``/name``."""
    return {
        stream: FrameTree(f"/{stream}", {video: FileNames.of(names) for video, names in videos.items()})
        for stream, videos in streams.items()
    }


def listed(paired):
    return {s: {video: files.names() for video, files in tree.videos.items()} for s, tree in paired.items()}


def jpgs(numbers, name="{:05d}.jpg"):
    return [name.format(number) for number in numbers]


# Against a slow reference


def slow_key(name, match):
    text = name.rpartition(".")[0]
    if match is None:
        return text
    found = re.search(match, text)
    parts = found.groups() or (found.group(),)
    return tuple(int(part) if part and part.isdecimal() else part for part in parts)


def slow_pairs(streams, match):
    """Return the streams with only what all of them have, and whether that is everything."""
    first = next(iter(streams))
    kept = {stream: {} for stream in streams}
    for video in streams[first]:
        if all(video in videos for videos in streams.values()):
            by_key = {
                s: {slow_key(name, match): name for name in videos[video]} for s, videos in streams.items()
            }
            common = [key for key in by_key[first] if all(key in names for names in by_key.values())]
            if common:
                for stream, names in by_key.items():
                    kept[stream][video] = [names[key] for key in common]
    return kept, all(
        videos.keys() == kept[first].keys() and all(len(videos[v]) == len(kept[s][v]) for v in videos)
        for s, videos in streams.items()
    )


MATCHES = {None: "{:03d}", r"\d+": "{:03d}", r"_(\d+)_": "{}_", r"(?:cam)?_(\d+)": "{:02d}"}


@st.composite
def streams_and_match(draw):
    match = draw(st.sampled_from(list(MATCHES)))
    streams = {}
    for stream in draw(st.sampled_from([("image", "mask"), ("image", "mask", "flow")])):
        named = draw(st.sampled_from(list(MATCHES.values()))) if match == r"\d+" else MATCHES[match]
        before = {None: "f", r"\d+": stream}.get(match, f"{stream}_")
        extension = draw(st.sampled_from([".jpg", ".png"]))
        frames = st.just(range(5)) | st.sets(st.integers(8, 12), min_size=1).map(sorted)
        videos = draw(st.lists(st.sampled_from(["a/v", "a/w", "b/v"]), unique=True, min_size=1))
        streams[stream] = {
            video: [before + named.format(number) + extension for number in draw(frames)] for video in videos
        }
    return streams, match


@given(streams_and_match())
@example(({"image": {"v": jpgs(range(5))}, "mask": {"v": jpgs(range(5), "{:05d}.png")}}, None))
@example(({"image": {"v": ["b.jpg", "a.jpg"]}, "mask": {"v": ["a.png", "b.png"]}}, None))
def test_pairs_agree_with_a_slow_reference(case):
    streams, match = case
    kept, whole = slow_pairs(streams, match)
    if whole:
        assert listed(pair(trees(**streams), match)) == kept
    else:
        with pytest.raises(
            DataError, match=r"^stream .* lacks \d+ of the \d+ (frames|videos) of all streams"
        ):
            pair(trees(**streams), match)
    if any(kept["image"].values()):
        paired = pair(trees(**streams), match, drop=True)
        assert listed(paired) == kept
        assert [list(tree.videos) for tree in paired.values()] == [list(kept["image"])] * len(streams)
        assert [tree.root for tree in paired.values()] == [f"/{stream}" for stream in streams]
    else:
        with pytest.raises(DataError, match=r"^unpaired='drop' leaves nothing: no frame of '/image' has"):
            pair(trees(**streams), match, drop=True)


@given(st.lists(st.sampled_from([*jpgs(range(12), "f{}.jpg"), "x.jpg"]), min_size=1, unique=True), st.data())
def test_what_is_left_has_the_first_streams_order(names, data):
    names = sorted(names, key=natural_key)
    others = data.draw(st.permutations([name.replace("jpg", "png") for name in names]))
    some = others[: data.draw(st.integers(1, len(others)))]
    paired = listed(pair(trees(image={"v": names}, mask={"v": some}), drop=True))
    assert paired["image"]["v"] == [name for name in names if name.replace("jpg", "png") in some]
    assert paired["mask"]["v"] == [name.replace("jpg", "png") for name in paired["image"]["v"]]


def test_evenly_numbered_streams_are_paired_without_their_names(monkeypatch):
    monkeypatch.setattr(pairing, "_keys", None)
    streams = trees(
        image={"v": jpgs(range(1, 90)), "w": jpgs(range(0, 50, 5), "f.{}.jpg")},
        mask={"v": jpgs(range(1, 90), "{:05d}.PNG"), "w": jpgs(range(0, 50, 5), "f.{}.png")},
    )
    assert pair(streams) == streams


@pytest.mark.parametrize(
    "masks",
    [
        jpgs(range(1, 4), "{:04d}.png"),
        jpgs(range(1, 4), "m{:05d}.png"),
        jpgs(range(2, 5), "{:05d}.png"),
        jpgs(range(1, 5), "{:05d}.png"),
        jpgs(range(1, 6, 2), "{:05d}.png"),
        ["00001.png", "00002.png", "00004.png"],
    ],
)
def test_numbers_alike_in_part_do_not_pair(masks):
    with pytest.raises(DataError, match="lacks"):
        pair(trees(image={"v": jpgs(range(1, 4))}, mask={"v": masks}))


# As data sets are published


def test_davis(caplog):
    frames = {"bear": jpgs(range(82)), "camel": jpgs(range(90))}
    masks = {video: jpgs(range(len(names)), "{:05d}.png") for video, names in frames.items()}
    assert listed(pair(trees(image=frames, mask=masks))) == {"image": frames, "mask": masks}
    assert not caplog.messages


def test_youtube_vos_has_a_mask_for_every_fifth_frame(caplog):
    frames = {"003234408d": jpgs(range(180)), "0043f083b5": jpgs(range(91)), "00f": jpgs(range(3))}
    masks = {
        "0043f083b5": jpgs(range(0, 91, 5), "{:05d}.png"),
        "003234408d": jpgs(range(0, 180, 5), "{:05d}.png"),
    }
    paired = pair(trees(image=frames, mask=masks), drop=True)
    assert list(paired["image"].videos) == list(paired["mask"].videos) == ["003234408d", "0043f083b5"]
    assert paired["image"].videos["0043f083b5"] == FileNames(19, "%05d.jpg", 0, 5)
    assert paired["mask"].videos["0043f083b5"] == FileNames(19, "%05d.png", 0, 5)
    assert caplog.messages == ["Dropped 1 videos ('00f') and 216 frames without a partner."]


def test_cityscapes_pairs_by_city_sequence_and_frame():
    frames = [f"aachen_{s:06d}_{f:06d}_leftImg8bit.png" for s in range(3) for f in (19, 20)]
    masks = [name.replace("leftImg8bit", "gtFine_labelIds") for name in frames]
    streams = trees(image={"aachen": frames}, mask={"aachen": masks[::-1]})
    paired = listed(pair(streams, r"(\w+?_\d+_\d+)_"))
    assert paired == {"image": {"aachen": frames}, "mask": {"aachen": masks}}


def test_a_key_may_lack_a_group():
    streams = trees(image={"v": ["1.jpg", "1b.jpg"]}, mask={"v": ["01b.png", "001.png"]})
    assert listed(pair(streams, r"(\d+)(b)?"))["mask"] == {"v": ["001.png", "01b.png"]}


def test_absolute_folders_pair_where_files_differ():
    streams = trees(image={"/data/v": jpgs(range(3))}, mask={"/data/v": jpgs(range(3), "{:05d}.png")})
    assert pair(streams) == streams


# What is refused

ADVICE = (
    "Streams are paired by the videos' folders and the frames' names without extension, or by match=: add "
    "the missing files, or drop their partners with unpaired='drop'."
)


@pytest.mark.parametrize(("full", "lacking"), [("image", "mask"), ("mask", "image")])
def test_a_missing_frame_names_its_stream(full, lacking):
    have = {full: {"a/v": jpgs(range(12), "{}.jpg"), "a/w": ["1.jpg"]}}
    have[lacking] = {"a/v": jpgs(range(5), "{}.png"), "a/w": ["1.jpg"]}
    with pytest.raises(DataError) as caught:
        pair(trees(image=have["image"], mask=have["mask"]))
    assert str(caught.value) == (
        f"stream '{lacking}' in '/{lacking}' lacks 7 of the 13 frames of all streams: 'a/v/5.jpg', "
        f"'a/v/6.jpg', 'a/v/7.jpg', 'a/v/8.jpg', 'a/v/9.jpg', .... {ADVICE}"
    )


@pytest.mark.parametrize(("full", "lacking"), [("image", "mask"), ("mask", "image")])
def test_a_missing_video_names_its_stream(full, lacking):
    have = {full: {f"a/v{n}": ["1.jpg"] for n in (1, 2, 10)}, lacking: {"a/v2": ["1.jpg"]}}
    with pytest.raises(DataError) as caught:
        pair(trees(image=have["image"], mask=have["mask"]))
    assert str(caught.value) == (
        f"stream '{lacking}' in '/{lacking}' lacks 2 of the 3 videos of all streams: 'a/v1', 'a/v10'. "
        f"{ADVICE}"
    )


def test_what_is_missing_goes_by_the_first_streams_name():
    streams = trees(image={"v": ["1.jpg", "2.jpg"]}, mask={"v": ["1.png", "2.png"]}, flow={"v": ["1.bmp"]})
    with pytest.raises(
        DataError, match=r"^stream 'flow' in '/flow' lacks 1 of the 2 frames .*: 'v/2\.jpg'\. "
    ):
        pair(streams)


def test_equal_counts_of_different_frames_do_not_pair():
    with pytest.raises(
        DataError, match=r"stream 'image' in .* lacks 1 of the 3 frames of all streams: 'a/v/3.png'"
    ):
        pair(trees(image={"a/v": ["1.jpg", "2.jpg"]}, mask={"a/v": ["2.png", "3.png"]}))


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("(", " (missing ), unterminated subpattern at position 0)"),
        ("*", " (nothing to repeat at position 0)"),
        (b"x", ", as a str"),
        (re.compile("x"), ", as a str"),
        (3, ", as a str"),
    ],
)
def test_a_match_that_is_no_pattern(match, why):
    with pytest.raises(OptionError) as caught:
        pair(trees(image={"v": ["1.jpg"]}), match)
    assert str(caught.value) == f"match={match!r}: must be a regular expression{why}"


def test_a_match_that_finds_nothing():
    with pytest.raises(DataError) as caught:
        pair(trees(image={"a/v": ["f1.jpg", "cover.jpg"]}), r"\d+")
    assert str(caught.value) == (
        "match= finds nothing in 'cover.jpg' of '/image/a/v': every frame's stem must match."
    )


@pytest.mark.parametrize(
    ("match", "names"), [(r"\d+", ["f1.jpg", "f01.jpg"]), (r"(f)\d", ["f1.jpg", "f2.jpg"])]
)
def test_a_match_that_finds_the_same_in_two_frames(match, names):
    with pytest.raises(DataError) as caught:
        pair(trees(image={"a/v": names}), match)
    assert str(caught.value) == (
        f"match= finds the same in '{names[0]}' and '{names[1]}' of '/image/a/v': keys of frames must differ."
    )


@pytest.mark.parametrize("masks", [{"w": ["1.jpg"]}, {"v": ["2.jpg"]}])
def test_dropping_everything(masks):
    with pytest.raises(DataError) as caught:
        pair(trees(image={"v": ["1.jpg"]}, mask=masks), drop=True)
    assert str(caught.value) == (
        "unpaired='drop' leaves nothing: no frame of '/image' has a partner in each stream. Videos are "
        "paired by folder, frames by name or by match=."
    )


@pytest.mark.parametrize("match", [None, r"\d+"])
def test_absolute_folders_would_be_the_same_in_every_stream(match):
    videos = {"a/v": ["1.jpg"], "/data/v": ["1.jpg", "2.jpg", "4.jpg"]}
    with pytest.raises(DataError) as caught:
        pair(trees(image=videos, mask=videos), match)
    assert str(caught.value) == (
        "two of the streams 'image', 'mask' would show the same files in '/data/v': a path that begins "
        "with '/' is not below any root. List paths relative to the roots, or give each stream "
        "its own frames=."
    )
