"""An index whose checksum is right, but whose content was forged, is refused or serves what it says.

Each forgery changes one number, or one value of the header, and computes the checksum anew. The dataset then
opens and serves the batches of the intact index, or a DataError names the file; nothing else may be raised.
Numbers that are wrong but possible, such as another class, are no forgery that could be noticed.
"""

import copy
import json
import struct
import zlib

import numpy as np
import pytest
from helpers import make_frames, make_masks

import fastclips as fc
from fastclips.data.columns import Columns
from fastclips.errors import DataError

LARGE = (-(2**63), -(2**40), -2, -1, 2**31, 2**40, 2**63 - 1)
JUNK = (None, True, -1, 10**30, 1.5, "", "x\0y", "\ud800", [], [1], {}, {"a": 1}, [[[]]])
# Content that nothing else tells: any possible value is right.
FREE = ("index.fps", "values", ".template")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """An index in a file, and one of a pack, with everything that an index may hold."""
    top = tmp_path_factory.mktemp("saved")
    frames = make_frames(top / "frames", videos=4, frames=9)
    masks = make_masks(top / "masks", frames)
    for path in (*frames.glob("*/video_1/*7.jpg"), *masks.glob("*/video_1/*7.png")):
        path.unlink()
    (masks / "class_0/video_2/frame_00004.png").unlink()
    order = (2, 0, 1, 3)
    rows = [
        {"path": f"class_{v % 2}/video_{v}", "start": 1, "length": 6, "fps": 25.0 + v, "a": f"c{v % 3}"}
        | {"b": [f"t{v}", "u"], "c": float(v), "d": list(range(6)), "e": [[float(v), 1.0]] * 6}
        for v in order
    ]
    kinds = {"a": "label", "b": "labels", "c": "target", "d": "frame_labels", "e": "frame_target"}
    options = {"root": {"image": frames, "mask": masks}, "unpaired": "ignore"}
    fc.pack(fc.open(rows, labels=kinds, **options), top / "packed", workers=0)
    np.save(frames / "e.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    lines = [f"class_{v % 2}/video_{v};1;6;{25 + v};c{v % 3};t{v},u;{v}.5;e.npy" for v in order]
    (top / "list.csv").write_text("\n".join(["path;start;length;fps;a;b;c;e", *lines]))
    del kinds["d"]
    options = {"source": top / "list.csv", "labels": kinds, **options}
    fc.open(**options, index=top / "frames.index")
    return top, options


def reopened(kind, saved):
    top, options = saved
    return fc.open(top / "packed") if kind == "pack" else fc.open(**options, index=top / "frames.index")


def file_of(kind, saved):
    return saved[0] / ("packed/pack.index" if kind == "pack" else "frames.index")


def served(data):
    """Everything of an epoch, as bytes."""
    found = []
    options = {"targets": ("mask", *data.index.every_label)}
    with fc.ClipLoader(data, fc.Windows(3, step=3), batch_size=4, workers=0, **options) as loader:
        for x, y in loader:
            parts = y.values() if isinstance(y, dict) else y
            found.append([part.tobytes() for part in (x, *parts)])
    return found


def outcome(kind, saved):
    """What becomes of a file: the batches, or the error."""
    try:
        return served(reopened(kind, saved))
    except DataError as error:
        return str(error) if str(saved[0]) in str(error) else pytest.fail(f"{error} names no file")


def write(file, header, arrays):
    """Write an index with any header and arrays, and the right checksum, without a check."""
    text = json.dumps(header).encode()
    start = -(-(40 + len(text)) // 64) * 64
    body = text.ljust(start - 40, b"\0") + arrays
    prefix = struct.pack("<8sQQQQ", b"fcolumns", 2, len(text), 40 + len(body), zlib.crc32(body))
    file.write_bytes(prefix + body)


def read(file):
    data = file.read_bytes()
    _, _, length, *_ = struct.unpack("<8sQQQQ", data[:40])
    return json.loads(data[40 : 40 + length]), data[-(-(40 + length) // 64) * 64 :]


@pytest.fixture
def intact(saved):
    """The intact bytes of both files, which are put back after the test."""
    before = {kind: file_of(kind, saved).read_bytes() for kind in ("pack", "saved")}
    yield before
    for kind, data in before.items():
        file_of(kind, saved).write_bytes(data)


@pytest.mark.slow
@pytest.mark.usefixtures("intact")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pack", "saved"])
def test_numbers_of_columns(saved, kind):
    """Each of some numbers of each column becomes impossible, or is moved by one."""
    file = file_of(kind, saved)
    wanted = served(reopened(kind, saved))
    columns = Columns.load(file)
    arrays, meta = {name: np.array(array) for name, array in columns.items()}, columns.meta
    random = np.random.default_rng(0)
    refused = cases = 0
    for name, array in arrays.items():
        places = sorted({0, array.size - 1, *random.integers(0, max(array.size, 1), 2).tolist()})
        for place in places if array.size else ():
            for value in (*LARGE, *(array.reshape(-1)[place].item() + step for step in (-1, 1))):
                forged = array.copy().reshape(-1)
                with np.errstate(all="ignore"):
                    forged[place] = np.array(value).astype(array.dtype)
                if forged[place] == array.reshape(-1)[place]:
                    continue
                Columns.pack({**arrays, name: forged.reshape(array.shape)}, meta).save(file)
                found = outcome(kind, saved)
                cases += 1
                refused += isinstance(found, str)
                told = kind == "pack" and name.startswith(("pack.", "storage."))  # by the tar's own headers
                impossible = value in LARGE and array.dtype == np.int64
                free = not (told or impossible) or name.endswith(FREE)
                assert free or isinstance(found, str) or found == wanted, (name, place, value)
    assert cases > 200
    assert refused > cases / 2


@pytest.mark.slow
@pytest.mark.usefixtures("intact")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pack", "saved"])
def test_columns_that_are_missing_or_of_another_form(saved, kind):
    file = file_of(kind, saved)
    columns = Columns.load(file)
    arrays = {name: np.array(array) for name, array in columns.items()}
    wanted = served(reopened(kind, saved))
    for name, array in arrays.items():
        rest = {key: value for key, value in arrays.items() if key != name}
        changed = [
            array[:-1],
            array[:0],
            np.append(array, array[-1:], axis=0),
            array[None],
            array.astype("f4"),
        ]
        for forged in (None, *changed, array.astype("i1")):
            Columns.pack(rest if forged is None else {**rest, name: forged}, columns.meta).save(file)
            found = outcome(kind, saved)
            assert isinstance(found, str) or found == wanted or name.endswith(FREE), (name, forged)


def places_in(value, path=()):
    """The paths of all values in JSON."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*path, key))


@pytest.mark.slow
@pytest.mark.usefixtures("intact")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pack", "saved"])
def test_values_of_the_header(saved, kind):
    """Each value of the header becomes of another type, or is left out."""
    file = file_of(kind, saved)
    header, arrays = read(file)
    cases = 0
    for path in places_in(header):
        if not path or path[:2] == ("meta", "times"):  # a folder that has changed is scanned again
            continue
        for junk in (*JUNK, "left out"):
            forged = copy.deepcopy(header)
            holder = forged
            for key in path[:-1]:
                holder = holder[key]
            if junk == "left out":
                del holder[path[-1]]
            else:
                holder[path[-1]] = junk
            write(file, forged, arrays)
            try:
                outcome(kind, saved)
            except fc.OptionError:  # the options are those of another file
                assert path[1] in ("made_from", "streams")  # of other options, or without images
            cases += 1
    assert cases > 500


@pytest.mark.usefixtures("intact")
@pytest.mark.parametrize("name", ["../elsewhere/00000.tar", "/etc/passwd", "..", "a/b.tar", "", "x\0.tar", 5])
def test_shards_lie_in_the_folder(saved, name):
    file = file_of("pack", saved)
    header, arrays = read(file)
    header["meta"]["shards"][0] = name
    write(file, header, arrays)
    with pytest.raises(
        DataError, match=r"pack.index' is not a complete index of a pack \(shards has .*plain"
    ):
        fc.open(saved[0] / "packed")


@pytest.mark.usefixtures("intact")
@pytest.mark.parametrize("text", ["[" * 100_000, '{"meta": ' + "9" * 10_000 + "}", '"a"', "{}", "{"])
def test_a_header_that_is_no_header(saved, text):
    file = file_of("pack", saved)
    body = text.encode().ljust(-(-(40 + len(text)) // 64) * 64 - 40, b"\0")
    file.write_bytes(
        struct.pack("<8sQQQQ", b"fcolumns", 2, len(text), 40 + len(body), zlib.crc32(body)) + body
    )
    with pytest.raises(DataError, match=r"pack.index' has a damaged header"):
        fc.open(saved[0] / "packed")
