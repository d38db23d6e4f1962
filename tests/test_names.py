"""Natural order, names in blobs, and evenly numbered names as templates, against slow references."""

from __future__ import annotations

import os
import pickle
import re
import string
from functools import cmp_to_key

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastclips.data.names import FileNames, Names, natural_key, sequences, stem, template_of

# Natural order


def slowly_less(a, b):
    """Compare as the docstring of natural_key says, reading one character or number at a time."""
    for one, other in zip(a.split("/"), b.split("/"), strict=False):
        order = compare_names(one.casefold(), other.casefold()) or (one > other) - (one < other)
        if order:
            return order
    return a.count("/") - b.count("/")


def compare_names(a, b):
    while a and b:
        if a[0] in string.digits and b[0] in string.digits:
            one, other = leading_number(a), leading_number(b)
            if int(one) != int(other):
                return int(one) - int(other)
            a, b = a[len(one) :], b[len(other) :]
            continue
        if (a[0] in string.digits) != (b[0] in string.digits):
            # The run of text before a number has ended in one of them: the shorter run comes first.
            return -1 if a[0] in string.digits else 1
        if a[0] != b[0]:
            return -1 if a[0] < b[0] else 1
        a, b = a[1:], b[1:]
    return len(a) - len(b)


def leading_number(text):
    return text[: len(text) - len(text.lstrip(string.digits))]


@given(st.lists(st.text(st.sampled_from("aAbf019_-./ß²"), max_size=8), max_size=8))
@example(["f10", "f2", "F2", "f02", "f2a", "f", "a/v1", "a-b/v1", "a/v10", "a/v9"])
def test_natural_key_agrees_with_a_slow_reference(paths):
    assert sorted(paths, key=natural_key) == sorted(paths, key=cmp_to_key(slowly_less))


def test_natural_order_of_known_names():
    names = ["f1", "F1", "f01", "f2", "f10", "F9", "g1", "f", "f10b", "f10a"]
    assert sorted(names, key=natural_key) == ["f", "F1", "f01", "f1", "f2", "F9", "f10", "f10a", "f10b", "g1"]


@pytest.mark.parametrize(
    ("name", "expected"), [("img_1.jpg", "img_1"), ("a.b.png", "a.b"), ("frame", "frame"), ("v.", "v")]
)
def test_a_stem_lacks_the_last_extension(name, expected):
    assert stem(name) == expected


# Names

texts = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6))


def same(names, expected):
    assert len(names) == len(expected)
    assert list(names) == expected
    assert [names.encoded(number) for number in range(len(names))] == [os.fsencode(text) for text in expected]


@given(texts, st.data())
def test_names_are_a_sequence_of_texts(expected, data):
    names = Names.of(expected)
    same(names, expected)
    cut = data.draw(st.slices(len(expected)))
    assert names[cut] == expected[cut]
    rows = data.draw(st.lists(st.integers(0, len(expected) - 1)) if expected else st.just([]))
    taken = names.take(np.array(rows, np.int64))
    same(taken, [expected[row] for row in rows])
    again = data.draw(st.lists(st.integers(0, len(rows) - 1)) if rows else st.just([]))
    same(taken.take(np.array(again, np.int64)), [expected[rows[row]] for row in again])
    same(pickle.loads(pickle.dumps(taken)), list(taken))


def test_a_name_that_is_no_utf8_comes_back():
    names = [os.fsdecode(b"a/\xff"), "ü"]
    assert list(Names.of(names)) == names


def test_names_count_from_either_end():
    names = Names.of(["a", "b", "c"]).take(np.array([2, 0]))
    assert [names[-2], names[-1], names[np.int64(0)]] == ["c", "a", "c"]
    for number in (2, -3):
        with pytest.raises(IndexError, match=f"there is no name {number} of 2"):
            names[number]


def test_digests_differ_where_names_do():
    names = Names.of(["a", "b", "c"])
    rows = ([0, 1, 2], [2, 1, 0], [0, 1], [0], [0, 0])
    digests = {names.take(np.array(some)).digest() for some in rows}
    digests.add(Names.of(["a", "bc"]).digest())
    assert len(digests) == len(rows) + 1
    assert all(len(digest) == 16 for digest in digests)


def test_all_names_in_order_have_the_digest_of_the_names():
    names = Names.of(["a", "b"])
    assert names.take(np.array([0, 1])).digest() == names.digest() == Names.of(["a", "b"]).digest()


# Templates


@pytest.mark.parametrize(
    ("pattern", "seventh"),
    [
        ("img_{:05d}.jpg", "img_00007.jpg"),
        ("img_{:05}.jpg", "img_00007.jpg"),
        ("img_%05d.jpg", "img_00007.jpg"),
        ("img_{0:05d}.jpg", "img_00007.jpg"),
        ("img_{i:05d}.jpg", "img_00007.jpg"),
        ("img_{frame:05}.jpg", "img_00007.jpg"),
        ("{}.png", "7.png"),
        ("{:d}.png", "7.png"),
        ("%d.png", "7.png"),
        ("{:010d}", "0000000007"),
        ("10{:02}-20.jpg", "1007-20.jpg"),
        ("100%_{:03d}%.jpg", "100%_007%.jpg"),
        ("50%%_%02d.jpg", "50%%_07.jpg"),
        ("%{:03}", "%007"),
        ("{x}_%02d.jpg", "{x}_07.jpg"),
    ],
)
def test_a_template_has_one_place_for_the_number(pattern, seventh):
    assert template_of(pattern) % 7 == seventh


@pytest.mark.parametrize(
    "pattern",
    ["img_*.jpg", "*", "", "{:05d}_{:05d}.jpg", "%d_{}.jpg", "100%done_%05d.jpg", "{:5.2f}", "{:00d}"],
)
def test_a_pattern_without_one_place_is_no_template(pattern):
    assert template_of(pattern) is None


# Names of one video


def numbered(before, after, width, first, count, stride):
    return [f"{before}{number:0{width}d}{after}" for number in range(first, first + count * stride, stride)]


pieces = st.text(st.sampled_from("a_%-. d0"), max_size=4)
runs = st.builds(
    numbered,
    pieces,
    pieces,
    st.integers(1, 6),
    st.integers(0, 120) | st.integers(10**17, 10**19),
    st.integers(1, 12),
    st.integers(1, 12) | st.just(10**18),
)
any_names = st.lists(
    st.text(st.sampled_from("a_%.019") | st.characters(exclude_characters="\0"), min_size=1, max_size=6),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(runs | any_names)
@example(["9.jpg", "10.jpg"])
@example(["09.jpg", "10.jpg", "100.jpg"])
@example(["f1.jpg", "f01.jpg"])
@example(["%d1.jpg", "%d2.jpg"])
@example(["2.jpg", "1.jpg"])
@example([f"{10**30 + n}.jpg" for n in range(3)])
@example(["1.jpg", "2.jpg", "4.jpg"])
@example(["a1_8bit.png", "a2_8bit.png"])
@example(["1_1.jpg", "2_2.jpg"])
def test_file_names_give_back_the_names(names):
    files = FileNames.of(names)
    assert files.names() == names
    assert files.stems() == [stem(name) for name in names]
    assert files.count == len(names)


@given(
    st.text(st.sampled_from("a_%."), max_size=3),
    st.integers(1, 6),
    st.integers(0, 120),
    st.integers(1, 200),
    st.integers(1, 12),
)
def test_evenly_numbered_names_take_no_list(before, width, first, count, stride):
    files = FileNames.of(numbered(before, ".jpg", width, first, count, stride))
    assert not files.listed
    assert files.template is not None
    assert files.numbers() == range(first, first + count * files.stride, files.stride)
    assert files.stride == (stride if count > 1 else 1)


@pytest.mark.parametrize(
    "names",
    [
        ["cover.jpg", "end.jpg"],
        ["1.jpg", "2.jpg", "4.jpg"],
        ["1.jpg", "2.png"],
        ["1.jpg", "02.jpg"],
        ["a1.jpg", "b2.jpg"],
        ["1_1.jpg", "2_2.jpg"],
        [f"{10**18}.jpg", f"{10**18 + 1}.jpg"],
    ],
)
def test_other_names_are_listed(names):
    assert FileNames.of(names).template is None


def test_the_number_that_differs_is_the_frames():
    names = [f"aachen_{n:06d}_leftImg8bit.png" for n in range(3)]
    assert FileNames.of(names) == FileNames(3, "aachen_%06d_leftImg8bit.png")


# Gaps


@pytest.mark.parametrize(
    ("names", "gap"),
    [
        (["1.jpg", "2.jpg", "4.jpg"], True),
        (["0.jpg", "5.jpg", "10.jpg"], False),
        (["0.jpg", "5.jpg", "10.jpg", "20.jpg"], True),
        (["f8.jpg", "f9.jpg", "f10.jpg", "f12.jpg"], True),
        (["1.jpg", "3.jpg"], False),
        (["1.jpg"], False),
        (["1.jpg", "2.png", "3.jpg"], False),
        (["1.jpg", "2.png", "4.jpg"], True),
        (["a.jpg", "b.jpg", "d.jpg"], False),
        (["1.jpg", "2.jpg", "cover.jpg", "9.jpg"], False),
        (["a1.jpg", "a2.jpg", "b1.jpg", "b7.jpg"], False),
        (["a1_8bit.png", "a2_8bit.png", "a4_8bit.png"], True),
    ],
)
def test_a_gap_is_an_uneven_number(names, gap):
    assert FileNames.of(names).has_gap() is gap


@given(st.integers(0, 100), st.integers(3, 30), st.integers(1, 5), st.data())
def test_one_missing_frame_within_is_a_gap(first, count, stride, data):
    names = numbered("f", ".jpg", 3, first, count + 1, stride)
    assert not FileNames.of(names).has_gap()
    del names[data.draw(st.integers(1, count - 1))]
    assert FileNames.of(names).has_gap()


# Sequences


def split_at(text, place):
    """Cut a text at its number of some place, counted from 0."""
    match = list(re.finditer("[0-9]+", text))[place]
    return (text[: match.start()], text[match.end() :]), match[0]


def slow_sequences(names):
    found = {}
    for text in filter(re.compile("[0-9]").search, names):
        alike = [other for other in names if re.sub("[0-9]+", "0", other) == re.sub("[0-9]+", "0", text)]
        numbers = [re.findall("[0-9]+", other) for other in alike]
        places = range(len(numbers[0]))
        differing = [place for place in places if any(n[place] != numbers[0][place] for n in numbers)]
        key, number = split_at(text, differing[-1] if differing else places[-1])
        found.setdefault(key, []).append(number)
    return found


@given(st.lists(st.text(st.sampled_from("a_01"), max_size=5), max_size=8, unique=True))
def test_sequences_agree_with_a_slow_reference(names):
    assert sequences(names) == slow_sequences(names)
