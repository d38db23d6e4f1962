"""How fast do other loaders load the same clips, and what does it cost them?

    pip install -e '.[video]'
    python benchmarks/peers setup /tmp/peers  # an environment for each peer, some 15 GB
    python benchmarks/peers data /tmp/peers   # frames, masks, video files and each peer's packed form, 1 GB
    python benchmarks/peers run /tmp/peers    # half an hour; appends to results.jsonl
    python benchmarks/peers table /tmp/peers  # --markdown
    python benchmarks/peers summary /tmp/peers --figure docs/_static/peers.svg  # of the README

`docs/peers.md` has the result, the method, and how to read it. FFCV builds against the
system's OpenCV and libjpeg-turbo: ``apt-get install g++ pkg-config libopencv-dev libturbojpeg0-dev``. pip
takes torch with CUDA unless its settings name an index of CPU builds.
"""  # noqa: D400 - a question

# ruff: noqa: E402, PLC0415 - environments of peers have not what the harness needs

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # so that `import torch` never finds a file of ours

from peers.common import TASKS, task_of
from peers.registry import PEERS


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="peers", description="fastclips beside other loaders.")
    parser.add_argument("command", choices=("setup", "data", "run", "table", "summary", "serve", "write"))
    parser.add_argument("work", type=Path, help="folder outside of the repository")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="these peers")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="time of each turn (%(default)s)")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the videos that `data` makes, for a trial"
    )
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--figure", type=Path, help="also draw the first task as bars, into this SVG")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = options.work.absolute()
    match options.command:
        case "setup":
            from peers.environments import make_all

            make_all(options.only, work)
        case "data":
            from peers.data import write_data

            write_data(options.only, work, tasks=options.tasks, share=options.share)
        case "run":
            from peers.measuring import measure

            measure(options.tasks, options.only, work, rounds=options.rounds, seconds=options.seconds)
        case "table":
            from peers.table import print_table

            print_table(work / "results.jsonl", markdown=options.markdown)
        case "summary":
            from peers.summary import print_summary, write_figure

            print_summary(work / "results.jsonl")
            if options.figure:
                write_figure(work / "results.jsonl", options.figure)
        case "serve":
            from peers.measuring import Side, serve_side

            serve_side(Side(*options.side), work, options.began, options.first)
        case "write":
            peer, form, task = options.side
            import_module(f"peers.peer_{peer}").write(task_of(task, work / "data"), form)


if __name__ == "__main__":
    main()
