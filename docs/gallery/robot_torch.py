"""Imitation in torch: from what a robot sees and the state of its arm, the actions of the next steps.

`data` holds frames/task/episode/0001.jpg and, for each episode, state/task/episode.npy and
action/task/episode.npy, with a row for each frame. The model sees the first frame and the first state of a
clip, and predicts the actions of all its steps. Steps after the end of an episode have weight 0.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

import fastclips as fc
from fastclips.testing import write_frames

DIRECTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}
STEPS = 4


def make_episodes(data: str) -> None:
    """Write episodes of an arm that follows what it sees."""
    write_frames(Path(data, "frames"), height=64, width=64)
    for video in Path(data, "frames").glob("*/*"):
        action = np.tile(np.float32(DIRECTIONS[video.parent.name]), (12, 1))
        for label, rows in (("state", action.cumsum(0) - action), ("action", action)):
            Path(data, label, video.parent.name).mkdir(parents=True, exist_ok=True)
            np.save(Path(data, label, video.parent.name, f"{video.name}.npy"), rows)


def main(data: str, epochs: int) -> None:
    """Train on the episodes of `data`."""
    if not Path(data).exists():
        make_episodes(data)  # made up: give a folder of yours instead

    episodes = fc.open(Path(data, "frames"), labels=None)
    for label in ("state", "action"):
        arrays = {name: np.load(Path(data, label, f"{name}.npy")) for name in episodes.index.names}
        episodes = episodes.with_labels(label, arrays, kind="frame_target")
    labels = {"inputs": ("image", "state"), "targets": "action", "sample_weight": "valid"}
    windows = fc.Windows(STEPS, step=1, tail="pad")
    loader = fc.ClipLoader(episodes, windows, [fc.Resize((32, 32))], batch_size=16, shuffle=True, **labels)

    torch.manual_seed(0)
    eye = nn.Sequential(nn.Conv2d(3, 16, 5, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, 2), nn.ReLU(), nn.Flatten())
    arm = nn.Sequential(nn.Linear(16 * 16 + 2, 64), nn.ReLU(), nn.Linear(64, STEPS * 2))
    optimizer = torch.optim.Adam([*eye.parameters(), *arm.parameters()], lr=0.003)
    for epoch in range(epochs):
        for inputs, actions, weight in loader.to_torch():
            seen = eye(inputs["image"][:, 0].permute(0, 3, 1, 2) / 255)
            guess = arm(torch.cat([seen, inputs["state"][:, 0]], 1)).reshape(actions.shape)
            loss = ((guess - actions) ** 2 * weight[..., None]).sum() / weight.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: actions {tuple(actions.shape)}, loss {loss.item():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="episodes")
    parser.add_argument("--epochs", type=int, default=4)
    main(**vars(parser.parse_args()))
