"""Descriptions of options, as states hold them."""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

import fastclips as fc
from fastclips.serving.descriptions import describe


@dataclass(frozen=True)
class Declared:
    table: object
    name: str = "a"


class Bare:
    def __init__(self, value):
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def function():
    pass


@lru_cache
def cached():
    pass


DIFFERENT = [
    None,
    1,
    1.5,
    True,
    "1",
    (),
    (1, 2),
    {1: 2},
    {1, 2},
    function,
    cached,
    partial(function, 1),
    partial(function, 2),
    partial(function, a=1),
    Bare,
    Bare(1),
    Bare(2),
    Slotted(1),
    Slotted(2),
    Declared(1),
    Declared(1, "b"),
    Declared(np.arange(5000)),
    Declared(np.arange(5000)[::-1]),
    np.arange(4),
    np.sqrt,
    np.flip,
    np.arange(4.0),
    np.array([None, 1]),
    Bare(1).__init__,
    fc.Apply(function),
    fc.Apply(cached),
    fc.Apply(function, per="frame"),
    fc.RandomFlip(label_map={"a": "b"}),
    fc.RandomFlip(),
    fc.FeatureWise(np.zeros((4, 4, 3)), np.ones((4, 4, 3))),
    fc.FeatureWise(np.zeros((4, 4, 3)), 2 * np.ones((4, 4, 3))),
    fc.Windows(3),
]


def test_descriptions_differ_and_name_no_address():
    texts = [describe(thing) for thing in DIFFERENT]
    assert len(set(texts)) == len(texts)
    assert not any("0x" in text for text in texts)
    assert [describe(thing) for thing in DIFFERENT] == texts
    assert describe(function) == f"{function.__module__}.function"
    assert describe(Declared(np.float64(0.5))) == "Declared(table=0.5, name='a')"


def test_options_of_later_versions_are_told_where_they_are_used():
    """So that states of 0.1.0 fit the same transforms."""
    assert describe(fc.Resize(9)) == "Resize(size=(9, 9), short_side=None, long_side=None)"
    assert describe(fc.Resize(9, pad=3)) == "Resize(size=(9, 9), short_side=None, long_side=None, pad=3)"


def test_a_function_that_was_called_is_described_alike():
    apply = fc.Apply(lambda clip: clip)
    before = describe(apply)
    data = fc.open(images=np.zeros((2, 8, 16, 16, 3), np.uint8))
    with fc.ClipLoader(data, fc.Windows(4), [apply], batch_size=2, workers=0) as loader:
        next(iter(loader))
    assert describe(apply) == before


def test_a_circle_is_described():
    thing = Bare(1)
    thing.value = [thing]
    assert describe(thing).startswith("Bare(value=(Bare(value=(")


def test_what_is_large_is_described_in_short(monkeypatch):
    assert len(describe(list(range(10**6)))) < 10**7
    monkeypatch.setattr("fastclips.serving.descriptions._ARRAY_BYTES", 64)
    numbers = np.arange(1000)
    assert describe(numbers) != describe(numbers + 1)
    assert describe(numbers) == describe(np.array(numbers))


def test_a_class_whose_repr_fails():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no repr")

    assert describe(Declared(Broken())).startswith("Declared(table=test_a_class")


# Names
