"""Who takes part: what each peer's environment holds, the forms of data it reads, and the tasks it does."""

from __future__ import annotations

from typing import NamedTuple

ALL = ("train", "train112", "train640", "overlap", "draws", "masks")
NO_MASKS = ALL[:-1]
RAW = ("train", "train640")  # decoded pixels, which take 13 times the bytes
NO_OVERLAP = (*ALL[:3], *ALL[4:])
OPENCV = "opencv-python-headless==5.0.0.93"
PYTHON = ("simplejpeg==1.9.0", OPENCV)
TORCH = "torch==2.13.0"


class Peer(NamedTuple):
    """A loader.

    Parameters
    ----------
    label : str
        Its name in the table.
    packages : tuple of str
        What pip installs, in one call.
    forms : dict
        Name of each form of data, "folder" or the ending of a packed one; and the tasks done with it.
    alone : tuple of str
        What pip installs after that with ``--no-deps --no-build-isolation``.
    """

    label: str
    packages: tuple[str, ...]
    forms: dict[str, tuple[str, ...]]
    alone: tuple[str, ...] = ()


PEERS = {
    "fastclips": Peer("fastclips", (), {"folder": ALL, "jpeg": ALL, "dct": ALL, "mp4": NO_MASKS, "raw": RAW}),
    "tfdata": Peer("tf.data", ("tensorflow-cpu==2.21.0",), {"folder": ALL}),
    "torch": Peer("torch DataLoader", (TORCH, *PYTHON), {"folder": ALL}),
    "dali": Peer("DALI, CPU", ("nvidia-dali-cuda120==2.4.0",), {"folder": ALL, "clips.tar": NO_OVERLAP}),
    "ffcv": Peer(
        "FFCV",
        (
            *(TORCH, "numpy<2", "numba==0.68.1", "opencv-python-headless<4.11", "setuptools<81", "wheel"),
            *(
                "tqdm",
                "pandas<4",
                "terminaltables",
                "fastargs",
                "assertpy",
                "pytorch-pfn-extras",
                "pillow<12",
            ),
        ),
        {"beton": ALL[:4], "raw.beton": RAW},
        ("ffcv==1.0.2",),
    ),
    "grain": Peer(
        "Grain", ("grain==0.2.18", "array-record==0.8.6", *PYTHON), {"folder": ALL, "arrayrecord": ALL}
    ),
    "spdl": Peer("SPDL", ("spdl==0.8.0", "spdl-io==0.8.0"), {"folder": ALL}),
    "webdataset": Peer("WebDataset", (TORCH, "webdataset==1.0.2", *PYTHON), {"tar": ALL}),
    "litdata": Peer(
        "LitData",
        (TORCH, "litdata==0.2.76", *PYTHON),
        {"chunks": NO_OVERLAP},
    ),
    "torchcodec": Peer("torchcodec", (TORCH, "torchcodec==0.13.0", OPENCV), {"mp4": NO_MASKS}),
    "decord": Peer("decord", (TORCH, "decord==0.6.0", OPENCV), {"mp4": NO_MASKS}),
    "lerobot": Peer("LeRobot", ("lerobot==0.4.4",), {"lerobot": NO_MASKS}),
    "keras": Peer("Keras PyDataset", ("tensorflow-cpu==2.21.0", OPENCV), {"folder": ALL}),
    "plain": Peer("a Python loop", (), {"folder": ALL}),
}
OWN = ("fastclips", "plain")  # of the interpreter that runs the harness
