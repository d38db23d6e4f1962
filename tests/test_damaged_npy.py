"""Damaged headers of .npy files, of frames and of numbers of frames: always an error that names the file."""

import os
import struct

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.data.members import MemberError, contents
from fastclips.errors import DataError, OptionError

GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 4, 4, 3), }"
VERSIONS = ((1, 0), (2, 0), (3, 0))


def npy(header, version=(1, 0), body=bytes(1000)):
    text = header.encode("latin1")
    return (
        b"\x93NUMPY"
        + bytes(version)
        + struct.pack("<H" if version == (1, 0) else "<I", len(text))
        + text
        + body
    )


DAMAGED = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "pickle": b"\x80\x04",
    "zip": b"PK\3\4" + bytes(100),
    "cut in the header": npy(GOOD)[:40],
    "cut in the data": npy(GOOD, body=bytes(95)),
    "version 4": npy(GOOD, (4, 0)),
    "version 0": npy(GOOD, (0, 0)),
    "a header of 2 GB": b"\x93NUMPY\2\0\xff\xff\xff\x7f" + b" " * 100,
    "objects": npy(GOOD.replace("|u1", "|O")),
    "objects within": npy(GOOD.replace("'|u1'", "[('a', '|O')]")),
    "a number as dtype": npy(GOOD.replace("'|u1'", "5")),
    "no dtype": npy(GOOD.replace("|u1", "xx")),
    "a large dtype": npy(GOOD.replace("|u1", "(2**99)u1")),
    "a deep dtype": npy(GOOD.replace("'|u1'", "[" * 900 + "]" * 900)),
    "dates of no unit": npy(GOOD.replace("|u1", "<M8[xx]")),
    "braces": npy("{" * 50),
    "many parentheses": npy("(" * 3000),
    "no text": npy("\xff\xfe"),
    "zeros": npy("\0\0\0"),
    "a number": npy("5"),
    "a set": npy("{1,2}"),
    "no shape": npy(GOOD.replace("shape", "shope")),
    "a shape beyond 64 bits": npy(GOOD.replace("(1,", f"({10**30},")),
    "a shape of 2**62": npy(GOOD.replace("(1,", f"({2**62},")),
    "a number of 5000 digits": npy(GOOD.replace("(1,", f"({'9' * 5000},")),
    "a product beyond 64 bits": npy(GOOD.replace("(1, 2", f"({2**40}, {2**40}")),
    "more than there is": npy(GOOD.replace("(1,", "(1000,")),
    "below 0": npy(GOOD.replace("(1,", "(-1,")),
    "two below 0": npy(GOOD.replace("(1, 2", "(-1, -2")),
    "a bool as size": npy(GOOD.replace("(1,", "(True,")),
    "a float as size": npy(GOOD.replace("(1,", "(1.0,")),
    "70 axes": npy(GOOD.replace("(1, 2, 4, 4, 3)", str((1,) * 70))),
    "no order": npy(GOOD.replace("False", "1")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_images(tmp_path, name):
    path = tmp_path / "x.npy"
    path.write_bytes(DAMAGED[name])
    with pytest.raises((DataError, OptionError)) as caught:
        fc.open(images=path)
    assert str(path) in str(caught.value)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("frames"), videos=1, frames=2)


@pytest.mark.parametrize("name", DAMAGED)
def test_numbers_of_frames(frames, tmp_path, name):
    path = tmp_path / "x.npy"
    path.write_bytes(DAMAGED[name])
    (tmp_path / "list.csv").write_text(f"path,frame_target\nclass_0/video_0,{path}\n")
    with pytest.raises(DataError, match=r"line 2 of ") as caught:
        fc.open(tmp_path / "list.csv", root=frames)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", DAMAGED)
def test_members(name):
    """A member that is no .npy file at all is bytes, which the decoder refuses."""
    data = DAMAGED[name]
    header = bytearray(512)
    header[124:136] = b"%011o\0" % len(data)
    header[257:263] = b"ustar\0"
    try:
        (found,) = contents(bytes(header) + data, [512], [len(data)])
    except MemberError:
        return
    assert bytes(found) == data
    assert data[:8] not in [b"\x93NUMPY" + bytes(version) for version in VERSIONS[:1]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(tmp_path, version):
    (tmp_path / "x.npy").write_bytes(npy(GOOD, version, bytes(range(96))))
    dataset = fc.open(images=tmp_path / "x.npy")
    np.testing.assert_array_equal(dataset.storage.read("image", 0, 1).reshape(-1), np.arange(48, 96))


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file(frames, tmp_path, kind):
    path = tmp_path / "x.npy"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    said = "Is a directory" if kind == "folder" else "it is no regular file"
    with pytest.raises(DataError, match=rf"x.npy.*{said}"):
        fc.open(images=path)
    (tmp_path / "list.csv").write_text(f"path,frame_target\nclass_0/video_0,{path}\n")
    with pytest.raises(DataError, match=rf"x.npy.*{said}"):
        fc.open(tmp_path / "list.csv", root=frames)
