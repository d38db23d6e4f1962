"""What feeds one H200 and eight of them, and which part of the path is the limit?

    python benchmarks/scale.py                                      # measures for a minute, then computes
    python benchmarks/scale.py --save costs.json --plot scale.svg
    python benchmarks/scale.py --costs costs.json --set parallel=1  # other costs

Clips are 16 x 224 x 224 x 3 uint8, random crops of packed frames of 340x256. Costs of the loader are measured
here; GPUs, servers, networks and stores are *assumed*, each with its source, and every line of the first
table says which it is. The rest is arithmetic, in `limits`. `plans.py` measures plans of a billion clips,
and `stragglers.py` simulates slow hosts.

Result::

    parallel             0.8                             assumed: rate of a core of many, over one here
    own_cores              1                   cores     assumed: kept by each trainer
    memory_share         0.5                             assumed: of memory's bandwidth, for the loader
    memory_16            250                   GB/s      assumed: 8 channels of DDR5-4800, as below
    memory_64            378                   GB/s      assumed: 12 channels; Micron's STREAM of an EPYC 9004
    memory_192           756                   GB/s      assumed: two such sockets
    bus                   50                   GB/s      assumed: to each GPU; PCIe 5 x16 has 64
    line                 0.9                             assumed: of a network's rate, for payload
    disk                 6.5                   GB/s      assumed: an NVMe SSD of PCIe 4, by data sheets
    requests           5,500                   GET/s     assumed: S3's user guide, for each prefix
    peak            9.89e+14                   op/s      assumed: NVIDIA's data sheet of H200, bf16, dense
    decode_jpeg        0.178 (0.174-0.1964)    ms/frame  measured
    trainer_jpeg       0.481 (0.4644-0.524)    ms/batch  measured
    bytes_jpeg       301,799                   bytes     measured
    decode_dct        0.0986 (0.09726-0.1014)  ms/frame  measured
    trainer_dct        0.464 (0.4376-0.4707)   ms/batch  measured
    bytes_dct        311,368                   bytes     measured
    plan               0.416 (0.3395-0.7876)   us/clip   measured
    ticket             0.324 (0.09548-0.3419)  us/clip   measured
    bare              0.0454 (0.04147-0.05192) ms/batch  measured
    bare_paused        0.302 (0.2803-0.326)    ms/batch  measured
    copy                23.6 (20.07-24.81)     GB/s      measured
    bare: 0.0059 ms for plan and tickets of 8 clips, 0.0395 ms for the rest
    R(2+1)D-18         162.1                   GMAC      assumed: torchvision: 40.52 at 112x112; 25% of peak
    MViT-B 16x4         70.8                   GMAC      assumed: PyTorchVideo's model zoo; 25% of peak
    VideoMAE ViT-B      53.4                   GMAC      assumed: V-SWIFT's README; of an A100; 29% of peak
    ViT-B                180                   GMAC      assumed: VideoMAE's paper; 40% of peak
    ViT-L                597                   GMAC      assumed: VideoMAE's paper; 45% of peak

    clips/s; pack, GPUs             jpeg, 1    jpeg, 8     dct, 1     dct, 8
    decoding, 16 cores                4,224      2,253      7,608      4,057
    memory, 16 cores                 14,824     14,824     14,757     14,757
    decoding, 64 cores               17,741     15,770     31,952     28,402
    memory, 64 cores                 22,413     22,413     22,312     22,312
    decoding, 192 cores              53,786     51,814     96,869     93,319
    memory, 192 cores                44,826     44,826     44,624     44,624
    trainers                         16,632    133,058     17,224    137,795
    bus                              20,760    166,082     20,760    166,082
    packs over 25 Gb/s                9,319      9,319      9,033      9,033
    packs over 100 Gb/s              37,276     37,276     36,131     36,131
    packs over 400 Gb/s             149,106    149,106    144,524    144,524
    one NVMe SSD                     21,537     21,537     20,876     20,876
    one prefix of S3                  5,500      5,500      5,500      5,500
    decoded clips over 25 Gb/s        1,168      1,168      1,168      1,168
    decoded clips over 100 Gb/s       4,671      4,671      4,671      4,671
    decoded clips over 400 Gb/s      18,684     18,684     18,684     18,684

    model                   GPUs  clips/s  pack  cores   Gb/s       16 cores       64 cores      192 cores
    R(2+1)D-18                 1      254  jpeg    0.9    0.6    6% decoding    2% trainers    2% trainers
    R(2+1)D-18                 1      254  dct     0.5    0.6    3% decoding    1% trainers    1% trainers
    R(2+1)D-18                 8    2,034  jpeg    7.2    4.9   90% decoding   13% decoding     5% network
    R(2+1)D-18                 8    2,034  dct     4.0    5.1   50% decoding      9% memory     6% network
    R(2+1)D-18, at peak        8    8,135  jpeg   28.9   19.6  361% decoding   52% decoding    22% network
    R(2+1)D-18, at peak        8    8,135  dct    16.0   20.3  200% decoding     36% memory    23% network
    MViT-B 16x4                1      582  jpeg    2.1    1.4   14% decoding    3% trainers    3% trainers
    MViT-B 16x4                1      582  dct     1.1    1.4    8% decoding    3% trainers    3% trainers
    MViT-B 16x4                8    4,656  jpeg   16.5   11.2  207% decoding   30% decoding    12% network
    MViT-B 16x4                8    4,656  dct     9.2   11.6  115% decoding     21% memory    13% network
    MViT-B 16x4, at peak       8   18,625  jpeg   66.1   45.0  827% decoding  118% decoding    50% network
    MViT-B 16x4, at peak       8   18,625  dct    36.7   46.4  459% decoding     83% memory    52% network
    VideoMAE ViT-B             1      886  jpeg    3.1    2.1   21% decoding    5% trainers    5% trainers
    VideoMAE ViT-B             1      886  dct     1.7    2.2   12% decoding    5% trainers    5% trainers
    VideoMAE ViT-B             8    7,087  jpeg   25.2   17.1  315% decoding   45% decoding    19% network
    VideoMAE ViT-B             8    7,087  dct    14.0   17.7  175% decoding     32% memory    20% network
    VideoMAE ViT-B, at peak    8   24,694  jpeg   87.7   59.6 1096% decoding  157% decoding    66% network
    VideoMAE ViT-B, at peak    8   24,694  dct    48.7   61.5  609% decoding    111% memory    68% network
    ViT-B                      1      366  jpeg    1.3    0.9    9% decoding    2% trainers    2% trainers
    ViT-B                      1      366  dct     0.7    0.9    5% decoding    2% trainers    2% trainers
    ViT-B                      8    2,930  jpeg   10.4    7.1  130% decoding   19% decoding     8% network
    ViT-B                      8    2,930  dct     5.8    7.3   72% decoding     13% memory     8% network
    ViT-B, at peak             8    7,326  jpeg   26.0   17.7  325% decoding   46% decoding    20% network
    ViT-B, at peak             8    7,326  dct    14.4   18.2  181% decoding     33% memory    20% network
    ViT-L                      1      124  jpeg    0.4    0.3    3% decoding    1% trainers    1% trainers
    ViT-L                      1      124  dct     0.2    0.3    2% decoding    1% trainers    1% trainers
    ViT-L                      8      994  jpeg    3.5    2.4   44% decoding    6% decoding     3% network
    ViT-L                      8      994  dct     2.0    2.5   24% decoding      4% memory     3% network
    ViT-L, at peak             8    2,209  jpeg    7.8    5.3   98% decoding   14% decoding     6% network
    ViT-L, at peak             8    2,209  dct     4.4    5.5   54% decoding     10% memory     6% network

How to read: the first table holds the costs, medians with quartiles. The second says what each part of the
path could serve if it were the only limit: decoding on the cores that trainers leave, the trainers, memory,
the bus to the GPUs, and the store of the packs. The third says what models take: clips, cores that decode
them, and Gb/s of their JPEGs; and, for three servers, which share of the smallest limit of the second table
that is, and the name of the limit. The NIC has 100 Gb/s. Below 100 % training does not wait. A model takes
what its share of the GPU's peak allows. No training reaches the peak, so "at peak" is a bound. One rate is
public for a GPU of this peak: 332 clips a second of VideoMAE's pre-training on each H800 of eight, whose
data came from 200 CPU threads (github.com/deepglint/V-SWIFT); here it is 886.
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
SERVERS = (16, 64, 192)  # cores
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
    "parallel": Cost(0.8, "", "assumed: rate of a core of many, over one here"),
    "own_cores": Cost(1, "cores", "assumed: kept by each trainer"),
    "memory_share": Cost(0.5, "", "assumed: of memory's bandwidth, for the loader"),
    "memory_16": Cost(250, "GB/s", "assumed: 8 channels of DDR5-4800, as below"),
    "memory_64": Cost(378, "GB/s", "assumed: 12 channels; Micron's STREAM of an EPYC 9004"),
    "memory_192": Cost(756, "GB/s", "assumed: two such sockets"),
    "bus": Cost(50, "GB/s", "assumed: to each GPU; PCIe 5 x16 has 64"),
    "line": Cost(0.9, "", "assumed: of a network's rate, for payload"),
    "disk": Cost(6.5, "GB/s", "assumed: an NVMe SSD of PCIe 4, by data sheets"),
    "requests": Cost(5500, "GET/s", "assumed: S3's user guide, for each prefix"),
    "peak": Cost(989e12, "op/s", "assumed: NVIDIA's data sheet of H200, bf16, dense"),
}

MODELS = {  # GMAC of a forward pass, share of the GPU's peak in training (assumed), source of the GMAC
    "R(2+1)D-18": (162.1, 0.25, "torchvision: 40.52 at 112x112"),
    "MViT-B 16x4": (70.8, 0.25, "PyTorchVideo's model zoo"),
    "VideoMAE ViT-B": (53.4, 0.287, "V-SWIFT's README; of an A100"),
    "ViT-B": (180.0, 0.40, "VideoMAE's paper"),
    "ViT-L": (597.0, 0.45, "VideoMAE's paper"),
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
    costs: Mapping[str, Cost], codec: str, cores: int, gpus: int, network: float = NETWORKS[1]
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
    network : float
        Gb/s of the NIC through which packs are read.
    """
    cost = {name: cost.value for name, cost in costs.items()}
    left = max(0.0, cores - gpus * cost["own_cores"])
    found = {
        "decoding": left * cost["parallel"] * 1e3 / (STEPS * cost[f"decode_{codec}"]),
        "trainers": gpus * 1e3 * BATCH / cost[f"trainer_{codec}"],
        "bus": gpus * cost["bus"] * 1e9 / PIXELS,
        "network": network * 1e9 / 8 * cost["line"] / cost[f"bytes_{codec}"],
    }
    if cores in SERVERS:
        memory = cost[f"memory_{cores}"] * 1e9 * cost["memory_share"]
        found["memory"] = memory / traffic(costs, codec)
    return found


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
        print(f"    {name:14}{gmac:10.4g} {'':18}{'GMAC':9} assumed: {source}; {share:.0%} of peak")


def print_limits(costs: Mapping[str, Cost]) -> None:
    """Print the second table."""
    head = "".join(f"{f'{codec}, {gpus}':>11}" for codec in CODECS for gpus in (1, 8))
    print(f"\n    {'clips/s; pack, GPUs':28}{head}")

    def line(name: str, of: Callable[[str, int], float]) -> None:
        figures = "".join(f"{of(codec, gpus):11,.0f}" for codec in CODECS for gpus in (1, 8))
        print(f"    {name:28}{figures}")

    for cores in SERVERS:
        for part in ("decoding", "memory"):
            line(
                f"{part}, {cores} cores",
                lambda codec, gpus, c=cores, p=part: limits(costs, codec, c, gpus)[p],
            )
    for part in ("trainers", "bus"):
        line(part, lambda codec, gpus, p=part: limits(costs, codec, 64, gpus)[p])
    for rate in NETWORKS:
        line(
            f"packs over {rate} Gb/s",
            lambda codec, gpus, r=rate: limits(costs, codec, 64, gpus, r)["network"],
        )
    for name in stores(costs, "jpeg"):
        line(name, lambda codec, _, n=name: stores(costs, codec)[n])


def print_models(costs: Mapping[str, Cost]) -> None:
    """Print the third table."""
    fed = "".join(f"{f'{cores} cores':>15}" for cores in SERVERS)
    print(f"\n    {'model':24}{'GPUs':>4}{'clips/s':>9}  {'pack':5}{'cores':>6}{'Gb/s':>7}{fed}")
    for model in MODELS:
        for gpus, peak in ((1, False), (8, False), (8, True)):
            rate = gpus * rate_of(costs, model, 1.0 if peak else None)
            for codec in CODECS:
                cores = rate * STEPS * costs[f"decode_{codec}"].value / 1e3 / costs["parallel"].value
                bits = rate * costs[f"bytes_{codec}"].value * 8 / 1e9
                cells = ""
                for count in SERVERS:
                    parts = limits(costs, codec, count, gpus)
                    least = min(parts, key=parts.__getitem__)
                    cells += f"{f'{rate / parts[least]:.0%} {least}':>15}"
                name = f"{model}, at peak" if peak else model
                print(f"    {name:24}{gpus:4}{rate:9,.0f}  {codec:5}{cores:6.1f}{bits:7.1f}{cells}")


def plot(costs: Mapping[str, Cost], path: str) -> None:
    """Draw what hosts serve by their cores, beside what models take."""
    cores = np.unique(np.geomspace(9, 256, 60).astype(int)).tolist()
    lines = [
        Line(
            f"{codec} pack, 8 trainers",
            [(count, limits(costs, codec, count, 8)["decoding"]) for count in cores],
        )
        for codec in CODECS
    ]
    memory = [(count, limits(costs, "jpeg", count, 8)["memory"]) for count in SERVERS]
    lines.append(Line("memory", memory))
    marks = [(f"8 x {model}", 8 * rate_of(costs, model)) for model in MODELS]
    marks += [(f"packs over {rate} Gb/s", limits(costs, "jpeg", 64, 8, rate)["network"]) for rate in NETWORKS]
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
