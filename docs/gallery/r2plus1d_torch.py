"""R(2+1)D in torch: convolutions over space, then over time, on random resized crops.

The batches come as (batch, channels, time, height, width), the order of torch's 3D convolutions, without a
copy. With a GPU, the next batch is copied while the model works. Each epoch ends with a checkpoint of the
model and of the place in the data.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

import fastclips as fc
from fastclips.testing import write_frames


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a convolution over space and one over time."""
    space = nn.Conv3d(inputs, outputs, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
    time = nn.Conv3d(outputs, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
    return nn.Sequential(space, nn.BatchNorm3d(outputs), nn.ReLU(), time, nn.BatchNorm3d(outputs), nn.ReLU())


def main(data: str, epochs: int) -> None:
    """Train on the frames of `data`, class/video/frame.jpg."""
    if not Path(data).exists():
        write_frames(data, height=64, width=64)  # made-up frames: give a folder of yours instead

    dataset = fc.open(data)
    crop = fc.RandomResizedCrop(56)
    train = fc.ClipLoader(dataset, fc.RandomWindow(8), [crop], batch_size=4, shuffle=True, drop_last=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = train.to_torch(device, layout="BCTHW")

    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, len(dataset.classes))]
    model = nn.Sequential(block(3, 8, 2), block(8, 16, 2), *head).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    if Path("r2plus1d.pt").exists():
        saved = torch.load("r2plus1d.pt")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        batches.load_state_dict(saved["batches"])
        print("goes on after epoch", saved["batches"]["epoch"])
    while (epoch := batches.state_dict()["epoch"]) < epochs:
        for clips, labels in batches:
            loss = nn.functional.cross_entropy(model(clips.float() / 255), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: {tuple(clips.shape)} {clips.dtype}, loss {loss.item():.2f}")
        states = {"model": model, "optimizer": optimizer, "batches": batches}
        torch.save({name: thing.state_dict() for name, thing in states.items()}, "r2plus1d.pt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="frames")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
