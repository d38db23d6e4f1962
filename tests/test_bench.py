import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import alive, make_frames, run_python, wait_until

from fastclips import bench
from fastclips.cli import main
from fastclips.errors import EngineError
from fastclips.spec import Stream

OPTIONS = ["--time-steps", "4", "--step", "2", "--crop", "32", "--batch-size", "4", "--seconds", "0.1"]
FIGURES = {
    "frames_per_s",
    "cpu_ms_per_frame",
    "first_batch_s",
    "peak_rss_mb",
    "pss_mb",
    "ceiling_frames_per_s",
    "ceiling_cpu_ms_per_frame",
    "efficiency",
    "open_s",
    "rounds",
}


def children(pid=None):
    """Processes below one, by the kernel's own list."""
    tasks = Path(f"/proc/{pid or os.getpid()}/task").glob("*/children")
    found = {int(child) for task in tasks for child in task.read_text().split()}
    return found.union(*(children(child) for child in found if alive(child)))


@pytest.fixture(autouse=True)
def quick_turns(monkeypatch):
    monkeypatch.setattr(bench, "_TURN_S", 0.03)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_line_of_json_says_what_was_compared(frames, capsys, workers):
    before = children()
    assert main(["bench", str(frames), *OPTIONS, "--workers", str(workers), "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n")
    assert out.count("\n") == 1
    assert not err
    result = json.loads(out)
    assert result.keys() >= FIGURES
    assert all(result[name] > 0 for name in FIGURES - {"cpu_ms_per_frame", "open_s"})
    assert result["rounds"] >= 2
    assert result["pss_mb"] <= result["peak_rss_mb"]
    assert result["ceiling_processes"] == max(1, workers)
    for name in ("frames_per_s", "ceiling_frames_per_s", "efficiency"):
        low, high = result[f"{name}_quartiles"]
        assert low <= result[name] <= high
    low, high = result["frames_per_s_quartiles"]
    assert low / result["ceiling_frames_per_s_quartiles"][1] <= result["efficiency"]
    assert result["efficiency"] <= high / result["ceiling_frames_per_s_quartiles"][0]
    data = result["data"]
    assert (data["videos"], data["frames"], data["classes"]) == (6, 72, 2)
    assert (data["sampled_frames"], data["frame_size"]) == (72, "64x48")
    sizes = [path.stat().st_size for path in frames.rglob("*.jpg")]
    assert data["mean_jpeg_bytes"] == round(sum(sizes) / len(sizes))
    assert result["options"] == {
        "time_steps": 4,
        "step": 2,
        "crop": 32,
        "batch_size": 4,
        "workers": workers,
        "seconds": 0.1,
        "fast_dct": True,
        "fast_upsample": False,
    }
    assert {"python", "fastclips", "simplejpeg"} <= result["versions"].keys()
    assert children() == before


def test_table_and_progress(frames, capsys):
    assert main(["bench", str(frames), *OPTIONS, "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert "72 frames of 64x48" in out
    for title in ("efficiency", "frames/s", "ceiling", "CPU per frame", "first batch", "peak memory"):
        assert title in out
    assert "measuring" in err


def test_batches_ready_before_a_turn_are_not_timed(frames):
    """What the workers prepared ahead is taken before the clock starts, and nothing is left running."""
    script = f"""
import fastclips as fc
from fastclips import bench
bench._TURN_S = 0.0
with fc.ClipLoader(fc.open({str(frames)!r}), fc.Windows(4), batch_size=2, workers=2, repeat=True) as loader:
    engine = bench._Engine(loader, 4)
    engine.take()
    ready = engine.settle()
    taken, take = [], engine.take
    engine.take = lambda: taken.append(1) or take()
    turn = engine.turn()
    done = loader.stats().clips
    assert len(taken) == ready + 1 + bench._LEAST_BATCHES, (ready, taken)
    assert done == 2 * (1 + len(taken) + engine.settle()) == loader.stats().clips
    print(ready, turn.frames_per_s > 0)
"""
    ready, delivers = run_python(script).split()
    assert int(ready) >= 2
    assert delivers == "True"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop", "49"], "larger than the frame's 48x64"),
        (["--seconds", "0"], "seconds=0.0"),
        (["--seconds", "nan"], "seconds=nan"),
        (["--workers", "-1"], "workers=-1"),
        (["--time-steps", "13"], "13"),
    ],
)
def test_an_error_is_one_line(frames, capsys, options, message):
    before = children()
    assert main(["bench", str(frames), *OPTIONS, "--workers", "2", *options]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("fastclips: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert children() == before


def test_frames_that_are_no_jpeg(masks, capsys):
    assert main(["bench", str(masks), *OPTIONS, "--workers", "0"]) == 1
    assert ".png: bench compares the decoding of JPEGs" in capsys.readouterr().err


def test_a_bare_loop_that_dies_is_told():
    before = children()
    with pytest.raises(EngineError, match="ended with code 1"):
        bench._Loops([b"no jpeg"], 2, Stream("image"), 32)
    assert children() == before


def start(folder, *options):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "fastclips.cli",
            "bench",
            str(folder),
            "--crop",
            "32",
            "--seconds",
            "60",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("kill", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_nothing_is_left_behind(tmp_path, kill, code):
    folder = make_frames(tmp_path, videos=2, frames=16)
    process = start(folder, "--workers", "2", "--batch-size", "1")
    seen = set()

    def complete():  # nursery, two workers, two bare loops
        seen.update(children(process.pid))
        return len(seen) >= 5

    wait_until(complete)
    process.send_signal(kill)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert not out
    assert "Traceback" not in err
    wait_until(lambda: not any(map(alive, seen)))
