"""What went wrong while a loader served batches: frames replaced, clips retried, workers restarted, waits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from fastclips.engine.arena import COUNTERS, STUCK
from fastclips.processes import cause_of_death

if TYPE_CHECKING:
    from fastclips.engine.arena import Death
    from fastclips.engine.contract import Engine
    from fastclips.serving.damage import Damage

__all__ = ["Replaced", "Report", "Restarted", "Waited", "example_lines", "report_of", "wrapped"]

_SHOWN = 5  # of each kind in the table
_WIDTH = 80
_INDENT = "    "


@dataclass(frozen=True)
class Replaced:
    """A damaged frame, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Restarted:
    """The cause of a worker's death, and the first frame of its clip; "" if it had none."""

    cause: str
    clip: str


@dataclass(frozen=True)
class Waited:
    """The length of a wait in seconds, and what the workers did."""

    seconds: float
    doing: str


@dataclass(frozen=True)
class Report:
    """What went wrong since a loader was made, from `ClipLoader.report`; ``print`` it for a table.

    Parameters
    ----------
    replaced : list of Replaced
        Damaged frames that were replaced in served batches, each with ``path`` and ``reason``.
    retried : int
        Clips that were rendered again after a worker died over them.
    restarts : int
        Workers that died and were replaced.
    restarted : list of Restarted
        The first 1,000 of these, each with the ``cause``, such as "by SIGSEGV", and the path of the first
        frame of its ``clip``. If workers die in quick succession, some are missing.
    waited : list of Waited
        Waits of 30 s or more for a batch, each with its ``seconds`` and what the workers were ``doing``.

    Examples
    --------
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
    >>> batches = list(loader)
    >>> print(loader.report())
    No frame was replaced, no worker was restarted, and no wait was long.
    """

    replaced: list[Replaced] = field(default_factory=list)
    retried: int = 0
    restarts: int = 0
    restarted: list[Restarted] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values.

        Returns
        -------
        dict
            ``replaced``, ``restarted`` and ``waited`` are lists of dicts.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> loader.report().to_dict()
        {'replaced': [], 'retried': 0, 'restarts': 0, 'restarted': [], 'waited': []}
        """
        return asdict(self)

    def __str__(self) -> str:
        frames = [(frame.path, frame.reason) for frame in self.replaced]
        deaths = [(f"died {death.cause}", death.clip or "without a clip") for death in self.restarted]
        waits = [(f"{wait.seconds:.0f} s", wait.doing) for wait in self.waited]
        restarts = f"{self.restarts:,}; clips rendered again: {self.retried:,}"
        lines = []
        if frames:
            lines += [f"replaced frames: {len(frames):,}", *example_lines(frames, len(frames))]
        if self.restarts:
            lines += [f"restarted workers: {restarts}", *example_lines(deaths, self.restarts)]
        if waits:
            lines += [f"long waits: {len(waits):,}", *example_lines(waits, len(waits))]
        nothing = "No frame was replaced, no worker was restarted, and no wait was long."
        return "\n".join(lines) or nothing


def example_lines(items: list[tuple[str, str]], total: int, most: int = _SHOWN) -> list[str]:
    """Return the first items as indented lines: each with a heading and a text below it.

    A text that repeats the text before it is left out. `total` is the number of items, of which `items` may
    hold only the first.
    """
    lines, before = [], ""
    for heading, text in items[:most]:
        lines.append(f"  {heading}")
        if text != before:
            lines += wrapped(text, _INDENT, _INDENT)
        before = text
    left = total - min(len(items), most)
    return [*lines, f"  and {left:,} more"] if left and items else lines


def wrapped(text: str, first: str = "", further: str = "") -> list[str]:
    """Return a text as lines of 80 columns, with paths in one piece."""
    return wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def report_of(engine: Engine, damage: Damage | None, timeout: float | None) -> Report:
    """Return the report of a loader.

    Parameters
    ----------
    engine : Engine
        Knows of deaths and long waits.
    damage : Damage or None
        Knows of damaged frames, and of the paths of frames.
    timeout : float or None
        Of the loader, in seconds.
    """

    def cause(death: Death) -> str:
        return f"after timeout={timeout:g} seconds" if death.code == STUCK else cause_of_death(death.code)

    def clip(death: Death) -> str:
        if death.video < 0:
            return ""
        place = death.video, death.frame
        return f"video {place[0]}, frame {place[1]}" if damage is None else damage.where(0, *place)

    restarted = [Restarted(cause(death), clip(death)) for death in engine.deaths()]
    total = dict(zip(COUNTERS, engine.counters.sum(axis=0).tolist(), strict=True))
    reasons = {} if damage is None else damage.reasons
    return Report(
        replaced=[Replaced(path, reason) for path, reason in reasons.items()],
        retried=int(total["reissued"]),
        restarts=int(total["deaths"]),
        restarted=restarted,
        waited=[Waited(round(seconds, 1), doing) for seconds, doing in engine.waits],
    )
