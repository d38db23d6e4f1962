"""What feeds one H200 and eight of them, and which part of the path is the limit?

    python benchmarks/scale.py                                      # measures for a minute, then computes
    python benchmarks/scale.py --save costs.json --plot scale.svg
    python benchmarks/scale.py --costs costs.json --set parallel=1  # other costs

Clips are 16 x 224 x 224 x 3 uint8, random crops of packed frames of 340x256. Costs of the loader are measured
here; GPUs, servers, networks and stores are *assumed*, each with its source, and every line of the first
table says which it is. The rest is arithmetic, in `limits`. `plans.py` measures plans of a billion clips,
and `stragglers.py` simulates slow hosts.

Result::

RESULT

How to read: the first table holds the costs, medians with quartiles. The second says what each part of the
path could serve if it were the only limit: decoding on the cores that trainers leave, the trainers, memory,
the bus to the GPUs, and the store of the packs. The third says what models take: clips, cores that decode
them, and Gb/s of their JPEGs; and, for three servers, which share of the smallest limit of the second table
that is, and the name of the limit. The NIC has 100 Gb/s. Below 100 % training does not wait. A model takes
what its share of the GPU's peak allows. No training reaches the peak, so "at peak" is a bound.
"""  # noqa: D400 - a question

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import consumer
import numpy as np
from frames import write_frames
from scale_plot import Line, draw

import fastclips as fc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STEPS, SIDE, BATCH = 16, 224, 8
PIXELS = STEPS * SIDE * SIDE * 3  # bytes of a decoded clip
SERVERS = {16: 230.0, 64: 378.0, 192: 756.0}  # cores, GB/s of memory
NETWORKS = (25, 100, 400)  # Gb/s
CODECS = ("jpeg", "dct")


@dataclass(frozen=True)
class Cost:
    """A number that the arithmetic uses.

    Parameters
    ----------
    value : float
        The median, or what is assumed.
    unit : str
        Of the value.
    source : str
        ``"measured"``, or ``"assumed: "`` and why.
    low, high : float, optional
        Quartiles of what was measured.
    """

    value: float
    unit: str
    source: str
    low: float | None = None
    high: float | None = None


ASSUMED = {
    "parallel": Cost(0.8, "", "assumed: a core of many decodes at so much of the rate of one of two here"),
    "own_cores": Cost(1, "cores", "assumed: what each trainer keeps for itself, the framework included"),
    "memory_share": Cost(0.5, "", "assumed: what is left of the memory's bandwidth, after the trainers"),
    "bus": Cost(50, "GB/s", "assumed: to each GPU; PCIe 5 x16 has 64 GB/s in each direction"),
    "line": Cost(0.9, "", "assumed: the share of a network's rate that payload gets"),
    "disk": Cost(6.5, "GB/s", "assumed: one NVMe SSD of PCIe 4, by data sheets"),
    "requests": Cost(5500, "GET/s", "assumed: S3's user guide, least for each prefix; one request a clip"),
    "peak": Cost(989e12, "op/s", "assumed: NVIDIA's data sheet of the H200 SXM, bf16, dense"),
}

MODELS = {  # GMAC of a forward pass, share of the GPU's peak in training (assumed), source of the GMAC
    "R(2+1)D-18": (162.1, 0.25, "torchvision: 40.52 at 112x112, four times as much at 224x224"),
    "MViT-B 16x4": (70.8, 0.25, "PyTorchVideo's model zoo"),
    "ViT-B": (180.0, 0.40, "VideoMAE's paper, fine-tuning"),
    "ViT-L": (597.0, 0.45, "VideoMAE's paper, fine-tuning"),
}


def quartiles(values: list[float], unit: str) -> Cost:
    """Return measured values as a cost."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Cost(middle, unit, "measured", low, high)


def cpu_s(pids: list[int]) -> float:
    """Return the CPU time that processes have taken, in s."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_pack(pack: Path, rounds: int, seconds: float) -> tuple[Cost, Cost, Cost]:
    """Return the workers' CPU ms per frame, the trainer's per batch, and the bytes read per clip."""
    decode, own = [], []
    with fc.ClipLoader(
        fc.open(pack),
        fc.Windows(STEPS, step=8),
        [fc.RandomCrop(SIDE), fc.RandomFlip()],
        batch_size=BATCH,
        shuffle=True,
        repeat=True,
        rank=0,
        workers=2,
        cache=0,
    ) as loader:
        consumer.wait_for_workers(loader, 2)
        batches = iter(loader)
        for _ in range(40):  # slots are touched for the first time
            next(batches)
        for _ in range(rounds):
            began, mine, theirs, count = perf_counter(), process_time(), cpu_s(loader.pids), 0
            while perf_counter() - began < seconds:
                next(batches)
                count += 1
            own.append(1e3 * (process_time() - mine) / count)
            decode.append(1e3 * (cpu_s(loader.pids) - theirs) / (count * BATCH * STEPS))
        stats = loader.stats()
    return (
        quartiles(decode, "ms/frame"),
        quartiles(own, "ms/batch"),
        Cost(stats.bytes_read / stats.clips, "bytes", "measured"),
    )


def measure_bare(folder: str) -> dict[str, Cost]:
    """Return what the trainer spends on a batch if workers do empty work, in all and in parts."""
    found: dict[str, Cost] = {}
    with consumer.make_loader(folder, 2) as loader:
        schedule, batches = loader.schedule, loader.schedule.batches_in(0)
        block = min(64, batches)
        spent = {"plan": [], "tickets": []}
        for number in range(40):
            for name, call in (
                ("plan", lambda at: loader._plan.clips(0, at, block)),  # noqa: SLF001 - a part of the path
                ("tickets", lambda at: list(schedule.run(0, at, block))),
            ):
                began = process_time()
                call(number * block % (batches - block + 1))
                spent[name].append(1e6 * (process_time() - began) / (block * BATCH))
        found["plan"] = quartiles(spent["plan"], "us/clip")
        found["ticket"] = quartiles(
            [all_ - plan for plan, all_ in zip(spent["plan"], spent["tickets"], strict=True)], "us/clip"
        )
    for name, pause in (("bare", 0), ("bare_paused", consumer.PAUSE_MS)):
        low, middle, high = consumer.measure("bare", "loop", 2, pause, folder)["cpu_ms"]
        found[name] = Cost(middle, "ms/batch", "measured", low, high)
    return found


def measure_copy(rounds: int) -> Cost:
    """Return how many GB/s one process moves by copying batches: bytes read and written."""
    source, target = np.ones((2, 16, BATCH * PIXELS), np.uint8)  # more than caches hold
    rates = []
    for number in range(16 * rounds):
        began = perf_counter()
        np.copyto(target[number % 16], source[number % 16])
        rates.append(2 * BATCH * PIXELS / (perf_counter() - began) / 1e9)
    return quartiles(rates[16:], "GB/s")


def measure(rounds: int, seconds: float) -> dict[str, Cost]:
    """Measure the costs of the loader on this machine."""
    costs = {}
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_frames(root / "frames", videos=8, frames=64, height=256, width=340)
        for codec in CODECS:
            fc.pack(fc.open(root / "frames"), root / codec, codec=codec)
            found = measure_pack(root / codec, rounds, seconds)
            costs[f"decode_{codec}"], costs[f"trainer_{codec}"], costs[f"bytes_{codec}"] = found
        costs |= measure_bare(str(root / "frames"))
    return costs | {"copy": measure_copy(rounds)}


def traffic(costs: Mapping[str, Cost], codec: str) -> float:
    """Return the bytes that a clip moves through memory.

    Its code is written by the disk or NIC, read and copied into the worker, and read there. Its pixels are
    written, for which a cache line is read first, and read by the GPU.
    """
    return 4 * costs[f"bytes_{codec}"].value + 3 * PIXELS


def limits(
    costs: Mapping[str, Cost], codec: str, cores: int, gpus: int, memory_gbs: float, network: float
) -> dict[str, float]:
    """Return how many clips a second each part of a host's path could serve alone.

    Parameters
    ----------
    costs : mapping of str to Cost
        Measured and assumed ones.
    codec : {"jpeg", "dct"}
        Of the pack.
    cores, gpus : int
        Of the host; each GPU has a trainer.
    memory_gbs, network : float
        GB/s of memory, and Gb/s of the NIC through which packs are read.
    """
    cost = {name: cost.value for name, cost in costs.items()}
    left = max(0.0, cores - gpus * cost["own_cores"])
    return {
        "decoding": left * cost["parallel"] * 1e3 / (STEPS * cost[f"decode_{codec}"]),
        "trainers": gpus * 1e3 * BATCH / cost[f"trainer_{codec}"],
        "memory": memory_gbs * 1e9 * cost["memory_share"] / traffic(costs, codec),
        "bus": gpus * cost["bus"] * 1e9 / PIXELS,
        "network": network * 1e9 / 8 * cost["line"] / cost[f"bytes_{codec}"],
    }


def stores(costs: Mapping[str, Cost], codec: str) -> dict[str, float]:
    """Return how many clips a second other stores could serve."""
    cost = {name: cost.value for name, cost in costs.items()}
    decoded = {f"decoded clips over {rate} Gb/s": rate * 1e9 / 8 * cost["line"] / PIXELS for rate in NETWORKS}
    return {
        "one NVMe SSD": cost["disk"] * 1e9 / cost[f"bytes_{codec}"],
        "one prefix of S3": cost["requests"],
        **decoded,
    }


def rate_of(costs: Mapping[str, Cost], model: str, share: float | None = None) -> float:
    """Return the clips a second that a model trains on one GPU: 3 passes, 2 operations a MAC."""
    gmac, usual, _ = MODELS[model]
    return costs["peak"].value * (usual if share is None else share) / (3 * 2 * gmac * 1e9)


def print_costs(costs: Mapping[str, Cost]) -> None:
    """Print the first table."""
    for name, cost in costs.items():
        spread = "" if cost.low is None else f"({cost.low:,.4g}-{cost.high:,.4g})"
        value = f"{cost.value:,.0f}" if 1000 <= cost.value < 1e7 else f"{cost.value:.3g}"
        print(f"    {name:14}{value:>10} {spread:18}{cost.unit:9} {cost.source}")
    batch = BATCH * (costs["plan"].value + costs["ticket"].value) / 1e3
    rest = costs["bare"].value - batch
    print(f"    bare: {batch:.4f} ms for plan and tickets of {BATCH} clips, {rest:.4f} ms for the rest")
    for name, (gmac, share, source) in MODELS.items():
        print(f"    {name:14}{gmac:10.4g} {'':18}{'GMAC':9} assumed: {source}; {share:.0%} of the peak")


def print_limits(costs: Mapping[str, Cost]) -> None:
    """Print the second table."""
    head = "".join(f"{f'{codec}, {gpus}':>11}" for codec in CODECS for gpus in (1, 8))
    print(f"\n    {'clips/s; pack, GPUs':28}{head}")

    def line(name: str, of: Callable[[str, int], float]) -> None:
        figures = "".join(f"{of(codec, gpus):11,.0f}" for codec in CODECS for gpus in (1, 8))
        print(f"    {name:28}{figures}")

    for cores, memory in SERVERS.items():
        for part in ("decoding", "memory"):
            line(
                f"{part}, {cores} cores",
                lambda codec, gpus, c=cores, m=memory, p=part: limits(costs, codec, c, gpus, m, 100)[p],
            )
    for part in ("trainers", "bus"):
        line(part, lambda codec, gpus, p=part: limits(costs, codec, 64, gpus, 1, 100)[p])
    for rate in NETWORKS:
        line(
            f"packs over {rate} Gb/s",
            lambda codec, gpus, r=rate: limits(costs, codec, 64, gpus, 1, r)["network"],
        )
    for name in stores(costs, "jpeg"):
        line(name, lambda codec, _, n=name: stores(costs, codec)[n])


def print_models(costs: Mapping[str, Cost]) -> None:
    """Print the third table."""
    fed = "".join(f"{f'{cores} cores, {codec}':>16}" for cores in SERVERS for codec in CODECS)
    print(f"\n    {'model':19}{'GPUs':>5}{'clips/s':>9}{'cores jpeg':>12}{'dct':>6}{'Gb/s':>7}{fed}")
    for peak in (False, True):
        for model in MODELS:
            for gpus in (8,) if peak else (1, 8):
                rate = gpus * rate_of(costs, model, 1.0 if peak else None)
                cores = [
                    rate * STEPS * costs[f"decode_{codec}"].value / 1e3 / costs["parallel"].value
                    for codec in CODECS
                ]
                bits = rate * costs["bytes_jpeg"].value * 8 / 1e9
                cells = ""
                for count, memory in SERVERS.items():
                    for codec in CODECS:
                        parts = limits(costs, codec, count, gpus, memory, 100)
                        least = min(parts, key=parts.__getitem__)
                        cells += f"{f'{rate / parts[least]:.0%} {least}':>16}"
                name = f"{model}, at peak" if peak else model
                print(f"    {name:19}{gpus:5}{rate:9,.0f}{cores[0]:12.1f}{cores[1]:6.1f}{bits:7.1f}{cells}")


def plot(costs: Mapping[str, Cost], path: str) -> None:
    """Draw what hosts serve by their cores, beside what models take."""
    cores = np.unique(np.geomspace(9, 256, 60).astype(int)).tolist()
    lines = [
        Line(
            f"{codec} pack, 8 trainers",
            [(count, limits(costs, codec, count, 8, 1, 1)["decoding"]) for count in cores],
        )
        for codec in CODECS
    ]
    memory = [(count, limits(costs, "jpeg", count, 8, gbs, 1)["memory"]) for count, gbs in SERVERS.items()]
    lines.append(Line("memory", memory))
    marks = [(f"8 x {model}", 8 * rate_of(costs, model)) for model in MODELS]
    marks += [
        (f"packs over {rate} Gb/s", limits(costs, "jpeg", 64, 8, 1, rate)["network"]) for rate in NETWORKS
    ]
    marks += [("8 x R(2+1)D-18 at the GPU's peak", 8 * rate_of(costs, "R(2+1)D-18", 1.0))]
    text = draw(lines, marks, x="cores of the host", y="clips of 16 frames a second")
    Path(path).write_text(text, encoding="utf-8")


def main() -> None:
    """Measure or read the costs, and print the tables."""
    parser = argparse.ArgumentParser(description="What feeds one H200, and eight.")
    parser.add_argument("--rounds", type=int, default=7, help="of each measurement (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round (%(default)s)")
    parser.add_argument("--costs", help="JSON of costs by name, from --save: not measured, or assumed, anew")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other values of costs")
    parser.add_argument("--save", help="write all costs into this file")
    parser.add_argument("--plot", help="draw an SVG into this file")
    args = parser.parse_args()
    costs = dict(ASSUMED)
    if args.costs:
        read = json.loads(Path(args.costs).read_text("utf-8"))
        costs |= {name: Cost(**fields) for name, fields in read.items()}
    else:
        costs = measure(args.rounds, args.seconds) | costs
    for word in args.set:
        name, _, value = word.partition("=")
        if name not in costs:
            parser.error(f"--set {word}: no cost is called {name!r}; there are {', '.join(costs)}")
        costs[name] = Cost(float(value), costs[name].unit, "assumed: by --set")
    if args.save:
        saved = {name: asdict(cost) for name, cost in costs.items()}
        Path(args.save).write_text(json.dumps(saved, indent=1), encoding="utf-8")
    print_costs(costs)
    print_limits(costs)
    print_models(costs)
    if args.plot:
        plot(costs, args.plot)


if __name__ == "__main__":
    main()
