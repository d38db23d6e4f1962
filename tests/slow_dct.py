"""Dct frames, read as docs/formats.md describes them, a bit at a time; and the JPEG of their coefficients."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZES = (5, 4, 8, 8, 8, 8, 8, 8, 6)  # AC positions of the groups
WIDTHS = (0, 1, 2, 3, 4, 5, 7)  # bits of a value; code 7 has 7 low bits and 4 high ones
DC_WIDTHS = (3, 5, 7, 12)
ANCHOR = 16
ZIGZAG = sorted(
    range(64),
    key=lambda at: (
        at // 8 + at % 8,
        at // 8 if (at // 8 + at % 8) % 2 else at % 8,
    ),
)
_PAGE = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
_TABLE = re.search(r"for no group:\n\n```text\n([^`]*)```", _PAGE).group(1)
SELECTORS = [[int(code) for code in codes.strip("-")] for codes in _TABLE.split()]  # width codes of groups
# T.81, annex K, in natural order
LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, *[99] * 38),
)


def crc32c(data):
    """A bit at a time."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def sealed(data):
    """Give changed bytes the checksum that they would have."""
    return data[:12] + struct.pack("<I", crc32c(data[:12] + data[16:])) + data[16:]


@dataclass
class Frame:
    """A frame: blocks[row of MCUs][MCU][block] of 64 coefficients in zigzag order, and their selectors."""

    height: int
    width: int
    sampling: int
    colors: int
    tables: list
    blocks: list
    selectors: list


class Bits:
    def __init__(self, data):
        self.data, self.length, self.at = data, 8 * len(data), 0

    def take(self, count):
        assert self.at + count <= self.length
        part = self.data[self.at // 8 : (self.at + count + 7) // 8]
        found = int.from_bytes(part, "little") >> self.at % 8 & ((1 << count) - 1)
        self.at += count
        return found


def read(data):
    """Read a frame."""
    magic, version, sampling, flags, quality, height, width, checksum = struct.unpack_from("<4s4BHHI", data)
    assert (magic, version) == (b"\x8fFCD", 1)
    assert checksum == crc32c(data[:12] + data[16:])
    colors, unit = flags & 3, 4 if flags & 4 else 2
    components, at = (3 if colors else 1), 16
    if quality:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        tables = [
            [min(max((table[place] * scale + 50) // 100, 1), 255) for place in ZIGZAG]
            for table in [LUMA, CHROMA, CHROMA][:components]
        ]
    else:
        kind, choice = data[16:18]
        size = 2 if kind & 0x80 else 1
        given = np.frombuffer(data, f"<u{size}", 64 * (kind & 3), 18).reshape(-1, 64).tolist()
        tables = [given[choice >> 2 * c & 3] for c in range(components)]
        at = 18 + 64 * size * (kind & 3)
    across, down = sampling >> 4, sampling & 15
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    components_of = [0] * (across * down) + [1, 2][: components - 1]
    ends = np.frombuffer(data, f"<u{unit}", rows, at).tolist()
    at += unit * rows
    anchors = {}
    for row in range(rows):
        for column in range(ANCHOR, columns, ANCHOR):
            place = int.from_bytes(data[at : at + unit], "little")
            anchors[row, column] = place, struct.unpack_from(f"<{components}h", data, at + unit)
            at += unit + 2 * components
    assert at + ends[-1] == len(data)
    blocks, selectors = [], []
    for row in range(rows):
        bits, dc = Bits(data[at + (ends[row - 1] if row else 0) : at + ends[row]]), [0] * components
        blocks.append([])
        for column in range(columns):
            if column and column % ANCHOR == 0:
                assert anchors[row, column] == (bits.at, tuple(dc))
            blocks[-1].append(read_mcu(bits, components_of, dc, selectors))
        assert bits.length - bits.at < 8
    return Frame(height, width, sampling, colors, tables, blocks, selectors)


def read_mcu(bits, components, dc, selectors):
    heads = []
    for component in components:
        selector, kind = bits.take(8), bits.take(2)
        selectors.append(selector)
        widths = SELECTORS[selector] if selector < 255 else [bits.take(3) for _ in range(bits.take(4))]
        assert len(widths) <= 9
        step = bits.take(DC_WIDTHS[kind])
        dc[component] += -(step + 1) // 2 if step % 2 else step // 2
        heads.append((widths, dc[component]))
    masks = [bits.take(sum(SIZES[: len(widths)])) for widths, _ in heads]
    blocks = []
    for (widths, first), mask in zip(heads, masks, strict=True):
        block, begin = [first] + [0] * 63, 0
        for size, code in zip(SIZES, widths, strict=False):
            places = [begin + i for i in range(size) if mask >> (begin + i) & 1]
            values = [bits.take(7 if code == 7 else WIDTHS[code]) for _ in places]
            if code == 7:
                values = [value + (bits.take(4) << 7) for value in values]
            for place, value in zip(places, values, strict=True):
                block[1 + place] = -((value >> 1) + 1) if value & 1 else (value >> 1) + 1
            begin += size
        blocks.append(block)
    return blocks


def cheapest_selector(block):
    """The first of those that take the fewest bits; 255 unless one takes fewer than its escape does."""
    ends = np.cumsum(SIZES)
    groups = [
        [abs(value) for value in block[1 + end - size : 1 + end] if value]
        for size, end in zip(SIZES, ends, strict=True)
    ]
    while groups and not groups[-1]:
        groups.pop()
    widths = [*WIDTHS[:7], 11]
    needed = [
        next(code for code in range(8) if code and max(group) <= 1 << (widths[code] - 1)) if group else 0
        for group in groups
    ]

    def cost(codes):
        if len(codes) < len(needed) or any(code < least for code, least in zip(codes, needed, strict=False)):
            return np.inf
        values = sum(len(group) * widths[code] for group, code in zip(groups, codes, strict=False))
        return values + (ends[len(codes) - 1] if codes else 0)

    costs = [*map(cost, SELECTORS), cost(needed) + 4 + 3 * len(needed)]
    best = int(np.argmin(costs))
    return 255 if costs[best] == costs[-1] else best


def segment(kind, content):
    return struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content


def put(value, size):
    """The bits that follow a Huffman code."""
    return f"{value if value >= 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def as_jpeg(frame):
    """Write a JPEG of a frame's coefficients, with Huffman codes of one length."""
    components = len(frame.tables)
    data = b"\xff\xd8"
    adobe, jfif = b"Adobe\0\x64\0\0\0\0\0", b"JFIF\0\1\1\0\0\1\0\1\0\0"
    data += segment(0xEE, adobe) if frame.colors == 2 else segment(0xE0, jfif)
    for number, table in enumerate(frame.tables):
        data += segment(0xDB, bytes([0x10 | number]) + struct.pack(">64H", *table))
    samplings = [frame.sampling, 0x11, 0x11][:components]
    data += segment(
        0xC1,
        struct.pack(">BHHB", 8, frame.height, frame.width, components)
        + b"".join(bytes([c + 1, sampling, c]) for c, sampling in enumerate(samplings)),
    )
    ac = [run << 4 | size for run in range(16) for size in range(1, 11)] + [0x00, 0xF0]
    data += segment(0xC4, bytes([0x00, 0, 0, 0, 12, *[0] * 12, *range(12)]))
    data += segment(0xC4, bytes([0x10, *[0] * 7, len(ac), *[0] * 8, *ac]))
    data += segment(0xDA, bytes([components, *[n for c in range(components) for n in (c + 1, 0)], 0, 63, 0]))
    bits = []
    luma = len(frame.blocks[0][0]) - components + 1
    dc = [0] * components
    for block, component in (
        (block, max(0, number - luma + 1))
        for row in frame.blocks
        for mcu in row
        for number, block in enumerate(mcu)
    ):
        step, dc[component] = block[0] - dc[component], block[0]
        size = abs(step).bit_length()
        bits += [f"{size:04b}", put(step, size)]
        run = 0
        last = max((k for k in range(64) if block[k]), default=0)
        for value in block[1 : last + 1]:
            if not value:
                run += 1
                continue
            bits += [f"{ac.index(0xF0):08b}"] * (run // 16)
            size = abs(value).bit_length()
            bits += [f"{ac.index(run % 16 << 4 | size):08b}", put(value, size)]
            run = 0
        if last < 63:
            bits.append(f"{ac.index(0):08b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return data + int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0") + b"\xff\xd9"
