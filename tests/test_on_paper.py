"""Benchmarks that compute: `stragglers.py` without chance, `scale.py` with made-up costs, a small plan."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parents[1] / "benchmarks"


def imported(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stragglers, plans = imported("stragglers"), imported("plans")
Cluster, simulate = stragglers.Cluster, stragglers.simulate


@given(
    hosts=st.integers(1, 9),
    ahead=st.integers(2, 4),
    decode_s=st.sampled_from([0.5, 1.0, 3.0]),
    load=st.sampled_from([0.25, 0.5, 1.0]),
    rounds=st.integers(1, 6),
)
def test_steps_are_the_limit_where_hosts_keep_pace(*, hosts, ahead, decode_s, load, rounds):
    """The first batch takes `decode_s`, and then steps follow each other."""
    step_s = decode_s / hosts / load
    found = simulate(Cluster(hosts, decode_s, step_s, ahead * hosts), rounds * hosts)
    assert found.seconds == pytest.approx(decode_s + rounds * hosts * step_s)
    assert sum(found.waits) == pytest.approx(decode_s)
    assert found.waits[0] == decode_s


@given(
    hosts=st.integers(1, 9),
    ahead=st.integers(2, 4),
    decode_s=st.sampled_from([0.5, 1.0, 3.0]),
    load=st.sampled_from([1.0, 2.0, 8.0]),
    rounds=st.integers(1, 6),
)
def test_hosts_are_the_limit_where_steps_are_short(*, hosts, ahead, decode_s, load, rounds):
    """Every `decode_s` all hosts answer at once; the steps of these batches end before the next answers."""
    step_s = decode_s / hosts / load
    found = simulate(Cluster(hosts, decode_s, step_s, ahead * hosts), rounds * hosts)
    assert found.seconds == pytest.approx(rounds * decode_s + hosts * step_s)


def test_one_batch_ahead_is_decoded_between_steps():
    found = simulate(Cluster(hosts=4, decode_s=1, step_s=0.25, window=1), 10)
    assert found.seconds == pytest.approx(1 + 9 * 1 + 0.25)


def test_a_slow_host_delays_its_batches_and_a_second_host_does_not():
    """Four hosts with a batch each. Host 0 takes 10 s; host 1 is asked at 2 s and answers at 3 s."""
    cluster = Cluster(hosts=4, decode_s=1, step_s=0.5, window=4, slow_hosts=1, slow_times=10)
    assert simulate(cluster, 4).waits == (10, 0, 0, 0)
    again = simulate(Cluster(**{**vars(cluster), "again_after_s": 2.0}), 4)
    assert again.waits == (3, 0, 0, 0)
    assert (again.twice, again.seconds) == (1, 5)


@settings(max_examples=30)
@given(
    hosts=st.integers(2, 6),
    batches=st.integers(1, 60),
    share=st.floats(0, 0.5),
    slow_hosts=st.integers(0, 2),
    again=st.none() | st.floats(0.1, 5),
    seed=st.integers(0, 99),
)
def test_every_batch_is_taken_once_and_in_order(*, hosts, batches, share, slow_hosts, again, seed):
    cluster = Cluster(hosts, 1.0, 0.3, 2 * hosts, again, share, 4.0, slow_hosts)
    found = simulate(cluster, batches, seed)
    assert found.order == tuple(range(batches))
    assert found == simulate(cluster, batches, seed)
    assert found.decoded <= batches + found.twice


def test_training_ends_without_a_host_that_stops_answering_only_if_another_is_asked():
    cluster = Cluster(hosts=3, decode_s=1, step_s=0.5, window=6, deaf_hosts=1, deaf_from_s=2.5)
    assert math.isinf(simulate(cluster, 30).seconds)
    found = simulate(Cluster(**{**vars(cluster), "again_after_s": 3.0}), 30)
    assert found.order == tuple(range(30))


@pytest.mark.parametrize("order", plans.ORDERS)
def test_a_plan_is_measured(order):
    found = plans.measure(10_000, order, world=4, blocks=2)
    assert found["batch_ms"] > 0
    assert found["peak_gib"] >= 0


MEASURED = {
    "decode_jpeg": (0.2, "ms/frame"),
    "decode_dct": (0.1, "ms/frame"),
    "trainer_jpeg": (0.4, "ms/batch"),
    "trainer_dct": (0.4, "ms/batch"),
    "bytes_jpeg": (250_000, "bytes"),
    "bytes_dct": (500_000, "bytes"),
    **dict.fromkeys(("plan", "ticket"), (0.3, "us/clip")),
    "bare": (0.05, "ms/batch"),
}


def test_limits_of_made_up_costs(tmp_path):
    costs = {
        name: {"value": value, "unit": unit, "source": "made up"} for name, (value, unit) in MEASURED.items()
    }
    (tmp_path / "costs.json").write_text(json.dumps(costs))
    words = ["--costs", "costs.json", "--plot", "scale.svg", "--set", "parallel=0.5", "peak=1e15"]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "scale.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    lines = {line[4:32].strip(): line[32:].split() for line in done.stdout.splitlines()}
    # 15 or 8 cores at half of the rate, 3.2 ms for a clip; half of that with dct
    assert lines["decoding, 16 cores"] == ["2,344", "1,250", "4,688", "2,500"]
    assert lines["trainers"] == ["20,000", "160,000", "20,000", "160,000"]
    assert lines["packs over 25 Gb/s"] == ["11,250", "11,250", "5,625", "5,625"]  # 0.9 of 3.125 GB/s
    assert "ViT-B" in done.stdout
    takes = 8 * 1e15 * 0.4 / (6 * 180e9)  # clips a second of eight: 2 operations, 3 passes
    assert f"{takes:,.0f}  jpeg {takes * 3.2e-3 / 0.5:6.1f}" in done.stdout
    assert f"{takes / 1250:.0%} decoding" in done.stdout
    texts = [node.text for node in ET.parse(tmp_path / "scale.svg").iter() if node.text]  # noqa: S314
    assert "8 x ViT-L" in texts
    assert "packs over 400 Gb/s" in texts
