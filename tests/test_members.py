"""Members of tars: where native code finds them, and that what is not one is none."""

import io
from operator import add

import numpy as np
import pytest
from helpers import make_frames
from hypothesis import given, settings
from hypothesis import strategies as st

import fastclips as fc
from fastclips._native import Files, MemberTable, find_members
from fastclips.data.members import MemberError, contents


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pack of two shards and more, of 6 videos of 9 frames with masks."""
    top = tmp_path_factory.mktemp("made")
    frames = make_frames(top / "frames", videos=6, frames=9)
    fc.pack(fc.open(frames), top / "pack", shard_size="30KiB", workers=0)
    return top / "pack"


@settings(max_examples=100)
@given(st.integers(-1, 6), st.lists(st.integers(-1, 9), min_size=1, max_size=6))
def test_native_code_finds_the_range_that_python_finds(made, video, frames):
    storage = fc.open(made).storage
    ends, found = storage._ends, None
    if video >= 0:
        found = storage._tables["image"].find(video, frames)
    if not (0 <= video < 6 and all(0 <= frame < 9 for frame in frames)):
        assert found is None
        return
    starts, lengths = storage._find("image", video, frames)
    runs = storage._runs(starts, lengths)
    if len({*frames}) > 1 and len(runs) > 1:
        assert found is None
        return
    assert (found.begin, found.end) == (min(starts) - 512, max(map(add, starts, lengths)))
    assert found.begin + found.first == starts[0]
    assert sum(end <= found.begin for end in ends) == found.shard


def test_files_that_were_read_together_are_a_sequence(made):
    storage = fc.open(made).storage
    files = storage.read_many("image", 1, [2, 3, 5])
    assert isinstance(files, Files)
    views = list(files)
    assert (len(files), files.nbytes) == (3, sum(map(len, views)))
    with pytest.raises(IndexError, match="no such file"):
        files[3]
    last = files[2]
    assert last == views[2] == storage.read("image", 1, 5)
    del files, views
    assert bytes(last) == storage.read("image", 1, 5)


def test_members_that_are_not_whole_are_not_cut(made):
    storage = fc.open(made).storage
    run = storage._tables["image"].find(1, [2, 3])
    data = storage._read(run.begin, run.end)
    assert len(run.cut(data)) == 2
    assert len(run.cut(memoryview(data))) == 2
    assert run.cut(data[:-1]) is None
    assert run.cut(b"") is None
    size = data.index(b"ustar") - 257 + 124
    assert run.cut(data[:size] + b"7" + data[size + 1 :]) is None
    table = MemberTable([512], *(np.zeros(1, np.int64) for _ in range(4)), *(np.ones(1, np.uint32),) * 2)
    assert table.find(0, [0]) is None
    assert table.find(1, [0]) is None
    assert table.find(0, []) is None


def tells(header, size):
    """Whether a tar header says a size, in octal digits, which some write otherwise."""
    digits = header[124:136].strip(b" \0")
    return bool(digits) and (digits.lstrip(b"0") or b"0") == b"%o" % size


def field(size, width, before, after):
    return (before + b"%0*o" % (width, size) + after)[:12].ljust(12, b"\0")


sizes = st.integers(0, 600)
fields = st.builds(
    lambda size, more, *how: (field(size, *how), size + more),
    sizes,
    st.sampled_from([0, 0, 0, 0, 1]),
    st.integers(1, 11),
    st.sampled_from([b"", b" ", b"\0", b"  "]),
    st.sampled_from([b"", b"\0", b" ", b" \0", b"8", b"x", b"0 0"]),
)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(fields | st.tuples(st.binary(min_size=12, max_size=12), sizes), max_size=6))
def test_members_are_found_as_far_as_their_headers_are_right(places):
    data, starts = b"", []
    for number, (said, length) in enumerate(places):
        starts.append(len(data) + 512)
        data += said.rjust(136, b"h").ljust(512, b"t") + bytes([number]) * length
    lengths = [length for _, length in places]
    wrong = [
        not length or not tells(data[start - 512 : start], length)
        for start, length in zip(starts, lengths, strict=True)
    ]
    right = [*wrong, True].index(True)
    found, npy = find_members(data, starts, lengths)
    assert [bytes(member) for member in found] == [bytes([n]) * lengths[n] for n in range(right)]
    assert not npy


def test_places_outside_what_was_read_are_no_members():
    data = bytes(512) + b"\x93NUMPY" + bytes(506)
    for start, length in ((511, 1), (1025, 0), (1024, 1), (512, 513), (2**62, 2**62)):
        with pytest.raises(IndexError):
            find_members(data, [start], [length])
    with pytest.raises(ValueError, match="one length"):
        find_members(data, [512], [])
    with pytest.raises(TypeError):
        find_members(data, [-1], [1])
    whole = data[:124] + b"00000001000\0" + data[136:]
    assert find_members(whole, [512], [512]) == ([whole[512:]], True)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.dictionaries(st.integers(0, 127), st.integers(0, 255), max_size=4))
def test_a_damaged_array_is_an_error_or_has_the_same_pixels(changes):
    file = io.BytesIO()
    np.save(file, np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3))
    member = bytearray(file.getvalue())
    for at, byte in changes.items():
        member[at] = byte
    data = bytes(124) + b"%011o\0" % len(member) + bytes(376) + member
    try:
        (found,) = contents(data, [512], [len(member)])
    except MemberError:
        return
    if isinstance(found, np.ndarray):
        assert found.dtype == np.uint8
        assert found.ndim in {2, 3}
        assert found.tobytes() == bytes(range(18))
    else:
        assert bytes(found) == member
        assert not member.startswith(b"\x93NUMPY")
