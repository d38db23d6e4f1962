"""Remote decoding over Ray: several nodes on one machine, which die, join and are slow."""

import os
import signal
import time
import warnings
from hashlib import sha256

import numpy as np
import pytest
from helpers import make_frames, make_loader, wait_until

import fastclips as fc
from fastclips.errors import EngineError, OptionError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings are many
ray = pytest.importorskip("ray")
STORE = 80 * 2**20


@pytest.fixture(scope="module")
def cluster():
    """A head for the trainer, without CPUs, and two nodes of one CPU."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("remote"), videos=6, frames=36)


OPTIONS = {"shuffle": True, "seed": 3, "batch_size": 3, "clips": fc.Windows(4, step=2)}


def digest(batches):
    """Of all arrays of some batches."""
    made = sha256()
    for x, y in batches:
        made.update(x.tobytes())
        made.update(y.tobytes())
    return made.hexdigest()


@pytest.fixture(scope="module")
def local(data):
    """The digests of two epochs."""
    with make_loader(data, **OPTIONS) as loader:
        return [digest(loader), digest(loader)]


def remote(data, **options):
    from fastclips.adapters.ray import RemoteClipLoader  # noqa: PLC0415 - an extra

    return RemoteClipLoader(make_loader(data, **OPTIONS), workers=1, **options)


def test_the_same_bits(cluster, data, local):
    with remote(data) as loader:
        assert len(loader.hosts) == 2
        batches = list(loader)
        assert digest(batches) == local[0]
        assert digest(loader) == local[1]
        x, _ = batches[0]
        assert not x.flags.writeable
        assert x.ctypes.data % 64 == 0


def test_actors_and_workers_are_killed(cluster, data, local):
    """An actor dies as a whole, then the worker of another one."""
    with remote(data) as loader:
        batches = iter(loader)
        made = [copied(next(batches)) for _ in range(4)]
        hosts = loader._engine.hosts
        os.kill(hosts.ready[0].pid, signal.SIGKILL)
        made += [copied(next(batches)) for _ in range(8)]
        os.kill(worker_of(hosts.ready[0].pid), signal.SIGKILL)
        made += map(copied, batches)
        assert digest(made) == local[0]
        wait_until(lambda: digest(loader) in local and len(loader.hosts) == 2)


def test_a_node_leaves_and_another_joins(cluster, data, local):
    with remote(data) as loader:
        batches = iter(loader)
        made = [copied(next(batches)) for _ in range(3)]
        cluster.remove_node(cluster.worker_nodes[-1] if hasattr(cluster, "worker_nodes") else list(cluster.list_all_nodes)[-1])
        made += [copied(next(batches)) for _ in range(8)]
        assert len(loader.hosts) == 1
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
        made += map(copied, batches)
        assert digest(made) == local[0]
        wait_until(lambda: digest(loader) and len(loader.hosts) == 2)
