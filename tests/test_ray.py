"""Remote decoding over Ray: several nodes on one machine, which die, join and are slow."""

import os
import shutil
import signal
import time
import warnings
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from helpers import make_frames, make_loader, wait_until

import fastclips as fc
from fastclips.errors import DataError, EngineError, OptionError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings are many
ray = pytest.importorskip("ray")
STORE = 80 * 2**20
OPTIONS = {"shuffle": True, "seed": 3, "batch_size": 3, "clips": fc.Windows(4, step=2)}
SLOW_S = 1.0  # before a second host is asked: Ray takes longer to see that a node died


@pytest.fixture(scope="module")
def cluster():
    """A head for the trainer, without CPUs, and two nodes of one CPU."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        add_node(cluster)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster, **options):
    cluster.add_node(num_cpus=1, object_store_memory=STORE, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("remote"), videos=6, frames=36)


@pytest.fixture(scope="module")
def local(data):
    """The digests of two epochs."""
    with make_loader(data, **OPTIONS) as loader:
        return [digest(loader), digest(loader)]


def digest(batches):
    """Of all arrays of some batches."""
    made = sha256()
    for x, y in batches:
        made.update(x.tobytes())
        made.update(y.tobytes())
    return made.hexdigest()


@pytest.fixture
def remote(cluster, data):  # noqa: ARG001 - it is there
    """Makes a loader, which is closed at the end."""
    from fastclips.adapters.ray import RemoteClipLoader  # noqa: PLC0415 - an extra

    made = []

    def make(slow_s=SLOW_S, **options):
        made.append(RemoteClipLoader(make_loader(data, **OPTIONS), workers=1, slow_s=slow_s, **options))
        return made[-1]

    yield make
    for loader in made:
        loader.close()


def take(batches, count):
    """Copies of the next batches."""
    return [(x.copy(), y) for _, (x, y) in zip(range(count), batches, strict=False)]


def child_of(pid):
    """The process that another one has started, or is about to start."""

    def found():
        return "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()

    wait_until(found)
    return int(found()[0])


def serve_until(condition, loader):
    """Ask for a batch from time to time."""
    while not condition():
        loader.batch(0, 0)
        time.sleep(0.2)


def test_the_same_bits(remote, local):
    loader = remote(slow_s=600)  # nothing is late, so nothing is asked twice
    assert len(loader.hosts) == 2
    batches = list(loader)
    assert digest(batches) == local[0]
    assert digest(loader) == local[1]
    x, _ = batches[0]
    assert not x.flags.writeable
    assert x.ctypes.data % 64 == 0
    assert loader.stats().clips >= loader.stats().frames_served // 4
    assert sum(host.answers for host in loader._engine.hosts.every) <= 2 * len(batches) + 8
    assert loader.plan_table(0)["video"].shape == (len(batches) * 3,)
    with (
        patch.object(ray, "is_initialized", lambda: False),
        pytest.raises(EngineError, match="was shut down"),
    ):
        next(iter(loader))


def test_what_the_cluster_does_not_have(cluster, data, monkeypatch):  # noqa: ARG001 - it is there
    from fastclips.adapters.ray import RemoteClipLoader  # noqa: PLC0415 - an extra

    loader = make_loader(data)
    with pytest.raises(OptionError, match=r"no node of the cluster has CPU 64. It has .*CPU 1"):
        RemoteClipLoader(loader, workers=64)
    with pytest.raises(OptionError, match=r"no node of the cluster has CPU 1, accelerator 2"):
        RemoteClipLoader(loader, ray_actor_options={"resources": {"accelerator": 2}})
    with pytest.raises(OptionError, match="num_actors=3: the cluster has room for 2, each of CPU 1"):
        RemoteClipLoader(loader, num_actors=3)
    with pytest.raises(OptionError, match="'max_restarts': 3}: is set by fastclips"):
        RemoteClipLoader(loader, ray_actor_options={"max_restarts": 3})
    with pytest.raises(OptionError, match="object_store=1000: must be at least 147456 bytes"):
        RemoteClipLoader(loader, object_store=1000)
    with pytest.raises(OptionError, match=r"must be a fastclips\.ClipLoader"):
        RemoteClipLoader(data)
    with pytest.raises(OptionError, match="Ray's client, ray://, runs outside"):
        RemoteClipLoader(loader, address="ray://head:10001")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(EngineError, match=r"no Ray cluster can be reached at '127.0.0.1:9'"):
        RemoteClipLoader(loader, address="127.0.0.1:9")


def test_actors_and_workers_are_killed(remote, local):
    """An actor dies as a whole, then the worker of another one."""
    loader = remote()
    batches = iter(loader)
    made = take(batches, 4)
    hosts = loader._engine.hosts
    os.kill(hosts.every[0].pid, signal.SIGKILL)
    made += take(batches, 8)
    os.kill(child_of(child_of(hosts.every[1].pid)), signal.SIGKILL)
    made += take(batches, 99)
    assert digest(made) == local[0]
    serve_until(lambda: len(loader.hosts) == 2, loader)
    assert loader.report().restarts == 1


def test_a_node_dies_and_another_joins(cluster, remote, local):
    loader = remote()
    batches = iter(loader)
    made = take(batches, 3)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    made += take(batches, 20)
    add_node(cluster, wait=False)  # which would wait until Ray knows that the other one is dead
    made += take(batches, 99)
    assert digest(made) == local[0]
    serve_until(lambda: len(loader._engine.hosts.every) == 3, loader)


def test_a_host_is_stopped(remote, local):
    """It does not die, and does not answer either."""
    loader = remote()
    batches = iter(loader)
    made = take(batches, 3)
    pid = loader._engine.hosts.ready[0].pid
    for stopped in (pid, child_of(pid), child_of(child_of(pid))):
        os.kill(stopped, signal.SIGSTOP)
    made += take(batches, 99)
    os.kill(pid, signal.SIGCONT)
    assert digest(made) == local[0]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_packing_while_a_node_dies(cluster, data, tmp_path):
    from fastclips.adapters.ray import RayWorkers  # noqa: PLC0415 - an extra

    class Harmed(RayWorkers):
        def do_tasks(self, job, tasks):
            for number, part in enumerate(super().do_tasks(job, tasks)):
                if number == 1:
                    cluster.remove_node(next(iter(cluster.worker_nodes)))
                yield part

    options = {"shard_size": "150KiB", "codec": "dct"}
    fc.pack(data, tmp_path / "local", workers=0, **options)
    done = fc.pack(data, tmp_path / "remote", workers=Harmed(), **options)
    add_node(cluster)
    assert (done.videos, done.problems) == (6, [])
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")


def test_damage_and_functions_travel(cluster, data, tmp_path):  # noqa: ARG001 - it is there
    """A function of this script, and the paths of damaged frames."""
    from fastclips.adapters.ray import RemoteClipLoader  # noqa: PLC0415 - an extra

    folder = shutil.copytree(data, tmp_path / "damaged")
    damaged = sorted(folder.rglob("*.jpg"))[7]
    damaged.write_bytes(damaged.read_bytes()[:100])
    darker = 3

    def darken(clip):
        return clip // darker

    def make():
        steps = [fc.RandomCrop(32), fc.Apply(darken)]
        options = OPTIONS | {"batch_size": 4, "draws_per_clip": 2, "damaged": "repeat"}
        return make_loader(folder, transforms=steps, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with make() as loader:
            expected, known = digest(loader), loader.damaged
        with RemoteClipLoader(make(), workers=0, num_actors=1) as loader:
            state = loader.state_dict()
            assert digest(loader) == expected
            assert loader.damaged == known
            assert known[0][0] == str(damaged)
            loader.load_state_dict(state)
            assert digest(loader) == expected


def test_hosts_with_other_data(cluster):  # noqa: ARG001 - it is there
    from fastclips.adapters.ray import RemoteClipLoader  # noqa: PLC0415 - an extra

    class Shelf(fc.Storage):
        """Another one where a variable is set."""

        def read(self, stream, video, frame):  # noqa: ARG002 - all alike
            return np.full((8, 8, 3), int(os.environ.get("SHELF", "1")), np.uint8)

        def where(self, stream, video, frame):
            return f"shelf/{stream}/{video}/{frame}"

    data = fc.Dataset.of(Shelf(), frame_counts=[6, 6], names=["a", "b"])
    loader = fc.ClipLoader(data, fc.Windows(3), batch_size=2, workers=0)
    options = {"num_cpus": 1, "runtime_env": {"env_vars": {"SHELF": "2"}}}
    with pytest.raises(DataError, match=r"host .*: 'shelf/image/0/0' has another content there"):
        RemoteClipLoader(loader, ray_actor_options=options)
    assert len(list(loader)) == 2  # it was not taken over


def test_what_only_the_caller_can_read_is_packed(cluster, tmp_path):  # noqa: ARG001 - it is there
    from fastclips.adapters.ray import RayWorkers  # noqa: PLC0415 - an extra

    class Shelf(fc.Storage):
        """A frame is missing where a variable is set."""

        def read(self, stream, video, frame):
            if frame == 3 and "SHELF" in os.environ:
                raise fc.FrameError("it is not here", path=self.where(stream, video, frame))
            return np.full((8, 8, 3), 9 * frame + video, np.uint8)

        def where(self, stream, video, frame):
            return f"shelf/{stream}/{video}/{frame}"

    data = fc.Dataset.of(Shelf(), frame_counts=[6, 6], names=["a", "b"])
    workers = RayWorkers(ray_actor_options={"runtime_env": {"env_vars": {"SHELF": "2"}}})
    assert fc.pack(data, tmp_path / "remote", workers=workers).problems == []
    fc.pack(data, tmp_path / "local", workers=0)
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")


class FakeHosts:
    """Hosts that answer when they are told to, on a clock of their own."""

    def __init__(self, names):
        from fastclips.adapters.ray.hosts import Inbox, RemoteHost  # noqa: PLC0415 - an extra

        self.inbox, self.connected, self.told, self._losses = Inbox(), True, [], {}
        self.ready = [RemoteHost(FakeActor(name, self.told), None, name) for name in names]
        for host in self.ready:
            host.state = "ready"

    def praise(self, host, arrived):
        from fastclips.adapters.ray.hosts import Hosts  # noqa: PLC0415 - an extra

        Hosts.praise(self, host, arrived)

    def tend(self):
        pass


class FakeActor:
    def __init__(self, name, told):
        self.name, self.told, self.do = name, told, self

    def remote(self, number, round_, work):  # noqa: ARG002 - of an actor
        future = Future()
        self.told.append((self.name, number, future))
        return SimpleNamespace(future=lambda: future)


@pytest.mark.parametrize(("pace", "late"), [(0.1, 2.0), (5.0, 20.0)])
def test_a_late_answer_is_asked_of_others(monkeypatch, pace, late):
    """After slow_s=2 seconds, or 4 times as long as hosts take for an answer."""
    from fastclips.adapters.ray import requests  # noqa: PLC0415 - an extra
    from fastclips.adapters.ray.host import Answer  # noqa: PLC0415 - an extra

    clock, hosts = [0.0], FakeHosts("ab")
    monkeypatch.setattr(requests, "monotonic", lambda: clock[0])
    monkeypatch.setattr("fastclips.adapters.ray.hosts.monotonic", lambda: clock[0])
    monkeypatch.setattr(hosts.inbox, "take", taking(hosts.inbox, clock))
    for host in hosts.ready:
        host.pace, host.answers = pace, 1
    made = requests.Requests(hosts, each=2, slow_s=2.0, what=("batch", "batches"))
    numbers = [made.make(work) for work in "xyz"]
    assert [(name, number) for name, number, _ in hosts.told] == [("a", 1), ("b", 2), ("a", 3)]
    answered = {}

    def answer_second_asks():
        for name, number, future in hosts.told[3:]:
            if number not in answered:
                answered[number] = name, clock[0]
                future.set_result(Answer(f"{number} of {name}"))

    hosts.tend = answer_second_asks
    assert made.take(numbers[0]) == "1 of b"
    assert {number: name for number, (name, _) in answered.items()} == {1: "b", 3: "b"}
    assert late < answered[1][1] < late + 0.5
    hosts.told[0][2].set_result(Answer("too late"))
    assert made.take(numbers[2]) == "3 of b"


def taking(inbox, clock):
    """Let waiting move the clock."""
    take = inbox.take

    def taken(seconds=0.0):
        clock[0] += seconds
        return take()

    return taken
