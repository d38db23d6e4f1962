"""A package of a third party: one pixel step, one sampler and one storage, made of public names alone."""

from dataclasses import dataclass

import numpy as np

import fastclips as fc


@dataclass(frozen=True)
class Tint(fc.PixelStep):
    strength: float
    kind = "frame"
    draws = 1

    def apply(self, frame, draws, number):
        frame[..., 0] += np.float32(self.strength * draws[0])
        return frame


@dataclass(frozen=True)
class Spread(fc.ClipSampler):
    time_steps: int

    def clips(self, videos, draws):
        rows = np.flatnonzero(videos.frame_counts)
        return fc.Clips(rows, 0 * rows, 0 * rows)

    def frames(self, clips, videos):
        return np.linspace(0, videos.frame_counts[clips.video] - 1, self.time_steps, axis=1).astype(np.int32)


class DrawnStorage(fc.Storage):
    def read(self, stream, video, frame):
        if not (0 <= video < 3 and 0 <= frame < 6):
            raise IndexError(f"no frame {frame} of video {video}")
        return np.random.default_rng([video, frame]).integers(0, 256, (48, 64, 3), np.uint8)
