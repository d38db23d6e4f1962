"""A contact sheet: one picture of clips as the model will see them.

::

    loader.batch ----------> arrays of each clip --painting.py--> strips ──┐
    loader.plan_table -----> frames, padding, views ───────────────────────┼──> Sheet --draw--> PIL image
    storage, labels -------> paths, names of classes ──────────────────────┘

`Sheet` lists everything on the sheet with its position, measured with the font that draws it. `Sheet.draw`
makes no decisions.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastclips.options import checked_int
from fastclips.preview.painting import Reach, Span, Strip, paint_mask, strips
from fastclips.reserved import FRAME_INDEX, LABEL, TIMESTAMP, VALID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.data.dataset import Dataset
    from fastclips.serving.schedule import Schedule

__all__ = ["Sheet", "contact_sheet", "lay_out"]

_WIDTH, _LEAST_WIDTH = 1920, 860  # of the sheet in pixels; headings need the minimum
_MARGIN, _GAP = 16, 8
_THUMB = 320  # longest side of a thumbnail
_SMALL = 96  # narrower thumbnails are enlarged by a whole number
_THIN = 104  # least width to which thumbnails shrink; if more do not fit, time steps are left out
_COLUMN = 72  # width of the text below a thumbnail
_SWATCH = 14
_MOST_VALUES = 40  # in a legend
_FEW = 8  # numbers of a row that are written out
_OF_STEPS = (VALID, FRAME_INDEX, TIMESTAMP)  # arrays that are shown below the time steps, or by marks

_INK, _FAINT, _MARK, _LINE = (24, 24, 24), (105, 105, 105), (190, 75, 0), (215, 215, 215)
_TITLE, _TEXT, _SMALL_TEXT = 18, 15, 13  # font sizes


class PreviewedLoader(Protocol):
    """The part of `fastclips.ClipLoader` that a contact sheet reads."""

    dataset: Dataset
    schedule: Schedule

    def plan_table(self, epoch: int) -> Mapping[str, NDArray[Any]]:
        """Return the clips of an epoch in served order."""

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - as the loader serves it
        """Return one batch."""


class Words(NamedTuple):
    """A line of text on the sheet, with x and y of its upper left corner."""

    x: int
    y: int
    text: str
    size: int
    color: tuple[int, int, int]


class Sheet:
    """The contents of a contact sheet, with positions.

    Attributes
    ----------
    words : list of Words
        Lines of text.
    pictures : list of (int, int, ndarray of uint8 (h, w, 3))
        Thumbnails, with x and y of the upper left corner.
    marks : list of (int, int, int, int)
        Boxes (left, top, right, bottom) around padded time steps.
    rules : list of int
        Heights of the lines between clips.
    width, height : int
        Size in pixels.
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
        """Add a line of text, shortened to `room` pixels, and return its width in pixels."""
        words = Words(x, y, _fitted(text, room, size), size, color)
        self.words.append(words)
        return ceil(_font(words.size).getlength(words.text))

    def put(self, x: int, y: int, picture: NDArray[np.uint8]) -> None:
        """Add a thumbnail, and widen the sheet if needed."""
        self.pictures.append((x, y, picture))
        self.width = max(self.width, x + picture.shape[1] + _MARGIN)

    def draw(self) -> Image.Image:
        """Return the sheet as an RGB image."""
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
        The loader; its iteration is not affected.
    names : (sequence of str, sequence of str)
        Names of the arrays of x and y.
    clips : int
        Number of clips, at least 1; fewer if the epoch has no more.
    epoch : int
        The epoch, from 0.

    Returns
    -------
    PIL.Image.Image
        The sheet, RGB.
    """
    return lay_out(loader, names, clips, epoch).draw()


def lay_out(
    loader: PreviewedLoader, names: tuple[Sequence[str], Sequence[str]], clips: int, epoch: int
) -> Sheet:
    """Return the contents of the sheet that `contact_sheet` draws, from the same arguments."""
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
    """The clips of a sheet: their arrays, labels, frames and paths."""

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
        labels = self._dataset.index.every_label
        self._labels = {name: labels[name] for name in self._arrays if name in labels}
        self._flows = {  # axis of x and y
            name: axis
            for name, array in self._arrays.items()
            for axis in (2, 4)  # channels first or last
            if name in streams and streams[name].kind == "flow" and array.shape[axis : axis + 1] == (2,)
        }
        self._spans: dict[str, Span | Reach] = {
            name: Reach.of(np.moveaxis(array, self._flows[name], -1))
            if name in self._flows
            else Span.of(array)
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
        """Return the strips of a clip."""
        found: list[Strip] = []
        for name, array in (*self._arrays.items(), *self._weights.items()):
            if name not in _OF_STEPS and not self._is_words(name, array):
                span = self._spans.get(name) or Span(0, 255, finite=True)
                drawn = np.moveaxis(array, self._flows[name], -1) if name in self._flows else array
                found += strips(name, drawn[row], span, self._ignored.get(name))
        return found

    def _is_words(self, name: str, array: NDArray[Any]) -> bool:
        """Return whether rows of an array are written as text rather than drawn."""
        if name in self._weights:
            return array.ndim <= 2 or array[0].size == 1  # noqa: PLR2004 - per clip, or per time step
        if name in self._labels and self._labels[name].labels.kind != "target":
            return True
        return array[0].size <= _FEW or array.ndim > 5  # noqa: PLR2004 - batch, time, height, width, channels

    def heading(self, row: int) -> tuple[str, str]:
        """Return the text above a clip, with its label, and the path of its first frame."""
        words = [f"clip {row}"]
        for name, array in self._arrays.items():
            if name in self._labels:
                words += self._label(name, array[row])
            elif name not in _OF_STEPS and self._is_words(name, array):
                words.append(f"{name} {_numbers(array[row])}")
        words += [
            f"{name if len(self._weights) > 1 else 'weight'} {_number(array[row].item())}"
            for name, array in self._weights.items()
            if array[row].size == 1
        ]
        if self._views:
            words.append(f"view {self._table['view'][row]}")
        if self._table["padding"][row]:
            words.append("padding: fills up the last batch")
        video = int(self._table["video"][row])
        index, storage = self._dataset.index, self._dataset.storage
        first = int(index.starts[video]) + self.frames(row)[0]
        path = storage.where(self._dataset.streams[0].name, int(index.keys[video]), first)
        return "   ".join(words), _shortened(path)

    def _label(self, name: str, value: NDArray[Any]) -> Iterator[str]:
        """Yield a clip's labels, unless each time step has its own."""
        labels, classes = self._labels[name]
        word = labels.kind if name == LABEL else name
        if labels.kind == "label":
            yield f"{word} {classes[int(value)]}"
        elif labels.kind == "labels":
            yield f"{word} {', '.join(classes[number] for number in np.flatnonzero(value)) or 'none'}"
        elif not labels.per_frame:
            yield f"{word} {_numbers(value)}"

    def frames(self, row: int) -> list[int]:
        """Return the frame of each time step, within its video."""
        frames = self._table["frames"][row]
        shown: list[int] = np.where(frames < 0, ~frames, frames).tolist()
        return shown

    def repeats(self, row: int, step: int) -> bool:
        """Return whether a time step repeats a frame as padding."""
        return bool(self._table["frames"][row, step] < 0)

    def captions(self, row: int, step: int) -> Iterator[str]:
        """Yield the lines of text below a time step."""
        yield str(self.frames(row)[step])
        for name, (labels, classes) in self._labels.items():
            if labels.per_frame:
                value = self._arrays[name][row, step]
                text = classes[int(value)] if classes else _numbers(value)
                yield text if name == LABEL else f"{name} {text}"
        if TIMESTAMP in self._arrays:
            yield f"{self._arrays[TIMESTAMP][row, step]:.3f} s"
        for array in self._weights.values():
            if array.shape[1:] == (self.time_steps,) and self.time_steps > 1:
                yield f"weight {_number(array[row, step].item())}"

    def lines(self, columns: _Columns) -> Iterator[str]:
        """Yield the lines of text at the top of the sheet."""
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
                thinned = (
                    f"; {len(columns.steps)} of its {self.time_steps} time steps are shown, evenly spread"
                )
            yield f"Below each time step is its frame, counted within the video from 0{thinned}"
        scaled = "enlarged" if columns.scale > 1 else "made smaller"
        if columns.scale != 1:
            yield f"Thumbnails are {scaled}, {columns.scale:.2g} times as wide"
        for name, span in self._spans.items():
            if name not in _OF_STEPS and not self._is_words(name, arrays[name]):
                yield f"{name}: {span}"

    def legends(self) -> Iterator[tuple[str, list[int], int]]:
        """Yield the name, the values that occur, and the ignored value of each mask."""
        for name, ignore in self._ignored.items():
            yield name, np.unique(self._arrays[name]).tolist(), ignore


class _Columns:
    """The time steps that are drawn, and their width: the same for all clips and all streams."""

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
        """Return which pictures of a strip to draw, and their width."""
        count, height, width = strip.pictures.shape[:3]
        if count == self.time_steps:
            return self.steps, max(1, min(self.width, _THUMB * width // height))
        return self._spread(strip, self.room if count == 1 else _THUMB)

    def pitch(self, width: int) -> int:
        """Return the distance between thumbnails of a width."""
        return max(width, _COLUMN) + _GAP

    def _spread(self, strip: Strip, widest: int) -> tuple[list[int], int]:
        """Return which pictures fit side by side, evenly spread, and their width, at most `widest`."""
        count, height, width = strip.pictures.shape[:3]
        most = min(count, (self.room + _GAP) // (_THIN + _GAP))
        fits = (self.room + _GAP) // most - _GAP
        shown = width * max(1, min(ceil(_SMALL / width), fits // width))
        shown = max(1, min(shown, fits, widest, _THUMB * width // height))
        return np.linspace(0, count - 1, most).round().astype(int).tolist(), shown


def _write_clip(
    sheet: Sheet, top: int, gathered: _Gathered, row: int, own: list[Strip], columns: _Columns
) -> int:
    """Add a clip, and return its lower end."""
    sheet.rules.append(top)
    top += _GAP
    heading, path = gathered.heading(row)
    room = _WIDTH - 2 * _MARGIN
    used = sheet.write(_MARGIN, top, heading, room - 200)
    sheet.write(_MARGIN + used + 18, top, path, room - used - 18, color=_FAINT)
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
            sheet.put(x, top, picture)
        top += height + _GAP
        if by_step and not labelled:
            labelled, top = True, _write_steps(sheet, top - 3, gathered, row, columns)
    if not labelled:
        captions = [" ".join(gathered.captions(row, step)) for step in range(gathered.time_steps)]
        sheet.write(_MARGIN, top, f"frames {', '.join(captions)}", room, size=_SMALL_TEXT, color=_FAINT)
        top += _SMALL_TEXT + _GAP
    return top


def _write_steps(sheet: Sheet, top: int, gathered: _Gathered, row: int, columns: _Columns) -> int:
    """Add the captions of all time steps, and return their lower end."""
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
    """Add the legend of a mask's colours, and return its lower end."""
    x = _MARGIN + sheet.write(_MARGIN, top, f"{name}:", 300, color=_FAINT) + 12
    for value in values[:_MOST_VALUES]:
        text = f"{value} ignored" if value == ignore else str(value)
        width = _SWATCH + 5 + ceil(_font(_TEXT).getlength(text)) + 16
        if x + width > _WIDTH - _MARGIN:
            x, top = _MARGIN + 40, top + _TEXT + 7
        sheet.put(x, top + 1, paint_mask(np.full((_SWATCH, _SWATCH), value, np.uint8), ignore))
        sheet.write(x + _SWATCH + 5, top, text, width)
        x += width
    if len(values) > _MOST_VALUES:
        sheet.write(x, top, f"and {len(values) - _MOST_VALUES} more", 200, color=_FAINT)
    return top + _TEXT + 7


def _thumbnail(strip: Strip, step: int, width: int) -> NDArray[np.uint8]:
    """Return a picture of a strip, resized to a width."""
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
    """Return a text, shortened in its middle if it is wider than `room` pixels."""
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
    return path if len(parts) <= 4 else "/".join(["...", *parts[-3:]])  # noqa: PLR2004 - three parts and the root


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numbers(array: NDArray[Any]) -> str:
    if array.size <= _FEW:
        return ", ".join(_number(value) for value in array.ravel().tolist())
    return f"{array.dtype} {array.shape}, {_number(array.min().item())} to {_number(array.max().item())}"
