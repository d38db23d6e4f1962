"""Draws, against a slow Philox that is obviously right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastclips.planning.draws
from fastclips.planning.draws import Draws, Purpose, order_of


def philox(counter, key):
    """Philox4x64-10 as Salmon et al. (2011) print it."""
    low = 2**64 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = q >> 64 ^ b ^ k0, q & low, p >> 64 ^ d ^ k1, p & low
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & low, (k1 + 0xBB67AE8584CAA73B) & low
    return [a, b, c, d]


def naive_words(seed, epoch, purpose, items, columns):
    return [
        [philox((item, column // 4, epoch, 0), (seed, purpose))[column % 4] for column in range(columns)]
        for item in items
    ]


# Random123's kat_vectors, "philox4x64 10".
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    (
        [2**64 - 1] * 4,
        [2**64 - 1] * 2,
        [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
    ),
    (
        [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_reference_is_philox(counter, key, answer):
    assert philox(counter, key) == answer


def test_known_answer_of_draws():
    assert Draws(0, 0).words(Purpose.ORDER, 0, 1, 4).tolist() == [KNOWN_ANSWERS[0][2]]


def test_golden_draws():
    # If this fails, every user's clips change: do not mend the numbers, mend the stream.
    units = Draws(seed=1234, epoch=5).units(Purpose.RECIPE, 100, 2, 5)
    assert units.tolist() == [
        [0.44583523931166835, 0.4812304259102801, 0.8241109124050027, 0.2271889660338522, 0.7933757479690079],
        [
            0.8880236523190069,
            0.29303631761383253,
            0.3914835393392927,
            0.2925941094426209,
            0.08270908080146233,
        ],
    ]
    assert [Draws(1234, 5).words(purpose, 7, 1, 1)[0, 0] for purpose in Purpose] == [
        15164548847608579634,
        9399866438178696935,
        6109591875197920862,
        10897182925683163808,
        8632574625637431499,
        17539844763125456894,
        8910551991624862514,
        7686158780829838160,
        9427699008815534516,
        18395860136666626738,
    ]


@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**63 - 1),
    purpose=st.sampled_from(Purpose),
    first=st.integers(0, 2**62),
    items=st.integers(0, 5),
    columns=st.integers(0, 11),
)
def test_words_are_philox_of_seed_purpose_epoch_item_column(*, seed, epoch, purpose, first, items, columns):
    words = Draws(seed, epoch).words(purpose, first, items, columns)
    assert words.shape == (items, columns)
    assert words.tolist() == naive_words(seed, epoch, purpose, range(first, first + items), columns)


def test_units_are_uniform():
    units = Draws(3, 1).units(Purpose.RECIPE, 0, 50_000, 8)
    assert units.min() >= 0
    assert units.max() < 1
    histogram, _ = np.histogram(units, bins=100, range=(0, 1))
    expected = units.size / 100
    assert ((histogram - expected) ** 2 / expected).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(units, rowvar=False) - np.eye(8)).max() < 5 / math.sqrt(50_000)
    assert abs(np.corrcoef(units[:-1, 0], units[1:, 0])[0, 1]) < 5 / math.sqrt(50_000)


def test_units_take_the_upper_53_bits(monkeypatch):
    words = np.array([[0, 2**11 - 1, 2**11, 2**63, 2**64 - 1]], np.uint64)
    monkeypatch.setattr(Draws, "words", lambda *_: words)
    assert Draws(0, 0).units(Purpose.RECIPE, 0, 1, 5).tolist() == [[0, 0, 2**-53, 0.5, 1 - 2**-53]]


@given(
    seed=st.integers(0, 2**64 - 1),
    purpose=st.sampled_from(Purpose),
    items=st.lists(st.integers(0, 20) | st.integers(0, 2**62), max_size=30),
    columns=st.integers(0, 6),
)
def test_units_at_any_items(*, seed, purpose, items, columns):
    draws = Draws(seed, 3)
    units = draws.units_at(purpose, np.array(items, np.int64), columns)
    assert units.shape == (len(items), columns)
    assert units.tolist() == [draws.units(purpose, item, 1, columns)[0].tolist() for item in items]


@pytest.mark.parametrize("items", [0, 1, 70, 99, 100, 250])
def test_first_words_are_the_first_column_whatever_the_pieces(monkeypatch, items):
    monkeypatch.setattr(fastclips.planning.draws, "_PIECE", 50)
    draws = Draws(7, 1)
    words = draws.first_words(Purpose.ORDER, items)
    assert words.tolist() == draws.words(Purpose.ORDER, 0, items, 1)[:, 0].tolist()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.integers(1, 6), st.integers(1, 6))
def test_numbers_of_a_video_do_not_depend_on_how_many_are_asked_for(seed, epoch, videos, columns):
    draws = Draws(seed, epoch)
    found = draws.of_videos(videos, columns)
    assert found.shape == (videos, columns)
    np.testing.assert_array_equal(found, draws.of_videos(9, 9)[:videos, :columns])
    np.testing.assert_array_equal(found, draws.units(Purpose.WINDOW, 0, videos, columns))


@given(
    st.lists(st.tuples(st.integers(0, 3) | st.just(2**32 - 1), st.integers(0, 5)), max_size=60),
    st.integers(1, 9),
)
def test_an_order_is_a_stable_argsort_also_where_words_are_equal_in_half_or_whole(halves, piece):
    """Random words are hardly ever equal in their upper half, so these are made so."""
    words = np.array([upper << 32 | lower for upper, lower in halves], np.uint64)
    pieces = [(first, words[first : first + piece]) for first in range(0, len(words), piece)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastclips.planning.draws, "_PIECE", piece)
        order = order_of(pieces, len(words))
    assert order.tolist() == np.argsort(words, kind="stable").tolist()


@pytest.mark.parametrize("items", [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 150_000])
def test_the_order_of_items_sorts_their_first_words(items):
    draws = Draws(3, 5)
    expected = np.argsort(draws.first_words(Purpose.ORDER, items), kind="stable")
    order = draws.order(Purpose.ORDER, items)
    assert order.dtype == np.uint32
    np.testing.assert_array_equal(order, expected)
