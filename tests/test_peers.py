"""`benchmarks/peers`: its check of a first batch, and a run of a side that needs nothing, with its table."""

# ruff: noqa: PLC0415 - the package is found only inside of a fixture

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def peers():
    """The package, imported as its scripts import it."""
    sys.path.insert(0, str(FOLDER))
    try:
        from frames import write_frames
        from peers import check, common, data, peer_fastclips, peer_plain

        yield {
            "write_frames": write_frames,
            **{module.__name__.rpartition(".")[2]: module for module in (check, common, data)},
            **{module.__name__.rpartition(".")[2]: module for module in (peer_fastclips, peer_plain)},
        }
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def work(peers, tmp_path_factory):
    """Two videos of 64 frames, with masks, where the task `train` looks for them."""
    work = tmp_path_factory.mktemp("peers")
    task = peers["common"].task_of("masks", work / "data")
    peers["write_frames"](task.frames, height=232, width=240, videos=2, frames=64, classes=2)
    peers["data"].write_masks(peers["common"].Clips(task))
    return work


def first_batch(peers, name, task):
    random.seed(0)
    batch = next(iter(peers[name].batches(task, "folder")))
    return tuple(np.array(part) for part in batch)


TASKS = {
    "overlap": {"step": 4, "crop": 200, "size": 100},
    "draws": {"draws": 4, "crop": 96, "size": 96},
    "masks": {"masks": True, "crop": 96, "size": 96},
}


@pytest.mark.parametrize("changes", TASKS.values(), ids=TASKS)
def test_right_batches_pass(peers, work, changes):
    task = replace(peers["common"].task_of("train", work / "data"), workers=0, **changes)
    clips = peers["common"].Clips(task)
    for name in ("peer_fastclips", "peer_plain"):
        assert peers["check"].problem(clips, first_batch(peers, name, task)) is None


def test_wrong_batches_are_told(peers, work):
    task = replace(peers["common"].task_of("masks", work / "data"), crop=96, size=96)
    clips = peers["common"].Clips(task)
    x, masks, labels = first_batch(peers, "peer_plain", task)

    def told(x=x, masks=masks, labels=labels):
        return peers["check"].problem(clips, (x, masks, labels))

    assert told() is None
    assert "frames are float32" in told(x=x.astype(np.float32))
    assert "more like frame" in told(x=x[:, ::-1]) or "differs" in told(x=x[:, ::-1])
    assert told(x=np.concatenate([x[:, :7], x[:, 8:9], x[:, 7:8], x[:, 9:]], axis=1)) is not None
    assert "differs by" in told(labels=1 - labels)
    assert "differs by" in told(x=x[..., ::-1])
    assert "mask 0 is not that of the frame" in told(masks=np.roll(masks, 1, axis=3))
    moved = x.copy()
    moved[:, 5] = np.roll(moved[:, 5], 8, axis=1)
    assert "frame 5" in told(x=moved)


def test_a_run_and_its_table(work):
    script = [sys.executable, str(FOLDER / "peers")]
    options = ["--only", "plain", "torch", "--tasks", "train", "--rounds", "1", "--seconds", "0.1"]
    subprocess.run([*script, "run", str(work), *options], check=True, capture_output=True)
    lines = [json.loads(line) for line in (work / "results.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["started", "absent", "turn"]
    assert lines[0]["bytes"] > 100_000
    assert all(line["frames_per_s"] > 0 and line["pss_mb"] > 10 for line in lines[2:])
    table = subprocess.run(
        [*script, "table", str(work), "--markdown"], check=True, capture_output=True, text=True
    )
    assert "| a Python loop | folder |" in table.stdout
    assert "- torch DataLoader, folder (train): not installed: run `setup`" in table.stdout


def test_the_summary_names_the_fastest(tmp_path):
    results = []
    for peer, form, rate in ("fastclips", "dct", 9000), ("torch", "folder", 900), ("grain", "folder", 1000):
        side = {"task": "train", "peer": peer, "form": form}
        results.append({**side, "kind": "started", "bytes": 4e6, "version": "1", "first_s": 1})
        results += [
            {**side, "kind": "turn", "frames_per_s": rate + more, "cpu_ms": 1, "pss_mb": 1}
            for more in (0, 2, 9)
        ]
    (tmp_path / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in results))
    figure = tmp_path / "figure.svg"
    script = [sys.executable, str(FOLDER / "peers"), "summary", str(tmp_path), "--figure", str(figure)]
    table = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    assert "| `train` |  |  | 9,002 (4 MB) | Grain: 1,002 (4 MB) |  |" in table
    shown = figure.read_text()
    assert shown.index("fastclips, dct pack") < shown.index("Grain, folder") < shown.index("torch DataLoader")
