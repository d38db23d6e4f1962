"""Pixel steps as their definitions say, value by value in float64: slow, and obvious."""

import colorsys
from statistics import NormalDist

import numpy as np

import fastclips as fc

EPSILON = 1e-6


def uniform(low, high, draw):
    return low + (high - low) * draw


def log_uniform(low, high, draw):
    return low * (high / low) ** draw


def brightness(step, frame, draws, _number):
    return frame * uniform(step.low, step.high, draws[0])


def contrast(step, frame, draws, _number):
    return 127.5 + (frame - 127.5) * uniform(step.low, step.high, draws[0])


def channel_shift(step, frame, draws, _number):
    out = frame.copy()
    for channel in range(frame.shape[2]):
        out[:, :, channel] += uniform(-step.levels, step.levels, draws[channel])
    return out


def gamma(step, frame, draws, _number):
    raised = (frame / 255) ** log_uniform(step.low, step.high, draws[0]) * 255
    return np.where(frame < 1e-4, 0, raised)


def luma(frame):
    return frame @ [0.299, 0.587, 0.114]


def saturation(step, frame, draws, _number):
    gray = luma(frame)[:, :, None]
    return gray + uniform(step.low, step.high, draws[0]) * (frame - gray)


def grayscale(_step, frame, _draws, _number):
    return np.repeat(luma(frame)[:, :, None], 3, axis=2)


def through_hsv(frame, change):
    out = np.empty_like(frame)
    for y, x in np.ndindex(frame.shape[:2]):
        hsv = colorsys.rgb_to_hsv(*(frame[y, x] / 255))
        out[y, x] = np.multiply(colorsys.hsv_to_rgb(*change(*hsv)), 255)
    return out


def saturation_value(step, frame, draws, _number):
    first, second = (log_uniform(step.low, step.high, draw) for draw in draws)
    return through_hsv(frame, lambda h, s, v: (h, s**first if s > 1e-5 else 0, v**second))


def hue(step, frame, draws, _number):
    turn = uniform(-step.degrees, step.degrees, draws[0]) / 360
    return through_hsv(frame, lambda h, s, v: ((h + turn) % 1, s, v))


def words(draw, number, count):
    """Random123's blocks from counter (0, number) on; NumPy counts up first."""
    key = int(draw * 2**53) + (2**63 << 64)
    return np.random.Philox(key=key, counter=(number * 2**64 - 1) % 2**256).random_raw(count).tolist()


def gaussian_noise(step, frame, draws, number):
    out = frame.copy().reshape(-1)
    inverse = NormalDist(sigma=max(uniform(*step.std, draws[0]), 1e-300)).inv_cdf
    drawn = words(draws[1], 0 if step.fixed else number, -(-out.size // 4))
    for place in range(out.size):
        out[place] += inverse(((drawn[place // 4] >> 16 * (place % 4)) % 2**16 + 0.5) / 2**16)
    return out.reshape(frame.shape)


def salt_and_pepper(step, frame, draws, number):
    out = frame.copy().reshape(-1, frame.shape[2])
    each = uniform(*step.share, draws[0]) / 2
    drawn = words(draws[1], 0 if step.fixed else number, -(-len(out) // 2))
    for place in range(len(out)):
        unit = ((drawn[place // 2] >> 32 * (place % 2)) % 2**32 + 0.5) / 2**32
        if unit < each:
            out[place] = 255
        elif unit > 1 - each:
            out[place] = 0
    return out.reshape(frame.shape)


def blur(step, frame, draws, _number):
    sigma = uniform(*step.sigma, draws[0])
    if sigma < 0.05:  # no neighbour weighs anything
        return frame
    reach = int(np.ceil(3 * sigma))
    weights = [np.exp(-(at**2) / (2 * sigma**2)) for at in range(-reach, reach + 1)]
    for axis in (0, 1):
        around = [(reach, reach) if axis == padded else (0, 0) for padded in range(3)]
        padded = np.pad(frame, around, mode="reflect")
        size = frame.shape[axis]
        shifted = (padded.take(range(at, at + size), axis) for at in range(2 * reach + 1))
        frame = sum(w * part for w, part in zip(weights, shifted, strict=True)) / sum(weights)
    return frame


def cutout(step, frame, draws, _number):
    out = frame.copy()
    (height, width), (tall, wide) = step.size, frame.shape[:2]
    for down, across in zip(draws[::2], draws[1::2], strict=True):
        top, left = int(down * (tall - height + 1)), int(across * (wide - width + 1))
        for y, x in np.ndindex(height, width):
            out[top + y, left + x] = step.value
    return out


def random_erasing(step, frame, draws, number):
    out, (tall, wide, channels) = frame.copy(), frame.shape
    for share, ratio in zip(draws[:20:2], draws[1:20:2], strict=True):
        area, aspect = uniform(*step.area, share) * tall * wide, log_uniform(*step.aspect, ratio)
        height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if height >= tall or width >= wide:
            continue
        top, left = int(draws[20] * (tall - height + 1)), int(draws[21] * (wide - width + 1))
        box = out[top : top + height, left : left + width]
        if step.value != "random":
            box[:] = step.value
        elif box.size:
            noise = gaussian_noise(fc.GaussianNoise(1), np.zeros(box.shape), [0, draws[22]], number)
            mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
            if channels == 1:
                mean, std = mean.mean(), std.mean()
            box[:] = 255 * (mean + std * noise)
        break
    return out


def rescale(step, clip):
    return clip * step.scale + step.offset


def normalize(step, clip):
    return (clip / 255 - np.array(step.mean)) / np.array(step.std)


def per_sample(_step, clip):
    return (clip - clip.mean()) / (clip.std() + EPSILON)


def feature_wise(step, clip):
    return (clip - step.mean) / (step.std + EPSILON)


def zca(step, clip):
    flat = (clip - step.mean).reshape(len(clip), -1)
    return (flat @ step.matrix.astype(np.float64)).reshape(clip.shape)


ON_FRAMES = {
    "Brightness": brightness,
    "Contrast": contrast,
    "ChannelShift": channel_shift,
    "Gamma": gamma,
    "Saturation": saturation,
    "SaturationValue": saturation_value,
    "Hue": hue,
    "Grayscale": grayscale,
    "GaussianNoise": gaussian_noise,
    "SaltAndPepper": salt_and_pepper,
    "Blur": blur,
    "Cutout": cutout,
    "RandomErasing": random_erasing,
}
ON_CLIPS = {
    "Rescale": rescale,
    "Normalize": normalize,
    "PerSample": per_sample,
    "FeatureWise": feature_wise,
    "ZCA": zca,
}


def slow_run(steps, frames, draws, standardised=False):
    """Take a clip, (T, H, W, C), through a list of steps, one after the other; float64 until the end."""
    clip, rest = frames.astype(np.float64), list(draws)
    for step in steps:
        name = type(step).__name__
        if name in ON_CLIPS:
            clip, standardised = ON_CLIPS[name](step, clip), True
            continue
        drawn = [rest.pop(0) for _ in range(1 + step.draws)] if step.per == "clip" else None
        for number in range(len(clip)):
            chance, *own = drawn or [rest.pop(0) for _ in range(1 + step.draws)]
            if chance < step.p:
                clip[number] = np.clip(ON_FRAMES[name](step, clip[number], own, number), 0, 255)
    assert not rest
    return clip if standardised else np.floor(clip + 0.5)
