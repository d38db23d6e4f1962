"""Packs in S3, on a server of moto: written by `pack`, read by `fc.open`, and what goes wrong."""

import re
import socket
import time
from urllib.request import Request, urlopen

import numpy as np
import pytest
from packing import check_same, content, same_index

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.data.stores import RemoteFolder
from fastclips.packing import remote_shards
from fastclips.testing import write_frames

pytest.importorskip("obstore")
moto_server = pytest.importorskip("moto.server")
moto_settings = pytest.importorskip("moto.settings")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3():
    """URL of a server of S3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto_server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def options(s3, tmp_path, monkeypatch):
    """Storage options of an empty server with one bucket."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with urlopen(Request(f"{s3}/moto-api/reset", method="POST")):  # noqa: S310 - on loopback
        pass
    with urlopen(Request(f"{s3}/bucket", method="PUT")):  # noqa: S310
        pass
    return {
        "endpoint": s3,
        "region": "us-east-1",
        "access_key_id": "key",
        "secret_access_key": "hidden",
        "allow_http": True,
        "timeout": 5,
        "retry_timeout": 1,
        "max_retries": 2,
    }


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3") / "frames"
    write_frames(folder)
    return folder


URL = "s3://bucket/a/packed"
HOW = {"workers": 0, "shard_size": 60_000}


def stored(options):
    """The names and the bytes of all objects of the pack."""
    folder = RemoteFolder.of(URL, options)
    there = {**folder.list(), **folder.list(".packing")}
    return {name: folder.read(name, 0, found.size, found)[0] for name, found in there.items() if found.size}


@pytest.mark.parametrize("codec", ["jpeg", "dct"])
def test_a_pack_in_a_bucket_has_the_bytes_of_a_local_one(frames, options, tmp_path, codec):
    local = fc.pack(frames, tmp_path / "packed", codec=codec, **HOW)
    done = fc.pack(frames, f"{URL}/", codec=codec, storage_options=options, **HOW)
    assert stored(options) == content(tmp_path / "packed")
    assert str(done) == str(local).replace(local.path, URL)
    data = fc.open(URL, storage_options=options)
    same_index(data, fc.open(tmp_path / "packed"))
    check_same(fc.open(tmp_path / "packed"), data, workers=2)
    again = fc.pack(frames, URL, codec=codec, storage_options=options, **HOW)
    assert (again.resumed, again.frames) == (True, done.frames)


@pytest.mark.parametrize("stop", [0, 1, 2, 7])
def test_an_interrupted_run_continues(frames, options, tmp_path, monkeypatch, stop):
    fc.pack(frames, tmp_path / "packed", codec="dct", **HOW)
    put, puts = RemoteFolder.put, []

    def failing(folder, name, data):
        if len(puts) == stop:
            raise KeyboardInterrupt
        puts.append(name)
        put(folder, name, data)

    monkeypatch.setattr(RemoteFolder, "put", failing)
    with pytest.raises(KeyboardInterrupt):
        fc.pack(frames, URL, codec="dct", storage_options=options, **HOW)
    assert puts[0] == ".packing/made" if puts else True
    with pytest.raises(fc.DataError, match="unfinished pack" if puts else "no pack"):
        fc.open(URL, storage_options=options)
    puts = [f"{number:05d}.tar" for number in range(stop // 3)] if stop else []
    before = [name for name in stored(options) if name.endswith(".record")]
    monkeypatch.setattr(
        RemoteFolder, "put", lambda folder, name, data: (again.append(name), put(folder, name, data))
    )
    again = []
    done = fc.pack(frames, URL, codec="dct", storage_options=options, **HOW)
    assert done.resumed is bool(before)
    assert not {f"{int(name[9:14]):05d}.tar" for name in before} & {*again}, "a complete shard is kept"
    assert again[-1] == "pack.index"
    assert stored(options) == content(tmp_path / "packed")


def test_nothing_else_is_deleted(options, tmp_path):
    folder = RemoteFolder.of(URL, options)
    folder.put(".packing/made", b"of another run")
    for name in ("notes.txt", "00000.tar", "deeper/00001.tar"):
        folder.put(name, b"content")
    damaged = tmp_path / "frames" / "a" / "video"
    damaged.mkdir(parents=True)
    (damaged / "0.jpg").write_bytes(b"no picture")
    with pytest.raises(fc.DataError, match="no video could be packed"):
        fc.pack(tmp_path / "frames", URL, storage_options=options, skip_damaged=True, **HOW)
    assert stored(options) == {"notes.txt": b"content"}
    assert folder.list("deeper").keys() == {"deeper/00001.tar"}


def test_other_content_is_refused(frames, options):
    fc.pack(frames, URL, storage_options=options, **HOW)
    with pytest.raises(fc.OptionError, match=rf"dst='{URL}': is a pack of other data or with other options"):
        fc.pack(frames, URL, storage_options=options, quality=50, **HOW)
    with pytest.raises(fc.OptionError, match=r"dst='s3://bucket/a': is not empty \(it has 'packed/"):
        fc.pack(frames, "s3://bucket/a", storage_options=options, **HOW)
    folder = RemoteFolder.of(URL, options)
    folder.delete(["00000.tar"])
    with pytest.raises(
        fc.DataError, match=r"00000\.tar' is missing: the pack was not fully uploaded; upload it"
    ):
        fc.open(URL, storage_options=options)
    folder.put("00000.tar", b"0")
    with pytest.raises(fc.DataError, match="has 1 bytes, but its index says"):
        fc.open(URL, storage_options=options)
    folder.delete(["pack.index"])
    with pytest.raises(fc.DataError, match=r"has tar files, but no 'pack.index'"):
        fc.open(URL, storage_options=options)


def test_a_shard_that_is_replaced_is_an_error(frames, options):
    fc.pack(frames, URL, storage_options=options, **HOW)
    data = fc.open(URL, storage_options=options)
    folder = RemoteFolder.of(URL, options)
    name, found = next((name, found) for name, found in folder.list().items() if name.endswith("1.tar"))
    changed = bytearray(folder.read(name, 0, found.size, found)[0])
    changed[-1] = 1
    folder.put(name, bytes(changed))
    says = "changed since it was opened: open the pack again"
    with (
        pytest.raises(fc.DataError, match=says),
        fc.ClipLoader(data, fc.Windows(4), batch_size=4, workers=2, damaged="repeat") as loader,
    ):
        list(loader)


def test_a_shard_that_vanishes_while_packing_is_an_error(frames, options, monkeypatch):
    end = remote_shards.RemoteShards._end_shard

    def vanishing(shards, next_video):
        end(shards, next_video)
        shards._target.delete(["00000.tar"])

    monkeypatch.setattr(remote_shards.RemoteShards, "_end_shard", vanishing)
    with pytest.raises(fc.DataError, match="was deleted or replaced: pack again"):
        fc.pack(frames, URL, storage_options=options, **HOW)
    monkeypatch.undo()
    assert "pack.index" not in stored(options)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bucket": "nowhere"}, r"the bucket does not exist \(404 Not Found NoSuchBucket"),
        ({"bucket": "bucket/empty"}, r"there is no pack: correct the URL, or make a pack there"),
        ({"checks": True}, r"access is denied \(403 Forbidden InvalidAccessKeyId"),
    ],
)
def test_what_a_store_refuses(options, change, says, monkeypatch):
    url = f"s3://{change.pop('bucket', 'bucket')}"
    if change.pop("checks", False):
        monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    began = time.monotonic()
    with pytest.raises(fc.DataError, match=says) as caught:
        fc.open(url, storage_options={**options, **change})
    assert "hidden" not in str(caught.value)
    assert time.monotonic() - began < 20


def test_what_a_store_refuses_of_pack(frames, options):
    with pytest.raises(
        fc.DataError, match=r"cannot write the pack into 's3://nowhere/x': the bucket does not exist"
    ):
        fc.pack(frames, "s3://nowhere/x", storage_options=options, **HOW)
    with pytest.raises(fc.OptionError, match="dst= is the URL of a web server"):
        fc.pack(frames, "https://host/packed", **HOW)
    with pytest.raises(fc.OptionError, match="storage_options= is for the URL"):
        fc.pack(frames, "packed", storage_options={}, **HOW)


def test_the_command_packs_into_a_bucket(frames, options, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    more = ["--storage-option", "retry_timeout=1", "--workers", "0"]
    assert main(["pack", str(frames), URL, *more]) == 1
    assert "plain HTTP: use https://, or allow it" in capsys.readouterr().err
    assert main(["pack", str(frames), URL, "--storage-option", "allow_http=true", *more]) == 0
    assert re.search(rf"^{URL}: \d+ videos", capsys.readouterr().out)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert main(["check", URL, "--workers", "0"]) == 0
    (x, _), *_ = fc.ClipLoader(fc.open(URL), fc.Windows(4), batch_size=2, workers=0)
    assert x.dtype == np.uint8
