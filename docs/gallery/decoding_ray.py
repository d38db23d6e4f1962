"""Decoding over Ray: the hosts of a cluster decode, and the trainer gets the same batches as without Ray.

Ray starts on this machine alone here. On a cluster, call `ray.init("auto")`, and give `num_cpus` as many as a
host has to spare; the data must lie at the same path on all hosts.
"""

import argparse
from pathlib import Path

import numpy as np
import ray

import fastclips as fc
from fastclips.adapters.ray import RemoteClipLoader
from fastclips.testing import write_frames


def make_loader(data: str, workers: int) -> fc.ClipLoader:
    """Return a loader over the frames of `data`, class/video/frame.jpg."""
    transforms = [fc.RandomCrop(48), fc.RandomFlip()]
    return fc.ClipLoader(
        fc.open(data), fc.Windows(8, step=2), transforms, batch_size=8, shuffle=True, workers=workers
    )


def main(data: str, epochs: int) -> None:
    """Serve epochs of both loaders, and compare them."""
    if not Path(data).exists():
        write_frames(data, height=64, width=64)  # made-up frames: give a folder of yours instead
    data = str(Path(data).resolve())  # hosts and their processes have working directories of their own

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    with (
        make_loader(data, workers=1) as local,
        RemoteClipLoader(make_loader(data, workers=0), ray_actor_options={"num_cpus": 1}) as remote,
    ):
        for epoch in range(epochs):
            same = [np.array_equal(x, there) for (x, _), (there, _) in zip(local, remote, strict=True)]
            print(f"epoch {epoch + 1}: {len(same)} batches, the same bits: {all(same)}")
        print("the same place:", local.state_dict() == remote.state_dict())
    ray.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="frames")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
