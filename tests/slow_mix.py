"""Mixes for property tests, and a slow version of their plan: lists of clips, taken from generators."""

from __future__ import annotations

from fractions import Fraction
from itertools import count

import numpy as np
from hypothesis import strategies as st
from slow_plan import SAMPLERS

from fastclips.data.sets import Sets
from fastclips.planning.clips import Videos
from fastclips.planning.draws import Draws, Purpose
from fastclips.planning.per_set import checked_sampler


@st.composite
def mixed_options(draw):
    """Arguments of Plan for a mix of sets that all have clips; of the samplers of each number of steps."""
    steps = draw(st.sampled_from([2, 3, 4]))
    samplers = [sampler for sampler in SAMPLERS if sampler.time_steps == steps]
    sizes = draw(st.lists(st.lists(st.integers(9, 30), min_size=1, max_size=4), min_size=1, max_size=4))
    counts = np.array([frames for of_set in sizes for frames in of_set])
    weights = draw(st.none() | st.lists(st.floats(0.3, 3), min_size=len(sizes), max_size=len(sizes)))
    clips = draw(st.integers(60, 130) if weights is None else st.none() | st.integers(40, 130))
    if weights is not None and len(sizes) > 1 and draw(st.booleans()):
        weights[draw(st.integers(0, len(sizes) - 1))] = 0.0
    sets = Sets(tuple(map(len, sizes)), weights and tuple(weights), clips)
    one = draw(st.booleans())
    given = (
        draw(st.sampled_from(samplers))
        if one
        else [draw(st.sampled_from(samplers)) for _ in range(len(sizes))]
    )
    return {
        "videos": Videos(counts, np.array([draw(st.sampled_from([12.5, 25, 29.97])) for _ in counts])),
        "sampler": checked_sampler(given, sets),
        "shares": sets,
        "draws": draw(st.integers(0, 5)),
        "views": draw(st.integers(1, 3)),
        "shuffle": True,
        "seed": draw(st.integers(0, 2**64 - 1)),
    }


def naive_shares(total, weights):
    """Divide a number by weights: what is left goes to the largest remainders, the first of equal ones."""
    exact = [total * Fraction(weight) / sum(map(Fraction, weights)) for weight in weights]
    parts = [int(quota) for quota in exact]
    while sum(parts) < total:
        left = [quota - part for quota, part in zip(exact, parts, strict=True)]
        parts[left.index(max(left))] += 1
    return parts


def naive_stream(number, videos, sampler, seed, views, first):
    """Yield (video, view of the sampler and recipe, recipe's view, frames) of a set, pass by pass."""
    for of_pass in count():
        clips = sampler.clips(videos, Draws(seed, of_pass, first))
        frames = sampler.frames(clips, videos).tolist()
        rows = [
            (first + video, of_sampler * views + view, view, shown)
            for video, of_sampler, shown in zip(
                clips.video.tolist(), clips.view.tolist(), frames, strict=True
            )
            for view in range(views)
        ]
        begin = of_pass * len(rows)
        words = [
            int(Draws(seed, number).words(Purpose.STREAM, begin + row, 1, 1)[0, 0])
            for row in range(len(rows))
        ]
        yield from (rows[row] for row in sorted(range(len(rows)), key=words.__getitem__))


def naive_mixed_epochs(videos, sampler, shares, *, views, seed, epochs, **_):
    """List the clips of each of some epochs from 0 on, and the clips of each set in an epoch."""
    streams, sizes = [], []
    for number, (begin, end) in enumerate(shares.ranges):
        part = Videos(videos.frame_counts[begin:end], videos.fps[begin:end])
        own = sampler.samplers[number]
        sizes.append(len(own.clips(part, Draws(seed, 0))) * views)
        streams.append(naive_stream(number, part, own, seed, views, begin))
    total = sum(sizes) if shares.clips_per_epoch is None else shares.clips_per_epoch
    counts = naive_shares(total, sizes if shares.weights is None else shares.weights)
    found = []
    for epoch in range(epochs):
        words = [int(Draws(seed, epoch).words(Purpose.SPREAD, item, 1, 1)[0, 0]) for item in range(total)]
        spread = sorted(range(total), key=words.__getitem__)
        rows = [None] * total
        for number, of_set in enumerate(counts):
            begin = sum(counts[:number])
            for position in sorted(spread[begin : begin + of_set]):
                rows[position] = next(streams[number])
        found.append(rows)
    return found, counts, sizes
