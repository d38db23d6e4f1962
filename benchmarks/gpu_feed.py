"""Does a GPU that trains wait for its clips?

    python benchmarks/frames.py /tmp/frames
    python benchmarks/gpu_feed.py /tmp/frames --workers 16 --json feed.json

A network like R(2+1)D-18 (Tran et al. 2018, arXiv:1711.11248, table 1) is trained in mixed precision, in
torch, on clips of 16 frames, a random crop of 112, batches of 8 (``--batch``). It gets its clips from

- resident: one batch that lies on the GPU, so that no step waits;
- fastclips, of the folder and of its pack of dct frames, by ``loader.to_torch("cuda", layout="BCTHW")``;
- torch: `DataLoader` with simplejpeg, pinned memory and copies that do not block;
- tf.data with `decode_and_crop_jpeg`, whose arrays are copied to the GPU.

Each side has a process of its own, and turns in alternating order. It needs a GPU and torch; TensorFlow for
tf.data, which is left out without it. On a CPU (``--device cpu``), it only shows that the sides run.

Result: not run on a GPU yet.

How to read: `wait` is the share of the time that the training loop waits for its next batch; `lost` is the
share by which the steps are slower than with the resident batch, which counts copies and all other load, too.
"""  # noqa: D400 - a question

# ruff: noqa: PLC0415 - each process imports only the loader that it serves

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from peers.common import TIME_STEPS, Task
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDES = {"resident": "", "fastclips": "", "dct pack": "", "torch": "simplejpeg", "tf.data": "tensorflow"}
CLASSES = 400
WARM_UP = 20  # steps, not counted


def conv(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Return a (2+1)D convolution: in space, then in time, with as many weights as one of 3x3x3."""
    middle = channels * out * 27 // (channels * 9 + 3 * out)
    return nn.Sequential(
        nn.Conv3d(channels, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        nn.BatchNorm3d(out),
    )


class Block(nn.Module):
    """A residual block of two (2+1)D convolutions."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(conv(channels, out, stride), nn.ReLU(inplace=True), conv(out, out))
        same = stride == 1 and channels == out
        self.short = nn.Identity() if same else nn.Conv3d(channels, out, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.path(x) + self.short(x))


def network(width: int) -> nn.Module:
    """Return the network; its widths are 1, 2, 4 and 8 times `width`, 64 in the paper."""
    stem = nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm3d(width), nn.ReLU(inplace=True)]
    channels = width
    for stage in range(4):
        for block in range(2):
            out = width * 2**stage
            layers.append(Block(channels, out, 2 if stage and not block else 1))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def batches(side: str, task: Task, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Serve the batches of a side without an end: (B, C, T, H, W) uint8 and labels, on the device."""
    if side in {"fastclips", "dct pack"}:
        from peers import peer_fastclips

        form = "dct" if side == "dct pack" else "folder"
        if form == "dct" and not task.packed(form).exists():
            peer_fastclips.write(task, form)
        yield from peer_fastclips.loader(task, form).to_torch(device, layout="BCTHW")
        return
    if side == "resident":
        size = (task.batch, TIME_STEPS, task.size, task.size, 3)
        clips = torch.randint(0, 256, size, dtype=torch.uint8, device=device).permute(0, 4, 1, 2, 3)
        yield from repeat((clips, torch.zeros(task.batch, dtype=torch.int64, device=device)))
    if side == "torch":
        from peers import peer_torch

        given = peer_torch.batches(task, "folder", pin_memory=device.type == "cuda")
    else:
        from peers import peer_tfdata

        tensors = peer_tfdata.batches(task, "folder")
        given = ([torch.from_numpy(part.numpy()) for part in batch] for batch in tensors)
    for clips, labels in given:
        moved = clips.to(device, non_blocking=True).permute(0, 4, 1, 2, 3)
        yield moved, labels.to(device, non_blocking=True).long()


def train(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Train for some steps; return milliseconds per step, and the share of the time that the loop waited."""
    device = torch.device(options.device)
    if device.type == "cuda":
        torch.cuda.init()  # before tf.data hides the GPU from TensorFlow
        torch.backends.cudnn.benchmark = True
    model = network(options.width).to(device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    crop = {"crop": options.crop, "size": options.crop}
    task = Task(options.folder, **crop, batch=options.batch, workers=options.workers)
    given = batches(side, task, device)
    waited, began = 0.0, time.perf_counter()
    for step in range(WARM_UP + options.steps):
        if step == WARM_UP:
            finish(device)
            waited, began = 0.0, time.perf_counter()
        asked = time.perf_counter()
        clips, labels = next(given)
        waited += time.perf_counter() - asked
        with torch.autocast(device.type, torch.bfloat16):
            scores = model(clips.to(torch.bfloat16) / 255)
            loss = nn.functional.cross_entropy(scores, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        finish(device)  # so that waiting for the GPU is not taken for waiting for the loader
    seconds = time.perf_counter() - began
    return {"step_ms": 1e3 * seconds / options.steps, "wait": waited / seconds}


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure all sides, print a table, and write it as JSON."""
    parser = argparse.ArgumentParser(description="Does a GPU that trains wait for its clips?")
    parser.add_argument("folder", type=Path, help="of class/video/frame.jpg")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=16, help="processes of each loader (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of a turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=112)
    parser.add_argument("--width", type=int, default=64, help="of the network (%(default)s)")
    parser.add_argument("--only", nargs="*", default=list(SIDES))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(train(options.side, options)), flush=True)
        return
    sides = [name for name in options.only if not SIDES[name] or find_spec(SIDES[name])]
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(options.rounds):
        for name in sides if number % 2 == 0 else sides[::-1]:
            done = subprocess.run(
                [sys.executable, *sys.argv, "--side", name], stdout=subprocess.PIPE, text=True, check=True
            )
            turns[name].append(json.loads(done.stdout.splitlines()[-1]))
    table = {
        name: {figure: median(turn[figure] for turn in of_side) for figure in ("step_ms", "wait")}
        for name, of_side in turns.items()
    }
    resident = table.get("resident", {"step_ms": float("nan")})["step_ms"]
    print(f"{'':12}{'ms per step':>12}{'wait':>8}{'lost':>8}")
    for name, line in table.items():
        line["lost"] = 1 - resident / line["step_ms"]
        print(f"{name:12}{line['step_ms']:12.1f}{line['wait']:8.1%}{line['lost']:8.1%}")
    device = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    versions = {"device": device, "torch": torch.__version__, "workers": options.workers}
    if options.json:
        options.json.write_text(json.dumps({**versions, "sides": table, "turns": turns}, indent=1) + "\n")


if __name__ == "__main__":
    main()
