"""A slow version of the order in lanes that is obviously right."""

from itertools import groupby

from fastclips.planning.draws import Purpose
from fastclips.planning.lanes import RUN, SEGMENT


def naive_lanes(rows, lanes, views, draws, run=RUN, segment=SEGMENT):
    """Order rows, which begin with their video, as `fastclips.planning.lanes` says, step by step."""
    if draws is not None:
        clips = [rows[first : first + views] for first in range(0, len(rows), views)]
        runs = []
        for _, of_video in groupby(clips, key=lambda clip: clip[0][0]):
            rest = [*of_video]
            while rest:
                runs.append(rest[:run])
                rest = rest[run:]
        words = [int(draws.words(Purpose.LINE, number, 1, 1)[0, 0]) for number in range(len(runs))]
        order = sorted(range(len(runs)), key=words.__getitem__)
        rows = [row for number in order for clip in runs[number] for row in clip]
    lengths = [len(rows) // lanes + (lane < len(rows) % lanes) for lane in range(lanes)]
    size = min(segment * views, max(lengths))
    walks = []
    for lane, length in enumerate(lengths):
        walk, rows = rows[:length], rows[length:]
        begin = -(lane * size // lanes)
        for number in range(length // size + 2) if draws is not None else ():
            units = draws.units(Purpose.SEGMENT, number * lanes + lane, 1, size)[0].tolist()
            within = [place for place in range(begin, begin + size) if 0 <= place < length]
            mixed = sorted(within, key=lambda place: units[place - begin])
            if within:
                walk[within[0] : within[-1] + 1] = [walk[place] for place in mixed]
            begin += size
        walks.append(walk)
    return [walks[position % lanes][position // lanes] for position in range(sum(lengths))]
