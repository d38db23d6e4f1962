"""A contact sheet: clips as the model will see them, on one picture.

::

    loader.batch ----------> arrays of each clip --painting.py--> strips ──┐
    loader.plan_table -----> frames, padding, views ───────────────────────┼──> Sheet --draw--> PIL image
    storage, labels -------> paths, names of classes ──────────────────────┘

`Sheet` is a list of what stands where, measured with the font that will draw it; drawing decides nothing.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastclips.options import checked_int
from fastclips.preview.painting import Span, Strip, paint_mask, strips
from fastclips.reserved import LABEL, VALID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.index import Dataset
    from fastclips.serving.batches import Schedule

__all__ = ["Sheet", "contact_sheet", "lay_out"]

_WIDTH, _LEAST_WIDTH = 1920, 860  # of the sheet; headings need some room
_MARGIN, _GAP = 16, 8
_THUMB = 320  # longer side of a thumbnail at most
_SMALL = 96  # wide: smaller ones are enlarged, by a whole number
_THIN = 104  # thumbnails are not made narrower than this to fit all steps: some are left out
_COLUMN = 72  # width that the words below a thumbnail need
_SWATCH = 14
_MOST_VALUES = 40  # in a legend
_FEW = 8  # numbers that are written out

_INK, _FAINT, _MARK, _LINE = (24, 24, 24), (105, 105, 105), (190, 75, 0), (215, 215, 215)
_TITLE, _TEXT, _SMALL_TEXT = 18, 15, 13  # sizes of letters


class PreviewedLoader(Protocol):
    """The part of `fastclips.ClipLoader` that a contact sheet reads."""

    dataset: Dataset
    schedule: Schedule

    def plan_table(self, epoch: int) -> Mapping[str, NDArray[Any]]:
        """Return the clips of an epoch in served order."""

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - as the loader serves it
        """Return one batch."""


class Words(NamedTuple):
    """A line of text on the sheet; x and y are of its upper left corner."""

    x: int
    y: int
    text: str
    size: int
    color: tuple[int, int, int]


class Sheet:
    """What stands where.

    Attributes
    ----------
    words : list of Words
        Text.
    pictures : list of (int, int, ndarray of uint8 (h, w, 3))
        Thumbnails, with x and y of the upper left corner.
    marks : list of (int, int, int, int)
        Boxes (left, top, right, bottom) around steps that are padding.
    rules : list of int
        Where a line parts two clips.
    width, height : int
        In pixels.
    """

    def __init__(self) -> None:
        self.words: list[Words] = []
        self.pictures: list[tuple[int, int, NDArray[np.uint8]]] = []
        self.marks: list[tuple[int, int, int, int]] = []
        self.rules: list[int] = []
        self.width, self.height = _LEAST_WIDTH, _MARGIN

    def write(
        self,
        x: int,
        y: int,
        text: str,
        room: int,
        size: int = _TEXT,
        color: tuple[int, int, int] = _INK,
    ) -> int:
        """Write a line as `Words` have it, cut short to `room` pixels; return its width in pixels."""
        words = Words(x, y, _fitted(text, room, size), size, color)
        self.words.append(words)
        return ceil(_font(words.size).getlength(words.text))

    def place(self, x: int, y: int, picture: NDArray[np.uint8]) -> None:
        """Put a thumbnail somewhere; the sheet grows with it."""
        self.pictures.append((x, y, picture))
        self.width = max(self.width, x + picture.shape[1] + _MARGIN)

    def draw(self) -> Image.Image:
        """Return the picture, RGB."""
        image = Image.new("RGB", (self.width, self.height), "white")
        pen = ImageDraw.Draw(image)
        for y in self.rules:
            pen.line((_MARGIN, y, self.width - _MARGIN, y), fill=_LINE)
        for box in self.marks:
            pen.rectangle(box, outline=_MARK, width=3)
        for x, y, picture in self.pictures:
            image.paste(Image.fromarray(picture), (x, y))
        for words in self.words:
            pen.text((words.x, words.y), words.text, words.color, _font(words.size))
        return image


def contact_sheet(
    loader: PreviewedLoader, names: tuple[Sequence[str], Sequence[str]], clips: int = 4, epoch: int = 0
) -> Image.Image:
    """Draw the first clips of an epoch as batches hold them.

    Parameters
    ----------
    loader : PreviewedLoader
        Whose; its iteration is not moved.
    names : (sequence of str, sequence of str)
        Of what x and y are made of.
    clips : int
        How many, at least 1; fewer where the epoch has no more.
    epoch : int
        Which, from 0.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    return lay_out(loader, names, clips, epoch).draw()


def lay_out(
    loader: PreviewedLoader, names: tuple[Sequence[str], Sequence[str]], clips: int, epoch: int
) -> Sheet:
    """Find out what stands where on the sheet that `contact_sheet` draws.

    Parameters
    ----------
    loader, names, clips, epoch
        As there.

    Returns
    -------
    Sheet
    """
    clips = checked_int(clips, "clips", 1)
    gathered = _Gathered(loader, names, clips, epoch)
    sheet = Sheet()
    shown = [gathered.strips(row) for row in range(gathered.rows)]
    columns = _Columns(shown, gathered.time_steps)
    top = _MARGIN
    for number, line in enumerate(gathered.lines(columns)):
        size = _TITLE if number == 0 else _TEXT
        sheet.write(_MARGIN, top, line, _WIDTH - 2 * _MARGIN, size=size, color=_FAINT if number else _INK)
        top += size + 7
    for legend in gathered.legends():
        top = _write_legend(sheet, top, *legend)
    for row, own in enumerate(shown):
        top = _write_clip(sheet, top + 8, gathered, row, own, columns)
    widest = max(words.x + _font(words.size).getlength(words.text) for words in sheet.words)
    sheet.width, sheet.height = max(sheet.width, ceil(widest) + _MARGIN), top + _MARGIN
    return sheet


class _Gathered:
    """The clips of a sheet: their arrays, and all that is known of them."""

    def __init__(
        self, loader: PreviewedLoader, names: tuple[Sequence[str], Sequence[str]], clips: int, epoch: int
    ) -> None:
        self._dataset, self._epoch = loader.dataset, epoch
        self.time_steps = loader.schedule.time_steps
        table = loader.plan_table(epoch)
        self._total = len(table["video"])
        self.rows = min(clips, self._total)
        columns = ("video", "frames", "view", "padding")
        self._table = {name: table[name][: self.rows] for name in columns}
        self._views = bool(table["view"].any())
        self._arrays, self._weights = self._read(loader, names)
        streams = {stream.name: stream for stream in self._dataset.streams}
        self._ignored = {
            name: streams[name].ignore for name in self._arrays if name in streams and streams[name].mask
        }
        labels = self._dataset.index.labels
        self._kind = labels.kind if labels is not None and LABEL in self._arrays else None
        self._spans = {
            name: Span.of(array)
            for name, array in (*self._arrays.items(), *self._weights.items())
            if name not in self._ignored and array.dtype != np.uint8
        }

    def _read(
        self, loader: PreviewedLoader, names: tuple[Sequence[str], Sequence[str]]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Return the rows of x and y, by name, and the weights of targets, by "weight of" their names."""
        batches: list[dict[str, NDArray[Any]]] = []
        found = 0
        while found < self.rows:
            batch = loader.batch(self._epoch, len(batches))
            parts = batch if names[1] else (batch,)
            named: dict[str, NDArray[Any]] = {}
            for part, form, own in zip(parts, ("{}", "{}", "weight of {}"), (*names, names[1]), strict=False):
                arrays = part if isinstance(part, dict) else {own[0]: part}
                named.update({form.format(name): array for name, array in arrays.items()})
            batches.append(named)
            found += len(next(iter(named.values())))
        joined = {
            name: np.concatenate([batch[name] for batch in batches])[: self.rows] for name in batches[0]
        }
        given = {name for both in names for name in both}
        return (
            {name: array for name, array in joined.items() if name in given},
            {name: array for name, array in joined.items() if name not in given},
        )

    def strips(self, row: int) -> list[Strip]:
        """Return the strips of a clip: those of a step each, and then those that are one picture."""
        found: list[Strip] = []
        for name, array in (*self._arrays.items(), *self._weights.items()):
            if name != VALID and not self._is_words(name, array):
                span = self._spans.get(name, Span(0, 255, finite=True))
                found += strips(name, array[row], span, self._ignored.get(name))
        return found

    def _is_words(self, name: str, array: NDArray[Any]) -> bool:
        """Say whether a row is better told than shown."""
        if name in self._weights:
            return array.ndim <= 2 or array[0].size == 1  # noqa: PLR2004 - of clips, or of their steps
        if name == LABEL and self._kind != "target":
            return True
        return array[0].size <= _FEW or array.ndim > 5  # noqa: PLR2004 - batch, time, height, width, channels

    def heading(self, row: int) -> tuple[str, str]:
        """Return what is to be learned from a clip, and where it comes from."""
        said = [f"clip {row}"]
        for name, array in self._arrays.items():
            if name == LABEL and self._kind != "frame_labels":
                said.append(self._label(array[row]))
            elif name not in (LABEL, VALID) and self._is_words(name, array):
                said.append(f"{name} {_numbers(array[row])}")
        said += [
            f"{name if len(self._weights) > 1 else 'weight'} {_number(array[row].item())}"
            for name, array in self._weights.items()
            if array[row].size == 1
        ]
        if self._views:
            said.append(f"view {self._table['view'][row]}")
        if self._table["padding"][row]:
            said.append("padding: fills up the last batch")
        video = int(self._table["video"][row])
        index, storage = self._dataset.index, self._dataset.storage
        place = int(index.keys[video]), int(index.starts[video]) + self.frames(row)[0]
        return "   ".join(said), _shortened(storage.where(self._dataset.streams[0].name, *place))

    def _label(self, value: NDArray[Any]) -> str:
        classes = self._dataset.classes
        if self._kind == "label":
            return f"label {classes[int(value)]}"
        if self._kind == "labels":
            return f"labels {', '.join(classes[number] for number in np.flatnonzero(value)) or 'none'}"
        return f"target {_numbers(value)}"

    def frames(self, row: int) -> list[int]:
        """Return the frame of each step, within its video."""
        frames = self._table["frames"][row]
        shown: list[int] = np.where(frames < 0, ~frames, frames).tolist()
        return shown

    def repeats(self, row: int, step: int) -> bool:
        """Say whether a step is padding."""
        return bool(self._table["frames"][row, step] < 0)

    def captions(self, row: int, step: int) -> Iterator[str]:
        """Yield the lines below a step, but for those of padding."""
        yield str(self.frames(row)[step])
        if self._kind == "frame_labels":
            yield self._dataset.classes[int(self._arrays[LABEL][row, step])]
        for array in self._weights.values():
            if array.shape[1:] == (self.time_steps,) and self.time_steps > 1:
                yield f"weight {_number(array[row, step].item())}"

    def lines(self, columns: _Columns) -> Iterator[str]:
        """Yield what holds for the whole sheet."""
        last = f" to {self.rows - 1}" if self.rows > 1 else ""
        yield f"Epoch {self._epoch}: clip{'s' * (self.rows > 1)} 0{last} of {self._total:,}, in served order"
        arrays = {**self._arrays, **self._weights}
        shapes = {name: str(array.shape[1:]) if array.ndim > 1 else "" for name, array in arrays.items()}
        yield "A clip is " + ", ".join(
            f"{name} {array.dtype} {shapes[name]}".rstrip() for name, array in arrays.items()
        )
        if columns.steps:
            thinned = ""
            if len(columns.steps) < self.time_steps:
                thinned = f"; {len(columns.steps)} of its {self.time_steps} steps are shown, evenly spread"
            yield f"Below each step is its frame, counted within the video from 0{thinned}"
        scaled = "enlarged" if columns.scale > 1 else "made smaller"
        if columns.scale != 1:
            yield f"Thumbnails are {scaled}, {columns.scale:.2g} times as wide"
        for name, span in self._spans.items():
            if name != VALID and not self._is_words(name, arrays[name]):
                yield f"{name}: {span}"

    def legends(self) -> Iterator[tuple[str, list[int], int]]:
        """Yield name, values that occur, and ignored value of each mask."""
        for name, ignore in self._ignored.items():
            yield name, np.unique(self._arrays[name]).tolist(), ignore


class _Columns:
    """Which steps are shown, and how wide: the same for all clips, and all strips of a picture each step."""

    def __init__(self, shown: list[list[Strip]], time_steps: int) -> None:
        own = shown[0]
        self.time_steps = time_steps
        names = max((_font(_SMALL_TEXT).getlength(strip.name) for strip in own), default=0)
        self.gutter = min(ceil(names) + _GAP, 170) if len(own) > 1 else 0
        self.room = _WIDTH - 2 * _MARGIN - self.gutter
        first = next((strip for strip in own if len(strip.pictures) == time_steps), None)
        self.steps: list[int] = []
        self.scale = 1.0
        if first is not None:
            self.steps, self.width = self._spread(first, _THUMB)
            self.scale = self.width / first.pictures.shape[2]

    def of(self, strip: Strip) -> tuple[list[int], int]:
        """Return which pictures of a strip to show, and how wide."""
        count, height, width = strip.pictures.shape[:3]
        if count == self.time_steps:
            return self.steps, max(1, min(self.width, _THUMB * width // height))
        return self._spread(strip, self.room if count == 1 else _THUMB)

    def pitch(self, width: int) -> int:
        """Return the distance of thumbnails of a width."""
        return max(width, _COLUMN) + _GAP

    def _spread(self, strip: Strip, widest: int) -> tuple[list[int], int]:
        """Return which pictures fit side by side, evenly spread, and how wide, if not wider than that."""
        count, height, width = strip.pictures.shape[:3]
        most = min(count, (self.room + _GAP) // (_THIN + _GAP))
        fits = (self.room + _GAP) // most - _GAP
        shown = width * max(1, min(ceil(_SMALL / width), fits // width))
        shown = max(1, min(shown, fits, widest, _THUMB * width // height))
        return np.linspace(0, count - 1, most).round().astype(int).tolist(), shown


def _write_clip(
    sheet: Sheet, top: int, gathered: _Gathered, row: int, own: list[Strip], columns: _Columns
) -> int:
    """Write a clip and return where it ends."""
    sheet.rules.append(top)
    top += _GAP
    said, where = gathered.heading(row)
    room = _WIDTH - 2 * _MARGIN
    used = sheet.write(_MARGIN, top, said, room - 200)
    sheet.write(_MARGIN + used + 18, top, where, room - used - 18, color=_FAINT)
    top += _TEXT + 10
    labelled = False
    for strip in own:
        steps, width = columns.of(strip)
        by_step = len(strip.pictures) == columns.time_steps
        height = _SMALL_TEXT + 4 if columns.gutter else 0
        if columns.gutter:
            sheet.write(_MARGIN, top, strip.name, columns.gutter - _GAP, size=_SMALL_TEXT, color=_FAINT)
        for column, step in enumerate(steps):
            x = _MARGIN + columns.gutter + column * columns.pitch(width)
            picture = _thumbnail(strip, step, width)
            height = max(height, picture.shape[0])
            if by_step and gathered.repeats(row, step):
                sheet.marks.append((x - 4, top - 4, x + picture.shape[1] + 3, top + picture.shape[0] + 3))
            sheet.place(x, top, picture)
        top += height + _GAP
        if by_step and not labelled:
            labelled, top = True, _write_steps(sheet, top - 3, gathered, row, columns)
    if not labelled:
        steps_said = [" ".join(gathered.captions(row, step)) for step in range(gathered.time_steps)]
        sheet.write(_MARGIN, top, f"frames {', '.join(steps_said)}", room, size=_SMALL_TEXT, color=_FAINT)
        top += _SMALL_TEXT + _GAP
    return top


def _write_steps(sheet: Sheet, top: int, gathered: _Gathered, row: int, columns: _Columns) -> int:
    """Write what there is to say of each step, and return where it ends."""
    lines = 0
    pitch = columns.pitch(columns.width)
    for column, step in enumerate(columns.steps):
        x = _MARGIN + columns.gutter + column * pitch
        for line, text in enumerate(gathered.captions(row, step)):
            repeated = line == 0 and gathered.repeats(row, step)
            sheet.write(
                x,
                top + line * (_SMALL_TEXT + 4),
                f"{text} padding" if repeated else text,
                pitch - 4,
                size=_SMALL_TEXT,
                color=_MARK if repeated else _INK,
            )
            lines = max(lines, line + 1)
    return top + lines * (_SMALL_TEXT + 4) + _GAP


def _write_legend(sheet: Sheet, top: int, name: str, values: list[int], ignore: int) -> int:
    """Write what the colours of a mask mean, and return where it ends."""
    x = _MARGIN + sheet.write(_MARGIN, top, f"{name}:", 300, color=_FAINT) + 12
    for value in values[:_MOST_VALUES]:
        text = f"{value} ignored" if value == ignore else str(value)
        width = _SWATCH + 5 + ceil(_font(_TEXT).getlength(text)) + 16
        if x + width > _WIDTH - _MARGIN:
            x, top = _MARGIN + 40, top + _TEXT + 7
        sheet.place(x, top + 1, paint_mask(np.full((_SWATCH, _SWATCH), value, np.uint8), ignore))
        sheet.write(x + _SWATCH + 5, top, text, width)
        x += width
    if len(values) > _MOST_VALUES:
        sheet.write(x, top, f"and {len(values) - _MOST_VALUES} more", 200, color=_FAINT)
    return top + _TEXT + 7


def _thumbnail(strip: Strip, step: int, width: int) -> NDArray[np.uint8]:
    """Return a picture at its width on the sheet, as it is if that is its own."""
    picture = strip.pictures[step]
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if width != picture.shape[1]:
        exact = strip.ignore is not None or width > picture.shape[1]
        method = Image.Resampling.NEAREST if exact else Image.Resampling.BOX
        picture = np.asarray(Image.fromarray(picture).resize((width, height), method))
    return picture if strip.ignore is None else paint_mask(picture, strip.ignore)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if size not in _FONTS:
        _FONTS[size] = ImageFont.load_default(size)
    return _FONTS[size]


_FONTS: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}


def _fitted(text: str, room: int, size: int) -> str:
    """Cut a text short in its middle if it is wider than its room, in pixels."""
    text = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "?", text)
    font, keep = _font(size), len(text)
    short = text
    while keep > 1 and font.getlength(short) > room:
        keep -= 1
        short = f"{text[: keep // 2]}...{text[len(text) - keep + keep // 2 :]}"
    return short


def _shortened(path: str) -> str:
    """Return the last three parts of a path."""
    parts = path.split("/")
    return path if len(parts) <= 4 else "/".join(["...", *parts[-3:]])  # noqa: PLR2004 - three, and the root


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numbers(array: NDArray[Any]) -> str:
    if array.size <= _FEW:
        return ", ".join(_number(value) for value in array.ravel().tolist())
    return f"{array.dtype} {array.shape}, {_number(array.min().item())} to {_number(array.max().item())}"
