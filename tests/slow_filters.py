"""Filters and shrinking as native/filters.h, hsv.h and shrink.h describe them, in NumPy."""

import numpy as np

SUMMED = 64


def moments(frame):
    """Mean and standard deviation, each sum from the first value to the last."""
    values = frame.ravel().astype(np.float64)
    share = 1 / values.size
    mean = np.cumsum(values)[-1] * share
    return mean, np.sqrt(max(np.cumsum(values * values)[-1] * share - mean * mean, 0.0))


def product(rows, matrix):
    """Rows times a matrix, in sums of 64 products."""
    out = np.zeros_like(rows)
    for first in range(0, len(matrix), SUMMED):
        sums = np.zeros_like(rows)
        for i in range(first, min(first + SUMMED, len(matrix))):
            sums += rows[:, i, None] * matrix[i]
        out += sums
    return out


def fused(a, b, c):
    """a * b + c rounded once: the sum in float64 is rounded to odd, and then to float32."""
    product, c = np.float64(a) * b, np.float64(c)
    total = product + c
    part = total - product
    lost = (product - (total - part)) + (c - part)
    even = total.view(np.int64) % 2 == 0
    toward = np.where(lost > 0, np.inf, -np.inf)
    return np.where((lost != 0) & even, np.nextafter(total, toward), total).astype(np.float32)


def to_hsv(frame):
    """Hue in degrees, saturation and value of a frame, (H, W, 3) float32."""
    f, epsilon = np.float32, np.finfo(np.float32).eps
    r, g, b = np.moveaxis(frame, 2, 0)
    most, least = frame.max(axis=2), frame.min(axis=2)
    by_degrees = f(60) / (most - least + epsilon)
    red, green = r == most, g == most
    slope = np.where(red, g - b, np.where(green, b - r, r - g))
    start = np.where(red, np.where(g < b, f(360), f(0)), np.where(green, f(120), f(240)))
    last = np.arange(frame.shape[1]) >= frame.shape[1] // 8 * 8
    hue = np.where(last & (start == 360), slope * by_degrees + f(360), fused(slope, by_degrees, start))
    return hue, (most - least) / (np.abs(most) + epsilon), most


def to_rgb(hue, saturation, value):
    """The frame of a hue from 0 to 360 degrees, a saturation and a value."""
    f = np.float32
    sixths = hue * f(f(6) / f(360))
    sector = np.trunc(sixths)
    part, v = sixths - sector, value
    low = v * (f(1) - saturation)
    falling, rising = (v * fused(-saturation, share, f(1)) for share in (part, f(1) - part))
    choose = sector.astype(int) % 6
    return np.stack(
        [
            np.choose(choose, planes)
            for planes in (
                (v, falling, low, low, rising, v),
                (rising, v, v, falling, low, low),
                (low, low, rising, v, v, falling),
            )
        ],
        axis=2,
    )


def turned(frame, degrees):
    hue, saturation, value = to_hsv(frame)
    hue = hue + np.float32(degrees)
    return to_rgb(np.where(hue >= 360, hue - np.float32(360), hue), saturation, value)


def covers(size, count):
    """The pixels that each output pixel covers, with their shares of it."""
    scale = 1 / (count / size)
    for i in range(count):
        begin, end = i * scale, i * scale + scale
        length = min(scale, size - begin)
        last = min(int(end), size - 1)
        first = min(int(np.ceil(begin)), last)
        parts = [(at, 1 / length) for at in range(first, last)]
        if first - begin > 1e-3:
            parts.insert(0, (first - 1, (first - begin) / length))
        if end - last > 1e-3:
            parts.append((last, min(end - last, 1.0, length) / length))
        yield [(at, np.float32(share)) for at, share in parts]


def shrunk(pixels, height, width):
    """Means of areas of a frame, (H, W, C)."""
    scales = 1 / (height / pixels.shape[0]), 1 / (width / pixels.shape[1])
    down, across = map(round, scales)
    if max(abs(scales[0] - down), abs(scales[1] - across)) < np.finfo(float).eps:
        whole = pixels[: height * down, : width * across].astype(np.int32)
        sums = whole.reshape(height, down, width, across, -1).sum(axis=(1, 3))
        if down == across == 2:
            return ((sums + 2) >> 2).astype(np.uint8)
        return np.rint(sums.astype(np.float32) * np.float32(1 / (down * across))).astype(np.uint8)
    rows = np.zeros((len(pixels), width, pixels.shape[2]), np.float32)
    for x, parts in enumerate(covers(pixels.shape[1], width)):
        for at, share in parts:
            rows[:, x] += pixels[:, at] * share
    out = np.zeros((height, *rows.shape[1:]), np.float32)
    for y, parts in enumerate(covers(len(pixels), height)):
        for at, share in parts:
            out[y] += rows[at] * share
    return np.minimum(np.rint(out), 255).astype(np.uint8)
