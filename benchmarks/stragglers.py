"""What do slow hosts among 64 that decode cost the training step, and what does asking a second host save?

    python benchmarks/stragglers.py

A discrete-event simulation: nothing is decoded. 64 hosts each decode one batch after the other for one
training process, which takes the batches in order, one for each step. Some batches are asked for ahead
(``--window``, by default 4 for each host), each of the host that has the fewest to do. A batch that has not
come after some time may be asked of a second host: the first answer counts, and the other host leaves the
batch out if it has not begun with it.

Result::

                                     load  second                 waits           longest   twice  more work
    no host is slow                  0.50                         0.000                 0   0.000      0.000
    no host is slow                  0.50     yes                 0.000                 0   0.041      0.000
    1 batch in 100 takes 10 times    0.50           0.184 (0.166-0.206)     234 (204-277)   0.000      0.000
    1 batch in 100 takes 10 times    0.50     yes   0.033 (0.011-0.047)       74 (44-117)   0.050      0.011
    1 batch in 1,000 takes 60 times  0.50           0.553 (0.292-0.676)  1664 (1664-1747)   0.000      0.000
    1 batch in 1,000 takes 60 times  0.50     yes                 0.000                 0   0.041      0.000
    2 hosts are 5 times slower       0.50                         0.065                96   0.000      0.000
    2 hosts are 5 times slower       0.50     yes                 0.000                 0   0.044      0.012
    8 hosts are 3 times slower       0.50                         0.023                32   0.000      0.000
    8 hosts are 3 times slower       0.50     yes                 0.000                 0   0.112      0.082
    1 host stops answering           0.50                    never ends
    1 host stops answering           0.50     yes                 0.000                 0   0.041      0.000
    no host is slow                  0.80                         0.000                 0   0.000      0.000
    no host is slow                  0.80     yes                 0.000                 0   0.086      0.004
    1 batch in 100 takes 10 times    0.80           0.443 (0.402-0.465)     426 (396-450)   0.000      0.000
    1 batch in 100 takes 10 times    0.80     yes   0.074 (0.040-0.092)     185 (170-252)   0.055      0.013
    1 batch in 1,000 takes 60 times  0.80           0.676 (0.411-0.778)  2816 (2816-2957)   0.000      0.000
    1 batch in 1,000 takes 60 times  0.80     yes   0.000 (0.000-0.031)          0 (0-90)   0.086      0.004
    2 hosts are 5 times slower       0.80                         0.119               192   0.000      0.000
    2 hosts are 5 times slower       0.80     yes                 0.000                 0   0.040      0.008
    8 hosts are 3 times slower       0.80                         0.061                90   0.000      0.000
    8 hosts are 3 times slower       0.80     yes                 0.009                38   0.084      0.053
    1 host stops answering           0.80                    never ends
    1 host stops answering           0.80     yes                 0.000                 0   0.086      0.004
    no host is slow                  0.90                         0.000                 0   0.000      0.000
    no host is slow                  0.90     yes                 0.010                26   0.124      0.010
    1 batch in 100 takes 10 times    0.90           0.497 (0.453-0.517)     490 (457-507)   0.000      0.000
    1 batch in 100 takes 10 times    0.90     yes   0.148 (0.111-0.174)     320 (320-330)   0.063      0.015
    1 batch in 1,000 takes 60 times  0.90           0.703 (0.448-0.799)  3234 (3200-3360)   0.000      0.000
    1 batch in 1,000 takes 60 times  0.90     yes   0.014 (0.010-0.032)       26 (26-134)   0.125      0.010
    2 hosts are 5 times slower       0.90                         0.207               224   0.000      0.000
    2 hosts are 5 times slower       0.90     yes                 0.000                 0   0.039      0.007
    8 hosts are 3 times slower       0.90                         0.119               109   0.000      0.000
    8 hosts are 3 times slower       0.90     yes                 0.107                86   0.080      0.044
    1 host stops answering           0.90                    never ends
    1 host stops answering           0.90     yes                 0.011                26   0.125      0.010

How to read: "load" is the share of the hosts' time that the steps need if no host is slow. "waits" is the
share of time that the training process waits, "longest" its longest wait in steps. "twice" is the share of
batches that are asked of a second host, and "more work" what that adds to the decoding. All are medians over
seeds, with the lowest and highest.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections import deque
from dataclasses import asdict, dataclass, replace

import numpy as np

__all__ = ["Cluster", "Outcome", "simulate"]


@dataclass(frozen=True)
class Cluster:
    """Hosts that decode, and a training process.

    Parameters
    ----------
    hosts : int
        Number of hosts.
    decode_s, step_s : float
        Seconds to decode a batch on one host, and of a training step.
    window : int
        Batches asked for and not yet taken.
    again_after_s : float, optional
        A batch that has not come for so long is asked of a second host; by default never.
    slow_share, slow_times : float
        Chance that decoding a batch takes so many times longer.
    slow_hosts : int
        Hosts, the first ones, on which each batch takes `slow_times` longer.
    deaf_hosts : int
        Hosts, the last ones, that answer nothing from `deaf_from_s` on.
    deaf_from_s : float
        See `deaf_hosts`.
    """

    hosts: int = 64
    decode_s: float = 1.0
    step_s: float = 1 / 32
    window: int = 256
    again_after_s: float | None = None
    slow_share: float = 0.0
    slow_times: float = 1.0
    slow_hosts: int = 0
    deaf_hosts: int = 0
    deaf_from_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a training process met.

    Parameters
    ----------
    seconds : float
        From the first request to the end of the last step; infinite if a batch never came.
    waits : tuple of float
        Seconds before each batch that was taken.
    twice : int
        Batches asked of a second host.
    decoded : int
        Batches decoded, by one or two hosts.
    order : tuple of int
        Batches in the order in which they were taken.
    """

    seconds: float
    waits: tuple[float, ...]
    twice: int
    decoded: int
    order: tuple[int, ...]


class _Simulation:
    def __init__(self, cluster: Cluster, batches: int, seed: int) -> None:
        self.cluster, self.batches = cluster, batches
        self.random = np.random.default_rng(seed)
        self.queues: list[deque[int]] = [deque() for _ in range(cluster.hosts)]
        self.busy = [False] * cluster.hosts
        self.asked: dict[int, int] = {}  # the first host of each batch
        self.last_asked = [*range(-cluster.hosts, 0)]  # when, as a count of requests
        self.requests = 0
        self.arrived: set[int] = set()
        self.events: list[tuple[float, int, str, int, int]] = []
        self.numbered = 0
        self.free_at: float | None = 0.0  # since when the training process waits
        self.waits: list[float] = []
        self.order: list[int] = []
        self.twice = self.decoded = 0
        self.ended = math.inf

    def run(self) -> Outcome:
        for batch in range(min(self.cluster.window, self.batches)):
            self.ask(0.0, batch)
        while self.events and math.isinf(self.ended):
            now, _, kind, batch, host = heapq.heappop(self.events)
            getattr(self, kind)(now, batch, host)
        return Outcome(self.ended, tuple(self.waits), self.twice, self.decoded, tuple(self.order))

    def at(self, when: float, kind: str, batch: int = -1, host: int = -1) -> None:
        heapq.heappush(self.events, (when, self.numbered, kind, batch, host))
        self.numbered += 1

    def ask(self, now: float, batch: int, other_than: int = -1) -> int:
        """Ask the host with the fewest batches to do; of several, the one that was not asked for longest."""
        hosts = [host for host in range(self.cluster.hosts) if host != other_than]
        host = min(hosts, key=lambda host: (len(self.queues[host]) + self.busy[host], self.last_asked[host]))
        self.last_asked[host] = self.requests = self.requests + 1
        self.queues[host].append(batch)
        if other_than < 0:
            self.asked[batch] = host
            if self.cluster.again_after_s is not None and len(hosts) > 1:
                self.at(now + self.cluster.again_after_s, "ask_again", batch)
        self.begin(now, host)
        return host

    def ask_again(self, now: float, batch: int, _: int) -> None:
        if batch not in self.arrived:
            self.twice += 1
            self.ask(now, batch, other_than=self.asked[batch])

    def begin(self, now: float, host: int) -> None:
        """Let a host decode the next batch that has not come from elsewhere."""
        queue, cluster = self.queues[host], self.cluster
        while queue and not self.busy[host]:
            batch = queue.popleft()
            if batch in self.arrived:
                continue
            self.busy[host] = True
            slow = host < cluster.slow_hosts
            slow |= cluster.slow_share > 0 and self.random.random() < cluster.slow_share
            ends = now + cluster.decode_s * (cluster.slow_times if slow else 1.0)
            if host < cluster.hosts - cluster.deaf_hosts or ends <= cluster.deaf_from_s:
                self.at(ends, "decoded_one", batch, host)

    def decoded_one(self, now: float, batch: int, host: int) -> None:
        self.decoded += 1
        self.busy[host] = False
        self.arrived.add(batch)
        self.begin(now, host)
        self.take(now)

    def take(self, now: float) -> None:
        """Begin a step if the process is free and its next batch is there."""
        batch = len(self.order)
        if self.free_at is None or batch not in self.arrived:
            return
        self.waits.append(now - self.free_at)
        self.order.append(batch)
        self.free_at = None
        if batch + self.cluster.window < self.batches:
            self.ask(now, batch + self.cluster.window)
        self.at(now + self.cluster.step_s, "end_step")

    def end_step(self, now: float, _: int, __: int) -> None:
        if len(self.order) == self.batches:
            self.ended = now
            return
        self.free_at = now
        self.take(now)


def simulate(cluster: Cluster, batches: int, seed: int = 0) -> Outcome:
    """Simulate the training on some batches.

    Parameters
    ----------
    cluster : Cluster
        The hosts and the step.
    batches : int
        Number of batches.
    seed : int
        Of the chances.

    Returns
    -------
    Outcome
        What the training process met.
    """
    return _Simulation(cluster, batches, seed).run()


def cases(cluster: Cluster) -> dict[str, Cluster]:
    """Return the clusters that are compared, by what is wrong with them."""
    return {
        "no host is slow": cluster,
        "1 batch in 100 takes 10 times": replace(cluster, slow_share=0.01, slow_times=10),
        "1 batch in 1,000 takes 60 times": replace(cluster, slow_share=0.001, slow_times=60),
        "2 hosts are 5 times slower": replace(cluster, slow_hosts=2, slow_times=5),
        "8 hosts are 3 times slower": replace(cluster, slow_hosts=8, slow_times=3),
        "1 host stops answering": replace(cluster, deaf_hosts=1, deaf_from_s=20.5),
    }


def spread(values: list[float], digits: int = 3) -> str:
    """Return the median, and the lowest and highest value, as text."""
    if any(map(math.isinf, values)):
        return "never ends"
    low, middle, high = min(values), float(np.median(values)), max(values)
    few = f"{middle:.{digits}f}"
    return few if high - low < 10**-digits else f"{few} ({low:.{digits}f}-{high:.{digits}f})"


def main(words: list[str] | None = None) -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(description="Slow hosts, with and without a second host.")
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--batches", type=int, default=4000)
    parser.add_argument("--loads", type=float, nargs="*", default=[0.5, 0.8, 0.9])
    parser.add_argument("--window", type=int, default=4, help="batches ahead for each host (%(default)s)")
    parser.add_argument(
        "--again", type=float, default=3.0, help="after so many times the usual decoding time"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", help="also write the figures into this file")
    args = parser.parse_args(words)
    print(f"    {'':32}{'load':>5}{'second':>8}{'waits':>22}{'longest':>18}{'twice':>8}{'more work':>11}")
    rows = []
    for load in args.loads:
        base = Cluster(hosts=args.hosts, step_s=1 / (args.hosts * load), window=args.window * args.hosts)
        for name, cluster in cases(base).items():
            for again in (None, args.again):
                one = replace(cluster, again_after_s=again)
                found = [simulate(one, args.batches, seed) for seed in range(args.seeds)]
                lost = [math.inf if math.isinf(o.seconds) else sum(o.waits[1:]) / o.seconds for o in found]
                longest = [
                    math.inf if math.isinf(o.seconds) else max(o.waits[1:]) / one.step_s for o in found
                ]
                twice = np.median([o.twice for o in found]) / args.batches
                more = np.median([o.decoded for o in found]) / args.batches - 1
                rows.append({"name": name, "load": load, "cluster": asdict(one), "waits": lost})
                end = "" if math.isinf(lost[0]) else f"{twice:8.3f}{max(0.0, more):11.3f}"
                print(
                    f"    {name:32}{load:5.2f}{'' if again is None else 'yes':>8}{spread(lost):>22}"
                    f"{'' if math.isinf(lost[0]) else spread(longest, 0):>18}{end}",
                    flush=True,
                )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path of the user's
            json.dump(rows, file)


if __name__ == "__main__":
    main()
