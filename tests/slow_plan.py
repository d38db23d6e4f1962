"""Plans for property tests, and a slow version that is obviously right."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from slow_lanes import naive_lanes

from fastclips.planning.clips import Videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.samplers import RandomWindow, Segments, Views, Windows

SAMPLERS = [
    Windows(3),
    Windows(2, step=1, dilation=3),
    Windows(4, step=2, tail="pad", short="loop"),
    RandomWindow(4),
    RandomWindow(9, fps=10, short="pad"),
    Segments(3, views=2),
    Views(2, temporal=3, fps=50),
]


@st.composite
def plan_options(draw):
    """Arguments of Plan that leave at least one clip."""
    counts = np.array([*draw(st.lists(st.integers(0, 30), max_size=8)), draw(st.integers(9, 30))])
    shuffle = draw(st.booleans())
    weight = st.sampled_from([0.0, 1.0, 2.5]) | st.floats(1e-3, 1e3)
    arguments = {
        "videos": Videos(counts, np.array([draw(st.sampled_from([12.5, 25, 29.97])) for _ in counts])),
        "sampler": draw(st.sampled_from(SAMPLERS)),
        "draws": draw(st.integers(0, 9)),
        "views": draw(st.integers(1, 3)),
        "weights": [draw(weight) for _ in counts[1:]] + [1.0] if shuffle and draw(st.booleans()) else None,
        "shuffle": shuffle,
        "seed": draw(st.integers(0, 2**64 - 1)),
    }
    clips = len(arguments["sampler"].clips(arguments["videos"], Draws(0, 0))) * arguments["views"]
    if clips and arguments["weights"] is None:
        arguments["interleave"] = draw(st.none() | st.integers(1, clips))
    return arguments


def naive_epoch(videos, sampler, *, views, weights, shuffle, seed, epoch, interleave=None, **_):
    """List (video, view, recipe's view, frames) of all clips in order."""
    draws = Draws(seed, epoch)
    clips = sampler.clips(videos, draws)
    frames = sampler.frames(clips, videos).tolist()
    rows = [
        (video, of_sampler * views + view, view, shown)
        for video, of_sampler, shown in zip(clips.video.tolist(), clips.view.tolist(), frames, strict=True)
        for view in range(views)
    ]
    if weights is not None:
        chances = [Fraction(weights[row[0]]) for row in rows]
        units = [draws.units(Purpose.CHOICE, position, 1, 1)[0, 0] for position in range(len(rows))]
        return [rows[place_on(chances, Fraction(float(unit)))] for unit in units]
    if interleave:
        return naive_lanes(rows, interleave, views, draws if shuffle else None)
    if shuffle:
        words = [int(draws.words(Purpose.ORDER, row, 1, 1)[0, 0]) for row in range(len(rows))]
        return [rows[row] for row in sorted(range(len(rows)), key=words.__getitem__)]
    return rows


def place_on(chances, unit):
    """Return which of some lengths, end to end, a share of their sum falls on."""
    place = unit * sum(chances)
    for number, chance in enumerate(chances):
        if place < chance:
            return number
        place -= chance
    raise AssertionError


def naive_positions(clips, batch_size, world, drop_last):
    """List, for each rank, the positions of each of its batches: the rules one by one."""
    positions = list(range(clips))
    if not drop_last:
        while len(positions) % world:
            positions.append(len(positions))
    ranks = [[] for _ in range(world)]
    while positions:
        together, positions = positions[: world * batch_size], positions[world * batch_size :]
        if drop_last and len(together) < world * batch_size:
            break
        rows = len(together) // world
        for rank in range(world):
            ranks[rank].append(together[rank * rows : (rank + 1) * rows])
    return ranks


def all_batches(plan, epoch):
    return [plan.clips(epoch, batch) for batch in range(len(plan))]


def content(clips):
    """Return planned clips as one comparable value, to the bit."""
    return [np.asarray(column).tobytes() for column in clips]


def by_row(clips):
    """List position, padding and all that must follow from the position of each clip."""
    columns = (clips.video, clips.view, clips.draws, clips.frames)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return list(zip(clips.position.tolist(), clips.padding.tolist(), rows, strict=True))
