"""The cache of blocks on a local disk: any range, within the limit, whoever is killed."""

import os
import pickle
import random
import re
import shutil
import subprocess
import sys

from fastclips.data.block_cache import BlockCache


def cached(cache, source, start, length, fetched):
    def fetch(low, size):
        fetched.append((low, size))
        return source[low : low + size]

    return cache.read(f"{len(source)}", len(source), start, length, fetch)


def usage(folder):
    return sum(path.stat().st_size for path in (folder / "blocks").rglob("*") if path.is_file())


def test_blocks_give_any_range(tmp_path):
    BlockCache.of(tmp_path, None)
    cache = BlockCache(str(tmp_path), None, block=100)
    source, draws, fetched = bytes(random.Random(1).randbytes(1234)), random.Random(2), []
    for _ in range(300):
        start = draws.randrange(1234)
        length = draws.randint(1, min(400, 1234 - start))
        assert cached(cache, source, start, length, fetched) == source[start : start + length]
    assert sum(size for _, size in fetched) == 1234  # each byte once
    again = pickle.loads(pickle.dumps(cache))
    assert cached(again, source, 0, 1234, fetched) == source
    assert sum(size for _, size in fetched) == 1234


def test_the_limit_holds_and_the_least_recently_used_go(tmp_path):
    BlockCache.of(tmp_path, None)
    cache = BlockCache(str(tmp_path), 1000, block=100)
    source, fetched = bytes(5000), []
    for number in range(10):
        cached(cache, source, number * 100, 100, fetched)
        (block,) = (tmp_path / "blocks").glob(f"*/{number}")
        os.utime(block, (number, number))
    assert cached(cache, source, 0, 100, fetched)  # used now
    cached(cache, source, 1000, 100, fetched)
    assert sorted(int(path.name) for path in (tmp_path / "blocks").glob("*/*")) == [0, *range(3, 11)]
    for number in range(11, 50):
        cached(cache, source, number * 100, 100, fetched)
        assert usage(tmp_path) <= 1000
    before = len(fetched)
    cached(cache, source, 4900, 100, fetched)
    assert len(fetched) == before


def test_the_limit_holds_for_what_was_kept_without_one(tmp_path):
    BlockCache.of(tmp_path, None)
    source = bytes(5000)
    cached(BlockCache(str(tmp_path), 1000, block=100), source, 0, 300, [])
    cached(BlockCache(str(tmp_path), None, block=100), source, 0, 5000, [])
    assert usage(tmp_path) == 5000
    (tmp_path / "usage").unlink()  # then the files are counted
    cached(BlockCache(str(tmp_path), 7000, block=100), bytes(100), 0, 100, [])
    cached(BlockCache(str(tmp_path), 1000, block=100), b"1" + source, 0, 100, [])
    assert usage(tmp_path) <= 1000


def test_a_cache_that_is_deleted_begins_anew(tmp_path):
    BlockCache.of(tmp_path, None)
    cache, source = BlockCache(str(tmp_path), 1000, block=100), bytes(5000)
    cached(cache, source, 0, 1000, [])
    shutil.rmtree(tmp_path / "blocks")
    for start in range(0, 1000, 100):
        assert cached(cache, source, start, 100, []) == bytes(100)
    assert 0 < usage(tmp_path) <= 1000


def test_a_damaged_cache_is_fetched_again(tmp_path):
    BlockCache.of(tmp_path, None)
    cache = BlockCache(str(tmp_path), None, block=100)
    source, fetched = bytes(range(250)), []
    cached(cache, source, 0, 250, fetched)
    for block in (tmp_path / "blocks").glob("*/1"):
        block.write_bytes(b"short")
    for block in (tmp_path / "blocks").glob("*/2"):
        block.unlink()
        block.mkdir()
    assert cached(cache, source, 0, 250, fetched) == source


KILLER = """
import os, random, sys, time
from fastclips.data.block_cache import BlockCache

def write(number):
    draws = random.Random(number)
    while True:
        start = draws.randrange(9_000)
        found = cache.read("a", 10_000, start, 300, lambda low, size: source[low:low + size])
        assert found == source[start:start + 300]

cache, source = BlockCache(sys.argv[1], 4000, block=100), random.Random(1).randbytes(10_000)
draws = random.Random(4)
for number in range(12):
    writers = []
    for one in range(2):
        writers.append(os.fork())
        if not writers[-1]:
            try:
                write(2 * number + one)
            finally:
                os._exit(1)
    time.sleep(draws.random() / 20)
    for writer in writers:
        os.kill(writer, 9)
        assert os.waitpid(writer, 0)[1] == 9, "a writer failed"
"""


def test_processes_killed_at_any_instruction_leave_a_good_cache(tmp_path):
    BlockCache.of(tmp_path, None)
    subprocess.run([sys.executable, "-c", KILLER, str(tmp_path)], check=True)
    source = random.Random(1).randbytes(10_000)
    for path in (tmp_path / "blocks").glob("*/*"):
        if not path.name.startswith("."):
            at = int(path.name) * 100
            assert path.read_bytes() == source[at : at + 100]
    assert usage(tmp_path) <= 4000
    cache = BlockCache(str(tmp_path), 4000, block=100)
    assert cached(cache, source, 0, 10_000, []) == source


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch, caplog):
    BlockCache.of(tmp_path, None)
    cache = BlockCache(str(tmp_path), None, block=100)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        assert cached(cache, bytes(250), 0, 250, []) == bytes(250)
    assert re.findall("cannot keep what was fetched: No space left", caplog.text) == [
        "cannot keep what was fetched: No space left"
    ]
    assert not usage(tmp_path)
