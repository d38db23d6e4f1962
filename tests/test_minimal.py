"""If only one test file is run then this is the one."""

import numpy as np
from helpers import decode

import fastclips as fc


def test_frames_become_batches(frames):
    """Two workers and none give the very pixels that decoding and slicing by hand give."""
    dataset = fc.open(frames)
    served = {}
    for workers in (0, 2):
        with fc.ClipLoader(
            dataset, fc.Windows(time_steps=4), [fc.CenterCrop((32, 40))], batch_size=4, workers=workers
        ) as loader:
            served[workers] = [(x.copy(), y.copy()) for x, y in loader]

    files = [sorted(folder.iterdir()) for folder in sorted(frames.glob("*/*"))]
    clips = [video[start : start + 4] for video in files for start in (0, 4, 8)]
    labels = [int(clip[0].parts[-3][-1]) for clip in clips]
    expected = np.array([[decode(path)[8:40, 12:52] for path in clip] for clip in clips])
    for batches in served.values():
        assert [x.shape for x, _ in batches] == [(4, 4, 32, 40, 3)] * 4 + [(2, 4, 32, 40, 3)]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), expected)
        assert np.concatenate([y for _, y in batches]).tolist() == labels
