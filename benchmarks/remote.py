"""Does a stream of batches from a Ray cluster stay the same whatever dies, and what does it cost?

    pip install 'fastclips[ray]'
    python benchmarks/remote.py faults
    python benchmarks/frames.py /tmp/frames
    python benchmarks/remote.py cost /tmp/frames
    sudo python benchmarks/remote.py hosts /tmp/frames

The first two start a cluster of several raylets on this machine. Each is a node of Ray, with an object
store of its own.

``faults``: in one epoch, actors, their workers and whole nodes are killed by SIGKILL, 20 in all, at random
moments. Nodes that were killed are replaced by new ones. All batches are compared with those of a loader
without Ray.

``cost``: batches of (8, 16, 224, 224, 3) uint8, 19 MB. A `RemoteClipLoader` with one host and a `ClipLoader`
take turns, with as many workers. CPU time is that of the training process alone, all its threads.

``hosts``: each node is in a network namespace of its own, with an address of its own, behind a bridge. In the
middle of an epoch the link of one of them is cut.

Results, of a machine of 2 cores that had other work::

    faults           20 kills (7 actor, 5 worker, 3 nursery, 5 node), 14 hosts in all, 4 restarts of workers
                     270 batches in 39 s; equal to those without Ray: True
    faults --seed 1  20 kills, 15 hosts in all; 270 batches in 67 s; equal: True
    cost             remote over local, 2 workers: 0.819 (quartiles 0.758-0.975)
                     local     65.0 batches/s, CPU ms a batch 0.45 (0.42-0.50)
                     remote    53.9 batches/s, CPU ms a batch 2.54 (2.32-2.68)
    cost --nodes 1   remote over local, 2 workers: 0.535 (quartiles 0.445-0.600)
                     local     41.4 batches/s, CPU ms a batch 0.41 (0.36-0.50)
                     remote    25.4 batches/s, CPU ms a batch 3.81 (3.71-4.15)
    hosts            75 batches; equal to those without Ray: True
                     longest wait 2.2 s; batches/s 13.7 before, 20.6 after

How to read: with ``cost``, the host's actor is on the trainer's node, and a batch is copied once, into the
object store. With ``--nodes 1`` it is on a second node of the same machine, so both object stores, and the
copies between them, take time of the same 2 cores. A second machine has cores of its own. The longest wait of
``hosts`` is ``slow_s=2``, after which the other host is asked.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import os
import random
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

import fastclips as fc
from fastclips.adapters.ray import RemoteClipLoader
from fastclips.testing import write_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 20
NET = "10.213.7"
ROUNDS, CHUNK = 12, 12


@contextmanager
def cluster(nodes: int, cpus: int, store: int) -> Iterator[Cluster]:
    """Start a head, where this process is, and nodes with CPUs; without such nodes, the head has them."""
    head = {"num_cpus": 0 if nodes else cpus, "object_store_memory": store, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes):
        made.add_node(num_cpus=cpus, object_store_memory=store)
    ray.init(address=made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def digest(batch: Any) -> str:  # noqa: ANN401 - arrays
    """Return a digest of the arrays of a batch."""
    made = sha256()
    for array in batch:
        made.update(array.tobytes())
    return made.hexdigest()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for file in files for word in file.read_text().split()]


def kill(what: str, made: Cluster, loader: RemoteClipLoader, draw: random.Random) -> bool:
    """Kill something of a kind; return whether there was one."""
    hosts = [host for host in loader._engine.hosts.ready if host.pid]  # noqa: SLF001 - to know what to kill
    with suppress(OSError, IndexError):
        if what == "node":
            made.remove_node(draw.choice(sorted(made.worker_nodes, key=id)), allow_graceful=False)
            made.add_node(num_cpus=1, object_store_memory=80 * 2**20, wait=False)
            return True
        pid = draw.choice(hosts).pid
        for _ in range({"actor": 0, "nursery": 1, "worker": 2}[what]):
            pid = draw.choice(children(pid))
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def faults(seed: int) -> None:
    """Kill what there is, and compare all batches."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        write_frames(folder, videos=10, frames=60, height=96, width=128)
        data = fc.open(folder)

        def loader() -> fc.ClipLoader:
            steps = [fc.RandomResizedCrop(64), fc.RandomFlip(), fc.GaussianNoise(5.0)]
            return fc.ClipLoader(
                data, fc.Windows(8, step=2), steps, batch_size=4, shuffle=True, seed=seed, workers=0
            )

        with loader() as local:
            expected = [digest(batch) for batch in local]
        kinds = ["actor"] * 7 + ["worker"] * 5 + ["nursery"] * 3 + ["node"] * 5
        assert len(kinds) == KILLS
        draw.shuffle(kinds)
        at = sorted(draw.sample(range(2, len(expected) - 10), KILLS))
        found, done = [], []
        with (
            cluster(nodes=2, cpus=1, store=80 * 2**20) as made,
            RemoteClipLoader(loader(), workers=1, slow_s=2.0, start_s=120) as remote,
        ):
            began = time.perf_counter()
            for number, batch in enumerate(remote):
                found.append(digest(batch))
                if at and number >= at[0] and kill(kinds[0], made, remote, draw):
                    done.append(kinds.pop(0))
                    at.pop(0)
            hosts, seconds = len(remote._engine.hosts.every), time.perf_counter() - began  # noqa: SLF001 - to tell
            restarts = remote.report().restarts
    counts = ", ".join(f"{done.count(kind)} {kind}" for kind in ("actor", "worker", "nursery", "node"))
    same = found == expected
    print(f"seed {seed}: {len(done)} kills ({counts}), {hosts} hosts in all, {restarts} restarts of workers")
    print(f"{len(found)} batches in {seconds:.0f} s; equal to those without Ray: {same}")
    print(f"SHA-256 {sha256(''.join(found).encode()).hexdigest()}")
    print(f"without {sha256(''.join(expected).encode()).hexdigest()}")
    assert same


def execute(command: str, **options: Any) -> None:  # noqa: ANN401 - of subprocess
    """Run a command."""
    subprocess.run(shlex.split(command), check=True, **options)


@contextmanager
def network(hosts: int) -> Iterator[None]:
    """Make namespaces fc0, fc1, ... whose links to this machine are fcv0, fcv1, ..."""
    try:
        execute("ip link add fcbr type bridge")
        execute(f"ip addr add {NET}.1/24 dev fcbr")
        execute("ip link set fcbr up")
        for host in range(hosts):
            execute(f"ip netns add fc{host}")
            execute(f"ip link add fcv{host} type veth peer name eth0 netns fc{host}")
            execute(f"ip link set fcv{host} master fcbr up")
            inside = f"ip netns exec fc{host} ip"
            execute(f"{inside} addr add {NET}.{host + 2}/24 dev eth0")
            execute(f"{inside} link set eth0 up")
            execute(f"{inside} link set lo up")
        yield
    finally:
        for host in range(hosts):
            for pid in subprocess.check_output(shlex.split(f"ip netns pids fc{host}")).split():
                os.kill(int(pid), signal.SIGKILL)
            execute(f"ip netns del fc{host}")
            execute(f"ip link del fcv{host}")
        execute("ip link del fcbr")


@contextmanager
def separate_hosts(hosts: int, cpus: int, store: int) -> Iterator[None]:
    """Start a cluster whose nodes have networks of their own."""
    ray_start = f"{sys.executable} -m ray.scripts.scripts start --block --disable-usage-stats"
    ray_start += f" --object-store-memory={store}"
    commands = [f"{ray_start} --head --port=6399 --num-cpus=0 --include-dashboard=false"]
    join = f"{ray_start} --address={NET}.1:6399 --num-cpus={cpus}"
    commands += [f"ip netns exec fc{host} {join}" for host in range(hosts)]
    started = []
    with network(hosts):
        try:
            for number, command in enumerate(commands, 1):
                words = shlex.split(f"{command} --node-ip-address={NET}.{number}")
                started.append(subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL))
                time.sleep(6)
            ray.init(f"{NET}.1:6399", _node_ip_address=f"{NET}.1", log_to_driver=False)
            yield
        finally:
            ray.shutdown()
            for process in started[::-1]:
                os.killpg(process.pid, signal.SIGKILL)  # Ray would try to drain a node that is cut off
                process.wait(30)


def hosts(folder: Path) -> None:
    """Cut one of two hosts off."""

    def loader(workers: int) -> fc.ClipLoader:
        steps = [fc.RandomCrop(224), fc.RandomFlip()]
        options = {"batch_size": 8, "shuffle": True, "workers": workers}
        return fc.ClipLoader(fc.open(folder), fc.Windows(16, step=2), steps, **options)

    with loader(2) as local:
        expected = [digest(batch) for batch in local]
    with (
        separate_hosts(2, cpus=1, store=400 * 2**20),
        RemoteClipLoader(loader(0), workers=1, slow_s=2.0) as remote,
    ):
        print("\n".join(remote.hosts))
        found, waits, began = [], [], time.perf_counter()
        for number, batch in enumerate(remote):
            waits.append(time.perf_counter() - began)
            if number == len(expected) // 3:
                execute("ip link set fcv0 down")
            found.append(digest(batch))
            began = time.perf_counter()
        before, after = waits[5 : len(waits) // 3], waits[len(waits) // 3 + 10 :]
        rates = [len(some) / sum(some) for some in (before, after)]
        print(f"{len(found)} batches; equal to those without Ray: {found == expected}")
        print(f"longest wait {max(waits[1:]):.1f} s; batches/s {rates[0]:.1f} before, {rates[1]:.1f} after")
    assert found == expected


def cost(folder: Path, workers: int, nodes: int) -> None:
    """Compare rates, and measure the CPU time of this process."""

    def loader(workers: int) -> fc.ClipLoader:
        return fc.ClipLoader(
            fc.open(folder),
            fc.Windows(16, step=8),
            [fc.RandomCrop(224), fc.RandomFlip()],
            batch_size=8,
            shuffle=True,
            repeat=True,
            workers=workers,
            cache=0,
        )

    with (
        cluster(nodes=nodes, cpus=workers, store=600 * 2**20),
        loader(workers) as local,
        RemoteClipLoader(loader(0), workers=workers) as remote,
    ):
        rates: dict[str, list[float]] = {"local": [], "remote": []}
        spent: dict[str, list[float]] = {"local": [], "remote": []}
        streams = {"local": iter(local), "remote": iter(remote)}
        for number in range(ROUNDS + 1):
            for name in ("local", "remote")[:: 1 if number % 2 else -1]:
                for _ in range(16):  # prepared ahead
                    next(streams[name])
                began, used = time.perf_counter(), time.process_time()
                for _ in range(CHUNK):
                    next(streams[name])
                if number:
                    rates[name].append(CHUNK / (time.perf_counter() - began))
                    spent[name].append((time.process_time() - used) / CHUNK * 1e3)
    ratios = np.quantile(np.array(rates["remote"]) / np.array(rates["local"]), [0.25, 0.5, 0.75])
    print(
        f"remote over local, {workers} workers: {ratios[1]:.3f} (quartiles {ratios[0]:.3f}-{ratios[2]:.3f})"
    )
    for name, rate in rates.items():
        low, middle, high = np.quantile(spent[name], [0.25, 0.5, 0.75])
        print(
            f"{name:<7} {np.median(rate):6.1f} batches/s, CPU ms a batch {middle:.2f} ({low:.2f}-{high:.2f})"
        )


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("faults").add_argument("--seed", type=int, default=0)
    costs = commands.add_parser("cost")
    costs.add_argument("frames", type=Path)
    costs.add_argument("--workers", type=int, default=2)
    costs.add_argument("--nodes", type=int, default=0, help="beside the trainer's own (default: none)")
    commands.add_parser("hosts").add_argument("frames", type=Path)
    args = parser.parse_args()
    if args.command == "faults":
        faults(args.seed)
    elif args.command == "hosts":
        if "RAY_AUTH_TOKEN" not in os.environ:  # of this cluster; Ray reads it when it is imported
            token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **token})  # noqa: S606 - itself
        hosts(args.frames)
    else:
        cost(args.frames, args.workers, args.nodes)


if __name__ == "__main__":
    main()
