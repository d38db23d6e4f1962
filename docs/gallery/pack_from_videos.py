"""A pack from video files: the frames are extracted once, and training then reads them many times faster.

The pack has the names, labels and frame times of the videos. Its frames are JPEGs, so its pixels differ a
little from those of the video files. Packing that was interrupted continues when it is started again.
"""

import argparse
from pathlib import Path

import numpy as np

import fastclips as fc
from fastclips.testing import write_videos


def main(data: str, epochs: int) -> None:
    """Pack the video files of `data`, class/video.mp4, and read clips from both."""
    if not Path(data).exists():
        write_videos(data, height=64, width=64)  # made-up videos: give a folder of yours instead

    videos = fc.open(data)
    done = fc.pack(videos, f"{data}_packed", quality=95)
    print(f"{done.videos} videos, {done.frames} frames")
    packed = fc.open(f"{data}_packed")
    print("the same videos:", list(packed.index.names) == list(videos.index.names))
    print("the same labels:", np.array_equal(packed.index.labels.per_video, videos.index.labels.per_video))

    clips = {}
    for name, dataset in (("video files", videos), ("pack", packed)):
        augment = [fc.RandomCrop(48), fc.RandomFlip()]
        loader = fc.ClipLoader(dataset, fc.RandomWindow(4, fps=12.5), augment, batch_size=4, shuffle=True)
        with loader:  # the same seed: the same clips, crops and flips
            served = [x for _ in range(epochs) for x, _ in loader]
        clips[name] = np.concatenate(served)
        print(f"{name}: {len(served)} batches of {served[0].shape}")
    apart = np.abs(clips["video files"].astype(int) - clips["pack"])
    print(f"pixels differ by {apart.mean():.1f} levels on average")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="videos")
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
