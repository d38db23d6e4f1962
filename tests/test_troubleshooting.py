"""docs/troubleshooting.md lists the verdicts that `stats()` can give, in the words of the code."""

import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastclips as fc
from fastclips.serving import stats as stats_module
from fastclips.serving.frame_places import FramePlaces
from fastclips.serving.frame_plan import FramePlan

PAGE = (Path(__file__).parents[1] / "docs/troubleshooting.md").read_text()
TABLE = re.compile(r"^<!-- verdicts -->\n\|.*\n\| ---.*\n((?:\|.*\n)+)", re.MULTILINE)
MIB = 2**20


def masked(text):
    """Without numbers; the page says which words may replace each other."""
    text = re.sub(r"\d+", "N", text.strip().removesuffix("."))
    return re.sub(r"^(resampling and cropping|reading(?= in its own))", "decoding", text)


def listed():
    """What the first columns say: one set for each table."""
    return [
        {
            masked(code)
            for row in rows.splitlines()
            for _, code in re.findall(r"(`+)(.+?)\1", row.split("|")[1])
        }
        for rows in TABLE.findall(PAGE)
    ]


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(stats_module, "usable_cores", lambda **_: 8)


def runs():
    """Runs of every kind: what takes longest, who waits, with how many workers."""
    parts = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    for workers, part, work, idle, (waited, start), ahead in product(
        (0, 2, 8, 20), parts, (1, 30, 200), (0, 1000), ((0.1, 0), (9, 0), (9, 8)), (0, 1)
    ):
        read, decode, kernel = (work * share for share in part)
        times = {"read_s": read, "decode_s": decode, "kernel_s": kernel, "idle_s": idle * min(workers, 1)}
        times |= {"seconds": 10, "waited_s": waited, "start_s": start * min(workers, 1)}
        others = dict.fromkeys(("clips", "frames", "bytes_read", "frames_served", "resident_bytes"), 1)
        yield fc.Stats(**times, **others, workers=workers, ahead_bytes=ahead)


def test_every_verdict_is_on_the_page(cores):  # noqa: ARG001 - it sets the number
    begin = r"training waits for data \d+% of the time: "
    given = {masked(re.sub(begin, "", run.verdict)) for run in runs()}
    given.add(masked(fc.Stats(*[0] * 12).verdict))
    assert given == listed()[0]


def test_every_further_sentence_is_on_the_page(cores):  # noqa: ARG001 - it sets the number
    given = set()
    for knob, lanes in product(("memory", "cache"), (0, 32)):
        more = SimpleNamespace(knob=knob, lanes=lanes, frames=1000, nbytes=MIB)
        engine = SimpleNamespace(frames=10, frame_nbytes=MIB, wanted_nbytes=MIB)
        plan = SimpleNamespace(counts={"lost": 40, "uses": 100, "hits": 0}, _more=more, _engine=engine)
        given.add(FramePlan.advice.fget(plan))
    given.add(FramePlaces.advice.fget(SimpleNamespace(_lost=40, _uses=100, _missing=900)))
    run = next(run for run in runs() if run.decode_s)
    parts = [fc.Stats(**{**vars(run), "movie_frames": frames}).verdict for frames in (0, 1)]
    given.add(parts[1].removeprefix(parts[0]))
    assert all(given)
    assert {masked(sentence) for sentence in given} == listed()[1]
    advised = fc.Stats(**{**vars(run), "cache_advice": "So."})
    assert advised.verdict == f"{parts[0]} So."
