"""What `stats` and `fastclips bench` say of video files."""

import json

import pytest

import fastclips as fc
from fastclips.commands import turns
from fastclips.commands.cli import main
from fastclips.serving.stats import Stats

pytest.importorskip("av", reason="video extra")

from videos import show, write_movie

OPTIONS = ["--time-steps", "4", "--step", "4", "--crop", "32", "--batch-size", "2", "--seconds", "0.2"]


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    root = tmp_path_factory.mktemp("movies")
    for number, name in enumerate(("a/v0", "b/v1", "b/v2")):
        write_movie(root / f"{name}.mp4", [show(20 * number + frame) for frame in range(30)])
    return root


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(turns, "TURN_S", 0.03)


def test_decoding_video_counts_as_decoding(movies):
    loader = fc.ClipLoader(fc.open(movies), fc.Windows(5), batch_size=2, drop_last=True, workers=0)
    list(loader)
    stats = loader.stats()
    assert (stats.movie_frames, stats.frames) == (90, 90)
    assert stats.read_s == 0
    assert "of videos              90  decoded from video files" in str(stats)


def test_the_verdict_names_bench():
    counters = {"read_s": 0.0, "decode_s": 9.2, "kernel_s": 0.8, "wait_s": 0.0, "clips": 9, "frames": 90}
    others = "bytes sliced cropped whole pillow pixels decoded_pixels held filled ahead"
    counters |= dict.fromkeys(others.split(), 0)
    measured = {"seconds": 6.0, "frames_served": 90, "waited_s": 5.0, "workers": 2, "resident_bytes": 0}
    of_videos = Stats.of({**counters, "movie_frames": 90}, **measured)
    said = "Decoding video takes 92% of the workers' time: `fastclips bench` on the videos measures"
    assert said in of_videos.verdict
    assert "Decoding video" not in Stats.of({**counters, "movie_frames": 0}, **measured).verdict


@pytest.mark.parametrize("workers", [0, 2])
def test_bench_packs_a_sample_and_times_both(movies, capsys, workers):
    assert main(["bench", str(movies), *OPTIONS, "--workers", str(workers), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sampled_videos"], found["sampled_frames"]) == (3, 90)
    assert found["pack_frames_per_s"] > 0
    assert found["video_frames_per_s"] > 0
    assert 0 < found["decoding_share"] <= 1
    assert found["rounds"] >= 2
    assert found["pack_bytes"] > 0


def test_bench_says_what_to_do(movies, capsys):
    assert main(["bench", str(movies), *OPTIONS, "--workers", "0"]) == 0
    out = capsys.readouterr().out
    assert "% of the workers' time: `fastclips pack " in out
    assert "times as fast for these clips" in out
    assert main(["bench", str(movies), "--time-steps", "31", "--crop", "32"]) == 1
    assert "time_steps=31: the longest video has 30 frames" in capsys.readouterr().err
