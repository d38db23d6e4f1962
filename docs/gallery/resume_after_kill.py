"""Resume after a kill, without a framework: the batches and the weights are those of a run without a kill.

Training saves its weights and its place after every second batch, in one file that is replaced at once. The
first run kills itself by SIGKILL in the middle of an epoch. The second run goes on from the file. Both are
compared with a third run, from beginning to end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastclips as fc
from fastclips.testing import write_frames


def train(data: str, epochs: int, checkpoint: Path, kill_after: int) -> None:
    """Train a linear model on the mean colours of clips, and print a line for each batch."""
    transforms = [fc.RandomCrop(48), fc.RandomFlip()]
    loader = fc.ClipLoader(fc.open(data), fc.Windows(4), transforms, batch_size=8, shuffle=True, workers=2)
    weights, done = np.zeros((3, 4)), 0
    if checkpoint.exists():
        saved = json.loads(checkpoint.read_text())
        weights = np.array(saved["weights"])
        loader.load_state_dict(saved["loader"])
    while (epoch := loader.state_dict()["epoch"]) < epochs:
        for x, y in loader:
            colours = x.mean((1, 2, 3)) / 255
            weights += 0.1 * colours.T @ (np.eye(4)[y] - colours @ weights)  # one step of least squares
            print(f"epoch {epoch}: pixels {x.sum()}, weights {weights.sum()}", flush=True)
            done += 1
            if done % 2 == 0:
                saved = {"weights": weights.tolist(), "loader": loader.state_dict()}
                Path("new.json").write_text(json.dumps(saved))
                Path("new.json").replace(checkpoint)
            if done == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)


def main(data: str, epochs: int, checkpoint: str, kill_after: int) -> None:
    """Train on the frames of `data`; without a checkpoint, run the three runs and compare them."""
    if checkpoint:
        train(data, epochs, Path(checkpoint), kill_after)
        return
    if not Path(data).exists():
        write_frames(data, height=64, width=64)  # made-up frames: give a folder of yours instead
    printed = []
    for file, kill in (("killed.json", 5), ("killed.json", 0), ("whole.json", 0)):
        options = ["--epochs", str(epochs), "--checkpoint", file, "--kill-after", str(kill)]
        command = [sys.executable, __file__, data, *options]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        printed.append(run.stdout.splitlines())
        print(f"exit code {run.returncode}: {len(printed[-1])} batches")
    killed, resumed, whole = printed
    print("the killed run is the beginning:", killed == whole[: len(killed)])
    print("the resumed run is the rest:", resumed == whole[-len(resumed) :])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="frames")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--kill-after", type=int, default=0)
    main(**vars(parser.parse_args()))
