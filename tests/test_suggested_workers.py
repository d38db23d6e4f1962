"""What `stats()` suggests, and `fastclips bench --step-ms`."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastclips as fc
from fastclips.commands import played_step
from fastclips.commands.cli import main
from fastclips.serving import stats as stats_module


def ran(workers, *, seconds, waited, decode=0.0, read=0.0, idle=0.0, start=0.0):
    times = {"seconds": seconds, "waited_s": waited, "decode_s": decode, "read_s": read, "idle_s": idle}
    times["start_s"] = start
    return fc.Stats(
        **times,
        workers=workers,
        frames_served=1000,
        clips=100,
        frames=1000,
        bytes_read=0,
        kernel_s=0.0,
        resident_bytes=0,
    )


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(stats_module, "usable_cores", lambda *, shared: 8 if shared else 64)


@pytest.mark.parametrize(
    ("run", "suggested", "said"),
    [
        (
            ran(2, seconds=10, waited=5, decode=20),
            5,
            "decoding is the limit; set workers=5 instead of 2 (8 cores)",
        ),
        (ran(2, seconds=10, waited=9, decode=20), 8, "set workers=8 instead of 2"),
        (
            ran(8, seconds=10, waited=9, decode=80),
            8,
            "the limit on 8 cores; use more cores or smaller frames",
        ),
        (ran(20, seconds=10, waited=9, decode=80), 20, "the limit on 8 cores"),
        (ran(0, seconds=10, waited=8, decode=7.9), 5, "in its own process is the limit; set workers=5"),
        (ran(0, seconds=10, waited=10, decode=9), 8, "set workers=8"),
        (
            ran(8, seconds=10, waited=5, read=80),
            18,
            "reading is the limit; set workers=18 instead of 8, or move",
        ),
        (ran(32, seconds=10, waited=9.9, read=80), 32, "reading is the limit; add workers, or move the data"),
        (ran(8, seconds=10, waited=0.1, decode=9), 1, "the data is not the limit; workers=1 would be enough"),
        (ran(8, seconds=10, waited=0.1, decode=35, idle=45), 4, "workers=4 would be enough"),
        (ran(8, seconds=10, waited=0.1, decode=45, idle=30), 8, "the data is not the limit."),
        (ran(1, seconds=10, waited=0.1, decode=1, idle=8), 1, "the data is not the limit."),
        (ran(4, seconds=2, waited=1, decode=2, idle=3, start=1.1), 4, "the run was so short that most of it"),
        (ran(4, seconds=40, waited=7, decode=1, idle=160, start=7), 1, "0% of the time: the data is not the"),
        (ran(4, seconds=40, waited=17, decode=99, start=7), 5, "30% of the time: decoding is the limit; set"),
        (ran(4, seconds=60, waited=9, decode=2, idle=200), 4, "the training process is the limit"),
    ],
)
def test_a_number_of_workers_follows_from_the_waiting(run, suggested, said):
    assert run.suggested_workers == suggested
    assert said in run.verdict


def test_nothing_is_suggested_before_the_first_batch():
    assert replace(ran(3, seconds=0, waited=0), frames_served=0).suggested_workers == 3
    assert ran(3, seconds=0, waited=0).waiting == 0


@given(
    workers=st.integers(1, 12),
    step_s=st.floats(0.01, 1),
    batch_s=st.floats(0.01, 5),
    batches=st.integers(10, 1000),
)
def test_so_many_workers_keep_pace_with_steps(*, workers, step_s, batch_s, batches):
    """A run as it would be: either the steps or the workers are the limit."""
    seconds = batches * max(step_s, batch_s / workers)
    busy, waited = batches * batch_s, seconds - batches * step_s
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stats_module, "usable_cores", lambda *, shared: 10_000 * shared)
        run = ran(workers, seconds=seconds, waited=waited, decode=busy, idle=workers * seconds - busy)
        suggested = run.suggested_workers
    if run.waiting >= stats_module.MUCH:
        assert batch_s / suggested <= step_s * (1 + 1e-9)
        assert suggested <= max(workers, batch_s / step_s * 1.1 + 1)
    else:
        assert suggested <= workers
        assert suggested == workers or batch_s / suggested <= step_s * (1 + 1e-9)


class Loader:
    """Batches that take their time."""

    def __init__(self, wait_s):
        self.wait_s, self.now, self.batches = wait_s, 0.0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        while True:
            self.now += self.wait_s
            self.batches += 1
            yield self.batches

    def stats(self):
        done = self.batches * 0.2
        run = ran(2, seconds=self.now, waited=99, decode=done)
        return replace(run, frames_served=16 * self.batches)


@pytest.mark.parametrize(("wait_s", "starves", "suggested"), [(0.06, True, 6), (0.001, False, 2)])
def test_a_played_step_counts_what_it_waits(monkeypatch, wait_s, starves, suggested):
    """By a clock of its own: steps of 40 ms, and 0.2 s of decoding for each batch."""
    loader = Loader(wait_s)
    monkeypatch.setattr(played_step, "loader_of", lambda *_, **__: loader)
    monkeypatch.setattr(played_step, "perf_counter", lambda: loader.now)
    monkeypatch.setattr(played_step, "sleep", lambda seconds: setattr(loader, "now", loader.now + seconds))
    args = type("Args", (), {"step_ms": 40.0, "seconds": 2.0})
    found = played_step.play(None, args)
    share = wait_s / (wait_s + 0.04)
    assert found["waiting"] == pytest.approx(share, abs=1e-4)
    assert found["wait_ms"] == pytest.approx(wait_s * 1e3) == found["longest_wait_ms"]
    assert found["steps"] == pytest.approx(2 / (wait_s + 0.04), abs=1)
    assert found["starves"] is starves
    assert found["suggested_workers"] == suggested
    assert f"waits for data {share:.0%} of the time" in found["step_verdict"]


@pytest.mark.slow
def test_bench_plays_steps(frames, capsys):
    options = ["--time-steps", "4", "--step", "2", "--crop", "32", "--batch-size", "4", "--seconds", "0.1"]
    words = ["bench", str(frames), *options, "--workers", "0", "--step-ms", "5"]
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["step_ms"] == 5
    assert result["steps"] >= 3
    assert result["step_workers"] == 0
    rows = played_step.step_rows(result)
    assert rows[0][0] == "step of 5 ms"
    assert rows[0][1] == ("starves" if result["starves"] else "is fed")
    assert played_step.step_rows({}) == []


@pytest.mark.parametrize("step", ["0", "-1", "nan", "inf"])
def test_a_step_has_a_length(frames, capsys, step):
    assert main(["bench", str(frames), "--step-ms", step]) == 1
    assert f"step_ms={float(step)!r}: must be more than 0 milliseconds" in capsys.readouterr().err
