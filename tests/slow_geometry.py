"""A slow renderer of geometry: each transform by its own formula, one after the other, in floating point.

Shares nothing with the package but the classes' options. A position is (row, column) in edge coordinates:
pixel i covers i to i + 1.
"""

import math

import numpy as np

import fastclips as fc

SLACK = 1e-6


def between(pair, draw):
    return pair[0] + (pair[1] - pair[0]) * draw


def place(draw, room):
    return min(math.floor(draw * (room + 1)), room)


def rounded(number):
    return math.floor(number + 0.5)


def boxed(box, size):
    """A box (top, left, height, width) stretched to a size."""
    top, left, tall, wide = box
    return size, lambda y, x: (top + y * tall / size[0], left + x * wide / size[1])


def about_center(size, move):
    middle_y, middle_x = size[0] / 2, size[1] / 2

    def undo(y, x):
        down, across = move(y - middle_y, x - middle_x)
        return down + middle_y, across + middle_x

    return size, undo


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def centered(transform, size, _draws, _view):
    tall, wide = pair(transform.size)
    return boxed(((size[0] - tall) // 2, (size[1] - wide) // 2, tall, wide), (tall, wide))


def random_crop(transform, size, draws, _view):
    tall, wide = pair(transform.size)
    return boxed((place(draws[0], size[0] - tall), place(draws[1], size[1] - wide), tall, wide), (tall, wide))


def ten_crop(transform, size, _draws, view):
    tall, wide = pair(transform.size)
    down, across = size[0] - tall, size[1] - wide
    top, left = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)][view % 5]
    if view >= 5:
        return boxed((top, left + wide, tall, -wide), (tall, wide))
    return boxed((top, left, tall, wide), (tall, wide))


def flip(transform, size, draws, _view):
    top, left, tall, wide = 0, 0, *size
    if draws[0] < transform.p:
        left, wide = wide, -wide
    if transform.vertical and draws[1] < transform.vertical:
        top, tall = tall, -tall
    return boxed((top, left, tall, wide), size)


def resize(transform, size, _draws, _view):
    if transform.pad is not None:
        out, scale = pair(transform.size), min(a / b for a, b in zip(pair(transform.size), size, strict=True))
        parts = [min(max(rounded(one * scale), 1), most) for one, most in zip(size, out, strict=True)]
        (top, left), (tall, wide) = ((most - part) // 2 for most, part in zip(out, parts, strict=True)), parts
        return out, lambda y, x: ((y - top) * size[0] / tall, (x - left) * size[1] / wide)
    if transform.size is not None:
        return boxed((0, 0, *size), pair(transform.size))
    side, by = (transform.short_side, min(size)) if transform.short_side else (transform.long_side, max(size))
    return boxed((0, 0, *size), tuple(max(rounded(one * (side / by)), 1) for one in size))


def resized_crop(transform, size, draws, _view):
    area = between(transform.area, draws[0]) * size[0] * size[1]
    aspect = math.exp(between([math.log(value) for value in transform.aspect], draws[1]))
    tall = min(max(rounded((area / aspect) ** 0.5), 1), size[0])
    wide = min(max(rounded((area * aspect) ** 0.5), 1), size[1])
    box = (place(draws[2], size[0] - tall), place(draws[3], size[1] - wide), tall, wide)
    return boxed(box, pair(transform.size))


def multi_scale_crop(transform, size, draws, _view):
    scale = transform.scales[place(draws[0], len(transform.scales) - 1)]
    side = max(rounded(min(size) * scale), 1)
    box = (place(draws[1], size[0] - side), place(draws[2], size[1] - side), side, side)
    return boxed(box, pair(transform.size))


def rotation(transform, size, draws, _view):
    turn = np.exp(1j * math.radians(between(transform.degrees, draws[0])))

    def back(down, across):
        at = (across + 1j * down) * turn
        return at.imag, at.real

    return about_center(size, back)


def shift(transform, size, draws, _view):
    down, across = (
        most * (one if most < 1 else 1) * (2 * draw - 1)
        for most, one, draw in zip((transform.height, transform.width), size, draws, strict=True)
    )
    return size, lambda y, x: (y - down, x - across)


def shear(transform, size, draws, _view):
    lean = math.tan(math.radians(between(transform.degrees, draws[0])))
    return about_center(size, lambda down, across: (down, across + lean * down))


def zoom(transform, size, draws, _view):
    if transform.height is not None:
        tall, wide = between(transform.height, draws[0]), between(transform.width, draws[1])
    else:
        tall = wide = between((transform.low, transform.high), draws[0])
    return about_center(size, lambda down, across: (down / tall, across / wide))


def policy(transform, size, draws, _view):
    """The positions of Pillow's affine transforms, one after the other."""
    undo = []
    for name, amount in operations(transform, draws):
        wide = isinstance(transform, fc.TrivialAugment)
        lean = amount * (0.99 if wide else 0.3)
        down, across = (int(amount * (32 if wide else 150 / 331 * side)) for side in size)
        turn = np.exp(1j * math.radians(amount * (135 if wide else 30)))

        def rotated(y, x, turn=turn):
            at = (x - size[1] / 2 + 1j * (y - size[0] / 2)) * turn
            return at.imag + size[0] / 2, at.real + size[1] / 2

        moves = {
            "ShearX": lambda y, x, lean=lean: (y, x + lean * y),
            "ShearY": lambda y, x, lean=lean: (y + lean * x, x),
            "TranslateX": lambda y, x, across=across: (y, x + across),
            "TranslateY": lambda y, x, down=down: (y + down, x),
            "Rotate": rotated,
        }
        if name in moves:
            undo.insert(0, moves[name])

    def back(y, x):
        for one in undo:
            y, x = one(y, x)
        return y, x

    return size, back


def operations(transform, draws):
    """Name and signed strength of the operations that a policy draws, with ``std=0``."""
    for first in range(0, len(draws), 4):
        which, acts, sign, strength = draws[first : first + 4]
        name, sign = transform.operations[math.floor(which * len(transform.operations))], (-1, 1)[sign >= 0.5]
        if isinstance(transform, fc.TrivialAugment):
            yield name, sign * math.floor(31 * strength) / 30
        elif acts < transform.p:
            yield name, sign * transform.magnitude / transform.levels


def turns(transform, draws):
    if isinstance(transform, (fc.RandomRotation, fc.RandomShear)):
        return between(transform.degrees, draws[0]) != 0
    if isinstance(transform, (fc.RandAugment, fc.TrivialAugment)):
        drawn = operations(transform, draws)
        return any(amount and name in ("ShearX", "ShearY", "Rotate") for name, amount in drawn)
    return False


FORMULAS = {
    fc.CenterCrop: centered,
    fc.RandomCrop: random_crop,
    fc.TenCrop: ten_crop,
    fc.RandomFlip: flip,
    fc.Resize: resize,
    fc.RandomResizedCrop: resized_crop,
    fc.MultiScaleCrop: multi_scale_crop,
    fc.RandomRotation: rotation,
    fc.RandomShift: shift,
    fc.RandomShear: shear,
    fc.RandomZoom: zoom,
    fc.RandAugment: policy,
    fc.TrivialAugment: policy,
}


class SlowMap:
    """What a list of transforms does to frames of a size; at most one of them has views.

    Of a clip of `steps` time steps it is the map at `step`: a transform that draws per frame takes as many
    draws for the first step, for the second, and so on.

    `rows` and `columns` are the positions of the output pixels' centres, (h, w) each; `box` is the box of
    whole pixels that a map covers which neither turns nor leaves the frame, or None; `near_half` tells of a
    box whose edges are too close to the middle between pixels to be compared.
    """

    def __init__(self, transforms, draws, size, view=0, step=0, steps=1):
        self.frame, undo, used, turned = size, [], 0, False
        for transform in transforms:
            count = getattr(transform, "draws", 0)
            per_frame = getattr(transform, "per", "clip") == "frame"
            own = draws[used + count * step * per_frame :][:count]
            size, one = FORMULAS[type(transform)](transform, size, own, view)
            undo.insert(0, one)
            turned |= turns(transform, own)
            used += count * (steps if per_frame else 1)
        self.size = size

        def back(y, x):
            for one in undo:
                y, x = one(y, x)
            return y, x

        y, x = np.mgrid[: size[0], : size[1]] + 0.5
        self.rows, self.columns = back(y, x)
        self.box, self.near_half = None, False
        start, stop = back(np.zeros(()), np.zeros(())), back(*map(np.array, size))
        edges = np.sort([start, stop], axis=0)
        if not turned and (edges > -SLACK).all() and (edges[1] < np.array(self.frame) + SLACK).all():
            self.near_half = bool((np.abs(edges % 1 - 0.5) < SLACK).any())
            (top, left), (bottom, right) = self.box = np.floor(edges + 0.5).astype(int)
            self.near_half |= bottom == top or right == left
            share_y, share_x = y / size[0], x / size[1]
            if start[0] > stop[0]:
                share_y = 1 - share_y
            if start[1] > stop[1]:
                share_x = 1 - share_x
            self.rows = top + (bottom - top) * share_y
            self.columns = left + (right - left) * share_x

    @property
    def outside(self):
        inside = (self.rows >= 0) & (self.rows < self.frame[0])
        return ~(inside & (self.columns >= 0) & (self.columns < self.frame[1]))

    @property
    def tied(self):
        """Where a centre lies on the edge between two pixels."""
        return np.any([np.abs(at - np.round(at)) < SLACK for at in (self.rows, self.columns)], axis=0)

    def nearest(self, mask, fill):
        rows, columns = (np.floor(at).astype(int) for at in (self.rows, self.columns))
        return mask[beyond(rows, mask.shape[0], fill), beyond(columns, mask.shape[1], fill)]

    def bilinear(self, pixels, fill):
        rows, columns = self.rows - 0.5, self.columns - 0.5
        if self.box is not None:  # nothing beside the box is seen
            (top, left), (bottom, right) = self.box
            pixels, rows, columns, fill = (
                pixels[top:bottom, left:right],
                rows - top,
                columns - left,
                "nearest",
            )
        total = np.zeros((*self.size, pixels.shape[2]))
        for down in (0, 1):
            for across in (0, 1):
                row, column = np.floor(rows).astype(int) + down, np.floor(columns).astype(int) + across
                share = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
                row, column = beyond(row, pixels.shape[0], fill), beyond(column, pixels.shape[1], fill)
                total += share[..., None] * pixels[row, column]
        return total


def beyond(index, size, fill):
    """Which pixels of a row stand for those beyond it, by repeating it as often as need be."""
    far = int(np.abs(index).max()) // size + 2
    once = np.arange(size)
    if fill == "wrap":
        row = np.tile(once, 2 * far)
    elif fill == "reflect":
        row = np.concatenate([once if turn % 2 == 0 else once[::-1] for turn in range(-far, far)])
    else:
        row = np.concatenate([np.zeros(far * size, int), once, np.full((far - 1) * size, size - 1)])
    return row[index + far * size]


def stretched(pixels, height, width):
    """What the kernel of `resample` makes of a box, (H, W, C), bilinearly: the rules of native/resample.h."""
    axes = []
    for size, count in ((pixels.shape[0], height), (pixels.shape[1], width)):
        at = ((np.arange(count) + 0.5) * (1 / (count / size)) - 0.5).astype(np.float32)
        first = np.floor(at).astype(int)
        share = at - first.astype(np.float32)
        axes.append((first, np.rint((1 - share) * 2048).astype(int), np.rint(share * 2048).astype(int), size))
    (rows, top, bottom, tall), (columns, left, right, wide) = axes
    whole = (columns < 0) | (columns >= wide - 1)  # a pixel of an edge alone
    left, right = np.where(whole, 2048, left)[:, None], np.where(whole, 0, right)[:, None]
    values = pixels.astype(int)
    across = values[:, np.clip(columns, 0, wide - 1)] * left
    across = (across + values[:, np.clip(columns + 1, 0, wide - 1)] * right) >> 4
    upper, lower = across[np.clip(rows, 0, tall - 1)], across[np.clip(rows + 1, 0, tall - 1)]
    sums = (upper * top[:, None, None] >> 16) + (lower * bottom[:, None, None] >> 16)
    return ((sums + 2) >> 2).astype(np.uint8)


def stretched_floats(pixels, height, width):
    """The same unrounded, in float32: the rules of native/stretch_floats.h."""
    axes = []
    for size, count in ((pixels.shape[0], height), (pixels.shape[1], width)):
        at = ((np.arange(count) + 0.5) * (1 / (count / size)) - 0.5).astype(np.float32)
        first = np.floor(at)
        near = first.astype(int)
        axes.append((np.clip(near, 0, size - 1), np.clip(near + 1, 0, size - 1), at - first))
    (upper, lower, down), (left, right, across) = axes
    across = np.where(left == right, np.float32(0), across)[:, None]
    down = down[:, None, None]
    values = pixels.astype(np.float32)
    rows = values[:, left] * (1 - across) + values[:, right] * across
    return rows[upper] * (1 - down) + rows[lower] * down
