"""Tickets of a loader: the only place where rows of the index become the storage's own numbers."""

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Five parts of three videos, so that rows of the index are not the storage's numbers."""
    root = make_frames(tmp_path_factory.mktemp("frames"), videos=3, frames=12, height=8, width=8)
    videos = sorted(str(path) for path in root.glob("*/*"))
    rows = [(2, 0, 5), (0, 3, 3), (1, 0, 12), (2, 7, 5), (0, 8, 4)]
    return fc.open([(videos[video], "a", start, length) for video, start, length in rows])


@pytest.mark.parametrize("time_steps", [3, 4])
def test_tickets_name_what_the_storage_knows(parts, time_steps):
    sampler = fc.Windows(time_steps, short="pad", tail="pad")
    with fc.ClipLoader(parts, sampler, batch_size=4, shuffle=True, seed=3, workers=0) as loader:
        planned = list(loader.schedule.run(1, 0, 8))
        table = loader.plan_table(1)
    tickets = np.concatenate([part.tickets for part in planned])
    index, rows = parts.index, table["video"]
    assert len(planned) == len(loader)
    assert (index.keys[rows] != rows).any()
    assert (table["frames"] < 0).any()
    assert tickets["position"].tolist() == table["position"].tolist()
    assert tickets["video"].tolist() == index.keys[rows].tolist()
    for found, within, start in zip(tickets["frames"], table["frames"], index.starts[rows], strict=True):
        expected = [~(~frame + start) if frame < 0 else frame + start for frame in within.tolist()]
        assert found[:time_steps].tolist() == expected


def test_the_weight_of_a_ticket_tells_padding(parts):
    arguments = {"batch_size": 3, "workers": 0, "world": 2}
    for rank in (0, 1):
        with fc.ClipLoader(parts, fc.Windows(4, short="pad"), rank=rank, **arguments) as loader:
            tickets = np.concatenate([part.tickets for part in loader.schedule.run(0, 0, 8)])
            assert (tickets["weight"] == ~loader.plan_table(0)["padding"]).all()
    assert loader.plan_table(0)["padding"].any()


def test_a_run_is_its_batches(parts):
    with fc.ClipLoader(parts, fc.Windows(2), batch_size=3, shuffle=True, workers=0) as loader:
        together = list(loader.schedule.run(0, 0, len(loader)))
        alone = [next(loader.schedule.run(0, batch, 1)) for batch in range(len(loader))]
    for one, other in zip(together, alone, strict=True):
        assert one.tickets.tobytes() == other.tickets.tobytes()
        assert {name: array.tolist() for name, array in one.known.items()} == {
            name: array.tolist() for name, array in other.known.items()
        }
