"""Tars that are cut, forged or damaged: an error that names the tar, or the frames that are there."""

import io
import os
import tarfile
import tracemalloc

import numpy as np
import pytest
from helpers import make_frames

import fastclips as fc
from fastclips.data.columns import Columns
from fastclips.errors import DataError

LENGTH = 2000  # bytes of a frame


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    (path,) = make_frames(tmp_path_factory.mktemp("frames"), videos=1, frames=1).rglob("*.jpg")
    return path.read_bytes().ljust(LENGTH, b"\0")[:LENGTH]


def tar(jpeg, names=("a/v/1.jpg", "a/v/2.jpg")):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(jpeg)
            made.addfile(member, io.BytesIO(jpeg))
    return file.getvalue()


def patched(data, place, field):
    """A tar with another field in its first header, whose checksum is right."""
    header = bytearray(data[:512])
    header[place : place + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def binary(number):
    """A number in base 256."""
    return b"\x80" + number.to_bytes(11, "big")


def pax(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest) + 1
    while len(str(size)) + len(rest) != size:
        size += 1
    return str(size).encode() + rest


def extended(kind, content, size=None):
    """An extended header."""
    member = tarfile.TarInfo("x")
    member.size, member.type = len(content) if size is None else size, kind
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


DAMAGED = {
    "a size of 2**70": lambda tar: patched(tar, 124, binary(2**70)),
    "a size of 2**63 - 1": lambda tar: patched(tar, 124, binary(2**63 - 1)),
    "the largest octal size": lambda tar: patched(tar, 124, b"7" * 12),
    "a size below 0 in base 256": lambda tar: patched(tar, 124, b"\xff" * 11 + b"\xfb"),
    "a size below 0": lambda tar: patched(tar, 124, b"-00000000005"),
    "a size of letters": lambda tar: patched(tar, 124, b"z" * 12),
    "a mode of letters": lambda tar: patched(tar, 100, b"zzzzzzz\0"),
    "pax: a size below 0": lambda tar: extended(b"x", pax(b"size", b"-5")) + tar,
    "pax: a size of 30 digits": lambda tar: extended(b"x", pax(b"size", b"9" * 30)) + tar,
    "pax: a size of 5000 digits": lambda tar: extended(b"x", pax(b"size", b"9" * 5000)) + tar,
    "pax: a size of letters": lambda tar: extended(b"x", pax(b"size", b"abc")) + tar,
    "pax: a size that is no number": lambda tar: extended(b"x", pax(b"size", b"nan")) + tar,
    "pax: NUL in a path": lambda tar: extended(b"x", pax(b"path", b"a/v/\0.jpg")) + tar,
    "pax: a record of 0 bytes": lambda tar: extended(b"x", b"0 a=b\n") + tar,
    "pax: a length of 5000 digits": lambda tar: extended(b"x", b"9" * 5000 + b" a=b\n") + tar,
    "pax: cut": lambda _: extended(b"x", pax(b"path", b"y" * 2000))[:1500],
    "pax: no member": lambda _: extended(b"x", pax(b"path", b"a/v/9.jpg")),
    "pax: 8 GB": lambda tar: extended(b"x", b"", 2**33 - 1) + tar,
    "pax: 3000 in a row": lambda tar: extended(b"x", pax(b"comment", b"y")) * 3000 + tar,
    "pax: global, 8 GB": lambda tar: extended(b"g", b"", 2**33 - 1) + tar,
    "sparse, version 1": lambda tar: (
        extended(b"x", pax(b"GNU.sparse.major", b"1") + pax(b"GNU.sparse.minor", b"0")) + tar
    ),
    "sparse, a map of letters": lambda tar: extended(b"x", pax(b"GNU.sparse.map", b"1,x,3")) + tar,
    "sparse, a size of letters": lambda tar: extended(b"x", pax(b"GNU.sparse.size", b"abc")) + tar,
    "sparse, of GNU": lambda tar: patched(tar, 156, b"S"),
    "a long name of 8 GB": lambda tar: extended(b"L", b"", 2**33 - 1) + tar,
    "3000 long names in a row": lambda tar: extended(b"L", b"a/v/5.jpg\0") * 3000 + tar,
    "cut in the first header": lambda tar: tar[:100],
    "cut in the first member": lambda tar: tar[:600],
    "cut in the second header": lambda tar: tar[: 512 + 2048 + 200],
    "cut in the second member": lambda tar: tar[: 512 + 2048 + 512 + 100],
    "cut before the end marker": lambda tar: tar[: 2 * (512 + 2048)],
    "no bytes": lambda _: b"",
    "zeros": lambda _: bytes(10240),
    "other bytes": lambda _: np.random.default_rng(0).bytes(5000),
}
WHOLE = {
    "as it is": (lambda tar: tar, "1.jpg"),
    "a long name": (lambda tar: extended(b"L", b"a/v/" + b"1" * 17 + b".jpg\0") + tar, "1" * 17 + ".jpg"),
    "a long name without an end": (lambda tar: extended(b"L", b"a/v/7.jpg") + tar, "7.jpg"),
    "pax: a path": (lambda tar: extended(b"x", pax(b"path", b"a/v/7.jpg")) + tar, "7.jpg"),
    "a time of 2**80": (lambda tar: patched(tar, 136, binary(2**80)), "1.jpg"),
    "an owner below 0": (lambda tar: patched(tar, 108, b"\xff" * 8), "1.jpg"),
    "an unknown charset": (lambda tar: extended(b"x", pax(b"hdrcharset", b"nope")) + tar, "1.jpg"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(tmp_path, jpeg, name):
    path = tmp_path / "x.tar"
    path.write_bytes(DAMAGED[name](tar(jpeg)))
    with pytest.raises(DataError) as caught:
        fc.open(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", WHOLE)
def test_unusual_but_whole(tmp_path, jpeg, name):
    change, file = WHOLE[name]
    (tmp_path / "x.tar").write_bytes(change(tar(jpeg)))
    storage = fc.open(tmp_path / "x.tar").storage
    assert {storage.read("image", 0, frame) for frame in (0, 1)} == {jpeg}
    assert {storage.where("image", 0, frame).rpartition("/")[2] for frame in (0, 1)} == {file, "2.jpg"}


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"])
def test_a_large_extended_header_is_not_read(tmp_path, jpeg, kind):
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(extended(kind, b"", 200_000_000))
        file.truncate(512 + 200_000_000 + -200_000_000 % 512)
        file.seek(0, os.SEEK_END)
        file.write(tar(jpeg))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"x.tar' is damaged: it has an extended header of 200"):
            fc.open(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("column", ["names", "begins", "starts", "lengths"])
@pytest.mark.parametrize("value", [-(2**62), -1, 0, 2**40, 2**62, None])
def test_a_forged_listing_is_made_anew(tmp_path, jpeg, column, value):
    path = tmp_path / "x.tar"
    path.write_bytes(tar(jpeg))
    fc.open(path)
    beside = tmp_path / "x.tar.index"
    columns = Columns.load(beside)
    arrays = {name: np.array(array) for name, array in columns.items()}
    if value is None:
        arrays[column] = arrays[column][:-1]
    else:
        arrays[column][-1] = np.array(value).astype(arrays[column].dtype)
    intact = beside.read_bytes()
    Columns.pack(arrays, columns.meta).save(beside)
    storage = fc.open(path).storage
    if beside.read_bytes() == intact or column != "lengths" or value != 0:
        assert storage.read("image", 0, 1) == jpeg
    else:  # a member of 0 bytes is possible, and its header tells otherwise
        with pytest.raises(DataError, match=r"x.tar:a/v/2.jpg': is empty|no member of 0 bytes"):
            storage.read("image", 0, 1)


def test_every_cut(tmp_path, jpeg):
    data = tar(jpeg)
    path = tmp_path / "x.tar"
    for size in {*range(0, 2 * (512 + 2048), 61), *range(2 * (512 + 2048) - 3, 2 * (512 + 2048) + 512)}:
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"x.tar'"):
            fc.open(path)
