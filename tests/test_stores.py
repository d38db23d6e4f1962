"""Packs in object stores: the same batches as from the local pack, whatever the store does."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from object_server import ObjectServer

import fastclips as fc
from fastclips.data.store_errors import StoreError
from fastclips.testing import check_storage, write_frames

pytest.importorskip("obstore")

QUICK = {"allow_http": True, "timeout": 2, "retry_timeout": 3}
HASTY = {"allow_http": True, "timeout": 0.3, "retry_timeout": 0.5}


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """A folder with frames, and a pack of them in several shards."""
    folder = tmp_path_factory.mktemp("stores")
    write_frames(folder / "frames")
    fc.pack(folder / "frames", folder / "packed", workers=0, shard_size=60_000)
    return folder


@pytest.fixture(scope="module")
def expected(top):
    return batches(fc.open(top / "packed"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def server(top):
    with ObjectServer(top) as server:
        yield server


def opened(server, options=QUICK, **more):
    return fc.open(f"{server.url}/packed/", storage_options=options, **more)


def batches(data, workers=0, **options):
    loader = fc.ClipLoader(
        data,
        fc.Windows(4, step=2),
        [fc.RandomCrop(24)],
        batch_size=4,
        shuffle=True,
        seed=1,
        workers=workers,
        **options,
    )
    try:
        return [x.copy() for x, *_ in loader]
    finally:
        loader.close()


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches_as_the_local_pack(server, top, expected, workers):
    data = opened(server)
    assert data.storage.is_remote
    assert not fc.open(top / "packed").storage.is_remote
    assert repr(data) == repr(fc.open(top / "packed"))
    assert same(batches(data, workers), expected)


def test_states_of_the_local_pack_continue(server, top, recwarn):
    def loader(data):
        return fc.ClipLoader(data, fc.Windows(4), batch_size=4, workers=0, seed=1)

    with loader(fc.open(top / "packed")) as one, loader(opened(server)) as other:
        state = one.state_dict(0, 2)
        other.load_state_dict(state)
        state = str(other.state_dict(0, 2))
    assert not [str(warning.message) for warning in recwarn]
    assert "http" not in state


def test_200_faults_in_an_epoch(server, expected):
    quick = {"init_backoff": 0.01, "max_backoff": 0.05, "max_retries": 50}
    data = opened(server, {**QUICK, **quick, "timeout": 0.4, "retry_timeout": 60})
    kinds = ["reset", "short", 500, 503, 429]
    draws = random.Random(3)  # an epoch has more than 70 requests without faults
    places = [server._count + at for at in draws.sample(range(270), 200)]
    server.faults = dict.fromkeys(places[:4], "silence") | {at: draws.choice(kinds) for at in places[4:]}
    assert same(batches(data, 2, cache=0), expected)
    assert sum(server.done.values()) == 200
    assert {*kinds, "silence"} == set(server.done)


def test_a_changed_shard_is_an_error(server):
    data = opened(server)
    storage = data.storage
    storage.read("image", 0, 0)
    server.fault = lambda _command, path: "changed" if path.endswith(".tar") else None
    with pytest.raises(fc.DataError, match=r"00000\.tar:.*changed since it was opened: open the pack again"):
        storage.read("image", 0, 1)


def test_a_changed_shard_is_an_error_where_the_server_ignores_if_match(server, top, tmp_path):
    data = opened(server)
    storage = data.storage
    storage.read("image", 0, 0)
    server.folder = tmp_path
    (tmp_path / "packed").mkdir()
    shard = bytearray((top / "packed/00000.tar").read_bytes())
    shard[-1] = 1
    (tmp_path / "packed/00000.tar").write_bytes(shard)
    server.fault = lambda *_: "deaf"
    with pytest.raises(fc.DataError, match="changed since it was opened"):
        storage.read("image", 0, 1)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (403, r"access is denied \(403 Forbidden\)"),
        (401, r"access is denied \(401 Unauthorized\)"),
        (404, r"there is no such object \(404 Not Found\)"),
        (500, r"answers 500 Internal Server Error after \d+ retries"),
        (503, r"answers 503 Service Unavailable after \d+ retries"),
        ("reset", "does not answer"),
        ("silence", r"does not answer after \d+ retries"),
    ],
)
def test_faults_that_stay_are_errors_within_bounded_time(server, fault, says):
    data = opened(server, HASTY)
    storage = data.storage
    server.fault = lambda *_: fault
    began = time.monotonic()
    with pytest.raises(fc.DataError, match=says) as caught:
        storage.read("image", 0, 0)
    assert time.monotonic() - began < 10
    assert f"{server.url}/packed/00000.tar:" in str(caught.value)
    assert isinstance(caught.value.__cause__, StoreError)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_that_fails_is_no_damaged_frame(server, workers):
    data = opened(server, HASTY)
    with fc.ClipLoader(data, fc.Windows(4), batch_size=4, workers=workers, damaged="repeat") as loader:
        server.fault = lambda *_: 503
        with pytest.raises(fc.DataError, match="503"):
            next(iter(loader))
    began = time.monotonic()
    with pytest.raises(fc.DataError, match="503"):
        fc.ClipLoader(data, fc.Windows(4), batch_size=4, workers=workers, damaged="repeat")
    assert time.monotonic() - began < 5


def test_a_store_that_fails_ends_check_and_pack(server, tmp_path):
    data = opened(server, HASTY)
    server.fault = lambda *_: 503
    for workers in (0, 1):
        with pytest.raises(fc.DataError, match=r"cannot read frame .*503 Service Unavailable"):
            fc.check(data, workers=workers)
        with pytest.raises(fc.DataError, match=r"cannot read frame .*503 Service Unavailable"):
            fc.pack(data, tmp_path / "again", skip_damaged=True, workers=workers)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (403, "access is denied"),
        (404, "there is no pack: correct the URL"),
        (503, "503 Service Unavailable"),
        ("silence", "does not answer"),
    ],
)
def test_opening_fails_within_bounded_time(server, fault, says):
    server.fault = lambda *_: fault
    began = time.monotonic()
    with pytest.raises(fc.DataError, match=says):
        opened(server, HASTY)
    assert time.monotonic() - began < 10


def test_an_interrupt_ends_a_call_that_waits(server):
    server.fault = lambda *_: "silence"
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        opened(server, {"allow_http": True, "timeout": 30})
    assert time.monotonic() - began < 10
    timer.join()


def test_no_server():
    with ObjectServer(".") as server:
        url = server.url
    with pytest.raises(fc.DataError, match="does not answer"):
        fc.open(f"{url}/packed", storage_options=HASTY)


def test_the_index_of_another_pack(server, top, tmp_path):
    fc.pack(top / "frames", tmp_path / "packed", workers=0, shard_size=60_000, quality=30)
    for shard in (tmp_path / "packed").glob("*.tar"):
        shard.write_bytes(
            (top / "packed" / shard.name).read_bytes() if (top / "packed" / shard.name).exists() else b""
        )
    server.folder = tmp_path
    data = opened(server)
    with pytest.raises(
        fc.DataError, match=r"the shard has \d+ bytes, but its index says \d+; upload it again"
    ):
        data.storage.read("image", 0, 0)


def test_another_member_at_its_place(server, top, tmp_path):
    (tmp_path / "packed").mkdir()
    for file in (top / "packed").iterdir():
        data = file.read_bytes()
        (tmp_path / "packed" / file.name).write_bytes(
            data.replace(b"video_", b"movie_") if file.suffix == ".tar" else data
        )
    server.folder = tmp_path
    with pytest.raises(fc.FrameError, match="another member at its place"):
        opened(server).storage.read("image", 0, 0)


def test_a_damaged_index(server, top, tmp_path):
    (tmp_path / "packed").mkdir()
    index = bytearray((top / "packed/pack.index").read_bytes())
    index[-100] ^= 1
    (tmp_path / "packed/pack.index").write_bytes(index)
    server.folder = tmp_path
    with pytest.raises(fc.DataError, match=rf"{server.url}/packed/pack.index' is damaged"):
        opened(server)


def test_the_index_is_fetched_once(server, tmp_path):
    opened(server)
    (kept,) = (tmp_path / "home/fastclips").iterdir()
    assert "127.0.0.1" not in kept.name
    before = len(server.requests)
    opened(server)
    assert [span for _, _, span, _ in server.requests[before:]] == ["bytes=0-0"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")  # damaged: it is fetched again
    opened(server)
    assert len(server.requests) == before + 3


def test_a_new_index_replaces_its_copy(server, top, tmp_path):
    opened(server)
    fc.pack(top / "frames", tmp_path / "packed", workers=0, shard_size=90_000)
    server.folder = tmp_path
    data = opened(server)
    assert len(list((tmp_path / "home/fastclips").iterdir())) == 1
    assert same(batches(data), batches(fc.open(tmp_path / "packed")))


def test_no_place_for_the_index(server, expected, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert same(batches(opened(server)), expected)


def test_servers_without_etags(top, expected):
    with ObjectServer(top, etags=False) as server:
        assert same(batches(opened(server)), expected)


def test_plain_http_must_be_allowed(server):
    with pytest.raises(fc.OptionError, match=r"plain HTTP.*allow_http"):
        fc.open(f"{server.url}/packed")
    with pytest.raises(fc.OptionError, match=r"endpoint that.*plain HTTP.*allow_http"):
        fc.open("s3://bucket/packed", storage_options={"endpoint": server.url})


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, "<Code>NoSuchBucket</Code>"), r"the bucket does not exist \(404 Not Found NoSuchBucket\)"),
        ((301, "<Code>PermanentRedirect</Code>"), r"another region .*: set AWS_REGION, or storage_options="),
        ((400, "<Code>AuthorizationHeaderMalformed</Code>"), "in another region"),
        ((400, "<Code>ExpiredToken</Code>"), r"credentials have expired \(400 Bad Request ExpiredToken\)"),
        ((403, "<Code>InvalidAccessKeyId</Code>"), r"access is denied \(403 Forbidden InvalidAccessKeyId\)"),
        ((503, "<Code>SlowDown</Code><Message>Slow.</Message>"), r"503 Service Unavailable SlowDown: Slow\."),
    ],
)
def test_what_s3_answers(server, answer, says):
    server.fault = lambda *_: answer
    keys = {"access_key_id": "key", "secret_access_key": "hidden", "region": "us-east-1"}
    began = time.monotonic()
    with pytest.raises(fc.DataError, match=says) as caught:
        fc.open("s3://bucket/packed", storage_options={**HASTY, **keys, "endpoint": server.url})
    assert time.monotonic() - began < 10
    assert "hidden" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_no_credentials(server, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    server.fault = lambda *_: 404
    options = {**HASTY, "endpoint": server.url, "metadata_endpoint": server.url, "region": "us-east-1"}
    with pytest.raises(fc.DataError, match=r"no credentials were found: give credentials as"):
        fc.open("s3://bucket/packed", storage_options=options)


def test_credentials_that_allow_no_listing(server, top, expected):
    def listing(_command, path):
        return (403, "<Code>AccessDenied</Code>") if "list-type" in path else None

    server.fault = listing
    server.folder = top.parent
    options = {**QUICK, "endpoint": server.url, "skip_signature": True, "region": "us-east-1"}
    data = fc.open(f"s3://{top.name}/packed", storage_options=options)
    assert same(batches(data), expected)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://host/packed?sig=SECRET", r"source='https://host/packed': .*query.*sas_token"),
        ("https://host/packed#SECRET", "query"),
        ("s3://user:SECRET@bucket/packed", "source='s3://bucket/packed': .*user or password"),
        ("az://user:SECRET@bucket/packed", "source='az://bucket/packed': .*user or password"),
        ("ftp://host/packed", "scheme 'ftp'"),
        ("s3:///packed", "names no bucket"),
    ],
)
def test_urls_that_are_refused(url, says):
    with pytest.raises(fc.OptionError, match=says) as caught:
        fc.open(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"nonsense": "SECRET"}, "does not know, among nonsense"),
        ({"region": 1.5}, "does not know, among region"),
        ({"timeout": -1}, r"timeout=-1: must be more than 0"),
        ({"retry_timeout": "SECRET"}, "retry_timeout="),
        ({"max_retries": -1}, "max_retries=-1"),
        ("SECRET", "must be a mapping"),
    ],
)
def test_storage_options_that_are_refused(options, says):
    with pytest.raises(fc.OptionError, match=says):
        fc.open("s3://bucket/packed", storage_options=options)


def test_azure_and_google_name_what_is_missing(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    with pytest.raises(
        fc.OptionError, match=r"Account must be specified; correct the URL or storage_options="
    ):
        fc.open("az://container/packed")
    key = {"service_account_key": "{hidden"}
    with pytest.raises(fc.OptionError, match="Unable to decode service account") as caught:
        fc.open("gs://bucket/packed", storage_options=key)
    assert "hidden" not in str(caught.value)


def test_options_of_urls_are_for_urls(top, tmp_path):
    for options in ({"storage_options": {}}, {"local": tmp_path}, {"limit": "1GiB"}):
        (name,) = options
        with pytest.raises(fc.OptionError, match=f"{name}= is for the URL"):
            fc.open(top / "packed", **options)
        with pytest.raises(fc.OptionError, match=name):
            fc.open(images=np.zeros((1, 2, 8, 8, 3), np.uint8), **options)
    with pytest.raises(fc.OptionError, match="'s3://b/x' is a URL"):
        fc.open({"image": "s3://b/x"})
    with pytest.raises(fc.OptionError, match=r"limit='1GiB'.*give its folder as local="):
        fc.open("s3://b/x", limit="1GiB")
    with pytest.raises(fc.OptionError, match="limit=1000: must be at least 64 MiB"):
        fc.open("s3://b/x", local=tmp_path, limit=1000)
    with pytest.raises(fc.OptionError, match="local='/proc/x': cannot be written to"):
        fc.open("s3://b/x", local="/proc/x")


def test_unpack_wants_a_local_copy(server, tmp_path):
    for pack in (opened(server), f"{server.url}/packed"):
        with pytest.raises(fc.OptionError, match=rf"{server.url}/packed': is in an object store: copy it"):
            fc.unpack(pack, tmp_path / "again")


def test_file_urls_are_paths(top, expected):
    assert same(batches(fc.open(f"file://{top}/packed")), expected)
    assert len(fc.open(f"file://{top}/frames")) > 0
    with pytest.raises(fc.OptionError, match="three slashes"):
        fc.open("file://data/packed")


def test_secrets_reach_workers_and_nothing_else(server, expected, tmp_path, capfd):
    secret = "hidden"  # noqa: S105 - of no service
    data = opened(server, {**HASTY, "default_headers": {"authorization": secret}, "user_agent": secret})
    assert same(batches(data, 2), expected)
    assert all(headers["user-agent"] == secret for *_, headers in server.requests)
    assert all(headers["authorization"] == secret for *_, headers in server.requests)
    server.fault = lambda *_: 403
    with pytest.raises(fc.DataError) as caught:
        data.storage.read("image", 0, 0)
    texts = [str(caught.value), repr(data), repr(data.storage), data.storage.folder, *capfd.readouterr()]
    texts += [str(path) for path in tmp_path.rglob("*")]
    assert not [text for text in texts if secret in text]


def test_without_the_extra():
    code = "import sys; sys.modules['obstore'] = None; import fastclips as fc; fc.open('s3://bucket/packed')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "source= is in an object store, which takes obstore: pip install 'fastclips[cloud]'" in done.stderr


def test_obstore_is_imported_where_it_is_needed(server):
    code = (
        "import os, sys; import fastclips as fc; assert 'obstore' not in sys.modules\n"
        f"data = fc.open('{server.url}/packed', storage_options={{'allow_http': True}})\n"
        "assert 'TOKIO_WORKER_THREADS' not in os.environ\n"
        "import pickle; pickle.loads(pickle.dumps(data.storage))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 4, "one runtime thread, and those of requests to names"


SERVE = """
import sys
from object_server import ObjectServer

with ObjectServer(sys.argv[1]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def test_the_storage_keeps_the_contract(top, tmp_path):
    """With a server in another process: the contract counts threads and open files of this one."""
    frames = fc.open(top / "frames")
    fc.pack(frames.select(list(frames.index.names)[:2]), tmp_path / "packed", workers=0)
    serve = [sys.executable, "-c", SERVE, str(tmp_path)]
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=path
    ) as server:
        try:
            url = server.stdout.readline().strip()
            data = fc.open(f"{url}/packed/", storage_options=QUICK)
            frame_counts = data.storage.frame_counts.tolist()
            check_storage(data.storage, streams=["image"], frame_counts=frame_counts)
        finally:
            server.stdin.close()


def test_a_forked_process_opens_and_reads(server, expected):
    opened(server).storage.read("image", 0, 0)
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            good = same(batches(opened(server)), expected)
            with pytest.raises(fc.DataError, match="there is no pack"):
                fc.open(f"{server.url}/nothing", storage_options=QUICK)
            os.write(theirs, str(good).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        assert file.read() == b"True"
    os.waitpid(pid, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_local_cache_serves_later_epochs(server, expected, tmp_path, workers):
    data = opened(server, local=tmp_path / "cache", limit="64MiB")
    assert same(batches(data, workers, cache=0), expected)
    before = len(server.requests)
    assert same(batches(data, workers, cache=0), expected)
    assert {span for _, _, span, _ in server.requests[before:]} <= {"bytes=0-0"}  # which shard it is
