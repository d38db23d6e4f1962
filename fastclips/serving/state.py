"""The state of a loader: a place in its batches, and what decides them.

A state is a dict that JSON can hold::

    version      2
    epoch        from 0
    position     clips of that epoch that all ranks have served: the place
    batch        the next batch of that epoch, as the loader that saved it counts, from 0
    start        the position at which that count begins; left out if 0
    batch_size   of each rank
    world        number of ranks
    parts        data, clips, order, transforms, outputs: fields to compare, and a digest of each part

It is a function of data, options and place, so all ranks have the same state after the same batch. A loader
of any batch_size and world goes on from the position. A field is a number, a bool, a text, a list or a dict
of these. A text that begins with ``#`` is a digest. Long texts are cut and long lists are shortened, always
alike, and a digest stands for what was left out.

A difference in data, clips or order is refused, since a place in one order is no place in another one. A
difference in transforms or outputs, or in the frames that were looked at, changes what is in the batches and
not which clips they hold: the loader warns. A field that one of the two states does not have is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Identity", "Place", "digest_of"]

_VERSION = 2
_REFUSED = ("data", "clips", "order")
_SAMPLED = ("sizes", "bytes", "files")  # of data: what frames that were looked at are like; None if unknown
_OF_KIND = ("bytes", "files", "starts")  # of data: compared between storages of one kind
_KIND = "storage"  # of data: that kind
_TEXT = {"clips": 160, "transforms": 160}  # characters of a text; elsewhere:
_SHORT = 60
_LISTED = 6  # items of a list
_WORDS = {
    "names": "the names of the videos, or their order",
    "counts": "the numbers of frames of the videos",
    "starts": "the first frames of the videos",
    "fps": "the frames per second of the videos",
    "files": "the names of the frames' files",
    "weights": "weights=",
    "sample_weight": "sample_weight=",
}
_DECODING = ("fast_dct", "dct_scaling")  # options whose saved value brings back the saved pixels
_KNOBS = ("fps", "weights", "sample_weight", "interleave", "draws_per_clip", "shares")  # None if not given
_ADDED = (
    "interleave",
    "draws_per_clip",
    "shares",
)  # newer than the first states of this version: absent if not given
_FIRST_DCT = (
    "JPEGs were decoded with fast_dct=True, the default of 0.1.0, unless the saved loader had fast_dct=False "
    "(fast_dct=True gives the saved pixels; states of 0.1.0 do not tell)"
)


class Place(NamedTuple):
    """Where a loader goes on after a state was loaded.

    Parameters
    ----------
    epoch, batch : int
        The batch that comes next.
    position : int or None
        The position that the batches of this epoch begin with; None if they keep their numbers.
    changed : str
        What the batches hold now that they did not hold before; empty if nothing changed.
    """

    epoch: int
    batch: int
    position: int | None
    changed: str


@dataclass(frozen=True)
class Identity:
    """What decides the batches of a loader.

    Parameters
    ----------
    batch_size, world : int
        Clips in a batch of each rank, and number of ranks.
    parts : mapping of str to mapping of str to object
        Fields by the name of their part, as JSON has them; the module describes them.
    fingerprint : str
        What states of 0.1.0 hold instead of parts.
    """

    batch_size: int
    world: int
    parts: Mapping[str, Mapping[str, Any]]
    fingerprint: str

    @cached_property
    def _json(self) -> str:
        """The state without the place. Reading it takes less time than copying it."""
        parts = {name: _compact(name, fields) for name, fields in self.parts.items()}
        return json.dumps({"batch_size": self.batch_size, "world": self.world, "parts": parts})

    def state(self, epoch: int, batch: int, position: int) -> dict[str, Any]:
        """Return the state at a place, a new dict."""
        start = position - batch * self.batch_size * self.world
        place: dict[str, Any] = {"version": _VERSION, "epoch": epoch, "batch": batch, "position": position}
        place.update({"start": start} if start else {})
        place.update(json.loads(self._json))
        return place

    def place(self, state: Mapping[str, Any]) -> Place:
        """Return the place in a state.

        Raises
        ------
        OptionError
            If it is no state, or the state of other clips or of another order.
        """
        numbers = _numbers(state)
        if "version" not in state:
            if state["plan"] != self.fingerprint:
                raise OptionError(
                    "the state is of another plan: data, clips, frame choices, batch_size, weights, shuffle, "
                    "drop_last, seed, world and the transforms' views must be the same as when it was saved "
                    f"(saved plan {state['plan']}, this plan {self.fingerprint}; states of 0.1.0 do not tell "
                    "what differs)"
                )
            changed = [] if self.parts.get("transforms", {}).get("fast_dct", True) else [_FIRST_DCT]
            return Place(numbers["epoch"], numbers["batch"], None, _warning(changed))
        refused: list[str] = []
        changed = []
        for name, own in self.state(0, 0, 0)["parts"].items():
            for field, difference in _differences(name, state["parts"].get(name, {}), own):
                hard = name in _REFUSED and field not in _SAMPLED
                (refused if hard else changed).append(difference)
        if refused:
            raise OptionError(
                f"the state is of another plan: {'; '.join(refused)}. Make the loader with the saved options "
                "and data, or begin without the state"
            )
        same = (numbers["batch_size"], numbers["world"]) == (self.batch_size, self.world)
        if same and not numbers["start"]:  # then `batch` alone tells the place, also one that a user has set
            return Place(numbers["epoch"], numbers["batch"], None, _warning(changed))
        before = numbers["batch"] * numbers["batch_size"] * numbers["world"]
        if numbers["position"] != numbers["start"] + before:
            raise OptionError(
                f"batch={numbers['batch']} and position={numbers['position']} of the state are two places: "
                "must agree; state_dict(epoch, batch) of a loader returns the state of another place"
            )
        return Place(numbers["epoch"], 0, numbers["position"], _warning(changed))


def _warning(changed: Sequence[str]) -> str:
    """Return a warning of what has changed, empty if nothing has."""
    if not changed:
        return ""
    return (
        f"The batches may differ from those before the state was saved: {'; '.join(changed)}. They hold "
        "the same frames of the same videos, by number, in the same order."
    )


def digest_of(parts: Iterable[bytes]) -> str:
    """Return 16 hex digits after ``#`` over some bytes, as a field that stands for them."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"#{digest.hexdigest()}"


def _numbers(state: object) -> dict[str, int]:
    """Return the numbers of a state; raise OptionError if it is none."""
    names, wrong = ["epoch", "batch"], f"state={state!r:.200}: must be the state of a loader"
    if not isinstance(state, Mapping) or not ({"version", "plan"} & {*state}):
        raise OptionError(f"{wrong}, as state_dict() returns it")
    if "version" in state:
        if state["version"] != _VERSION:
            raise OptionError(
                f"version={state['version']!r} of the state: must be {_VERSION}; update fastclips to the "
                "version that saved the state"
            )
        names += ["position", "batch_size", "world"]
        state = {"start": 0, **state}
        names.append("start")
        parts = state.get("parts")
        if not isinstance(parts, Mapping) or not all(isinstance(part, Mapping) for part in parts.values()):
            raise OptionError(f"{wrong}: parts= must be a dict of dicts")
    missing = [name for name in names if name not in state]
    if missing:
        raise OptionError(f"{wrong}, as state_dict() returns it; it has no {missing[0]!r}")
    return {name: checked_int(state[name], name, 0, 2**62) for name in names}


def _compact(part: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a part as a state holds them, with a digest of all that may not differ."""
    kept = {key: value for key, value in fields.items() if key not in (*_SAMPLED, *_OF_KIND, _KIND)}
    digest = digest_of([json.dumps(kept).encode()])
    most = _TEXT.get(part, _SHORT)
    return {"digest": digest, **{key: _cut(value, most) for key, value in fields.items()}}


def _cut(value: Any, most: int) -> Any:  # noqa: ANN401 - any field
    """Return a field with digests for what is long."""
    if isinstance(value, str) and len(value) > most:
        return f"{value[: most - 20]}... {digest_of([value.encode('utf-8', 'surrogatepass')])}"
    if isinstance(value, list) and value and isinstance(value[0], str):
        rest = value[_LISTED:]
        more = [f"{len(rest)} more {digest_of([json.dumps(rest).encode()])}"] if rest else []
        return [_cut(item, most) for item in value[:_LISTED]] + more
    if isinstance(value, dict):
        items = [*value.items()]
        last = {"": digest_of([json.dumps(items[_LISTED:]).encode()])} if len(items) > _LISTED else {}
        return {_cut(key, most): _cut(item, most) for key, item in items[:_LISTED]} | last
    return value


def _differences(part: str, saved: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, difference in words) of the fields that both have, and of options newer than states."""
    for field in dict.fromkeys((*own, *(field for field in _ADDED if field in saved))):
        if field in ("digest", _KIND) or (field not in saved and field not in _ADDED):
            continue
        before, now = saved.get(field), own.get(field)
        if before == now or (field in _SAMPLED and None in (before, now)):
            continue
        if field in _OF_KIND and saved.get(_KIND) != own[_KIND]:
            continue
        name = f"{part}.{field}"
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            differences = _of_dicts(name, before, now, sampled=field in _SAMPLED)
        elif isinstance(before, list) and isinstance(now, list):
            differences = _of_lists(name, before, now)
        else:
            differences = iter([_of_values(name, field, before, now)])
        for difference in differences:
            yield field, difference


def _of_values(name: str, field: str, before: object, now: object) -> str:
    if field in _KNOBS and None in (before, now):
        return f"{name} was {'not ' * (before is None)}given, and is {'not ' * (now is None)}given now"
    if isinstance(before, str) and isinstance(now, str) and before[:1] == now[:1] == "#":
        return f"{name}: {_WORDS.get(field, field)} differ"
    remedy = f" ({field}={before} gives the saved pixels)" if field in _DECODING else ""
    return f"{name} was {before} and is {now}{remedy}"


def _of_lists(name: str, before: list[Any], now: list[Any]) -> Iterator[str]:
    matcher = SequenceMatcher(None, [str(item) for item in before], [str(item) for item in now], False)
    for kind, first, end, first_now, end_now in matcher.get_opcodes():
        was, has = (", ".join(map(str, items)) for items in (before[first:end], now[first_now:end_now]))
        if kind == "replace":
            yield f"{name} had {was} and has {has}"
        elif kind != "equal":
            yield f"{name} had {was}, now gone" if kind == "delete" else f"{name} has {has}, which is new"


def _of_dicts(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], *, sampled: bool
) -> Iterator[str]:
    """Yield the differences of what both have; other fields tell which names were added or removed."""
    for key in now:
        was, has = before.get(key), now[key]
        if key not in before or was == has:
            continue
        if not sampled:
            yield _of_values(f"{name}[{key!r}]", "what it holds", was, has)
        elif isinstance(was, list) and isinstance(has, list) and len(was) == len(has):
            pairs = zip(was, has, strict=True)
            other = [pair for pair in pairs if None not in pair and pair[0] != pair[1]]
            if other:
                first, present = map(_shown, other[0])
                yield (
                    f"{name}[{key!r}] of {len(other)} of {len(has)} frames looked at differ, one was {first} "
                    f"and is {present}"
                )


def _shown(value: Any) -> str:  # noqa: ANN401 - any field
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
