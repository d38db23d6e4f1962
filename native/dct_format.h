// The header of a dct frame: quantised coefficients of a JPEG in a code that is made for reading.
// docs/formats.md describes the format byte for byte. No byte outside the frame is read: parse()
// checks the layout against the frame's size.
#pragma once

#include <algorithm>

#include "checksum.h"
#include "jpeg.h"

namespace fastclips::dct {

using jpeg::Box;
using jpeg::Bytes;
using jpeg::Frame;
using jpeg::Table;

inline constexpr std::array<std::uint8_t, 4> kMagic = {0x8f, 'F', 'C', 'D'};
inline constexpr std::uint8_t kVersion = 1;
// Offsets in the header.
inline constexpr std::size_t kVersionAt = 4, kSamplingAt = 5, kFlagsAt = 6, kQualityAt = 7;
inline constexpr std::size_t kHeightAt = 8, kWidthAt = 10, kChecksumAt = 12, kHeader = 16;
// Flags: two bits for the colours, one for offsets of four bytes instead of two.
inline constexpr std::uint8_t kColors = 3, kGray = 0, kYcc = 1, kRgb = 2, kLong = 4;
// Before tables that are not the standard ones: their number, a bit for two bytes per entry; and
// two bits for the table of each component.
inline constexpr std::uint8_t kTableCount = 3, kWideEntries = 0x80;
inline constexpr std::uint32_t kAnchor = 16;         // MCUs from one anchor of a row to the next
inline constexpr std::uint32_t kLeastBlock = 13;     // bits
inline constexpr std::uint32_t kMostRow = 1u << 28;  // bytes

inline std::uint32_t load16(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0] | at[1] << 8);
}
inline std::uint32_t load32(const std::uint8_t* at) { return load16(at) | load16(at + 2) << 16; }

inline bool is_dct(Bytes file) {
    return file.size >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), file.data);
}

// Whether the components of a parsed frame are YCbCr or gray, not RGB.
inline bool is_ycc_or_gray(Bytes file) { return (file.data[kFlagsAt] & kColors) != kRgb; }

// The checksum of a frame, of all bytes but its own.
inline std::uint32_t checksum(Bytes file) {
    return crc32c(crc32c(0, file.data, kChecksumAt), file.data + kHeader, file.size - kHeader);
}

// A standard quantisation table (T.81, annex K) at a quality of libjpeg's, 1 to 100, in natural
// order.
inline Table standard_table(std::uint32_t quality, bool chroma) {
    constexpr std::array<std::uint8_t, 64> kLuma = {
        16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
        14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
        18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};
    constexpr std::array<std::uint8_t, 64> kChroma = {
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
        99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};
    const std::uint32_t scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    Table table;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t value = ((chroma ? kChroma : kLuma)[i] * scale + 50) / 100;
        table[i] = static_cast<std::uint16_t>(std::clamp(value, 1u, 255u));
    }
    return table;
}

// The parts of a frame behind the header and the tables.
struct Layout {
    std::uint32_t rows, columns, blocks;  // of MCUs; blocks in each
    std::uint32_t per_row;                // anchors of a row
    std::size_t unit, anchor;             // bytes of an offset, of an anchor
    std::size_t ends, anchors, data;      // offsets in the file
};

inline Layout layout_of(Bytes file, const Frame& frame) {
    Layout layout{};
    layout.rows = frame.mcu_rows();
    layout.columns = frame.mcus_per_row();
    layout.blocks = frame.mcu_width / 8 * (frame.mcu_height / 8) + frame.components - 1;
    layout.per_row = (layout.columns - 1) / kAnchor;
    layout.unit = file.data[kFlagsAt] & kLong ? 4 : 2;
    layout.anchor = layout.unit + 2 * frame.components;
    layout.ends = frame.scan;
    layout.anchors = layout.ends + layout.unit * layout.rows;
    layout.data = layout.anchors + layout.anchor * layout.per_row * layout.rows;
    return layout;
}

// The quantisation table of each component of a parsed frame, in natural order.
inline std::array<Table, 3> quantizers_of(Bytes file, const Frame& frame) {
    std::array<Table, 3> tables{};
    const std::uint8_t quality = file.data[kQualityAt];
    for (std::uint32_t c = 0; c < frame.components; ++c) {
        if (quality != 0) {
            tables[c] = c < 2 ? standard_table(quality, c == 1) : tables[1];
            continue;
        }
        const std::size_t entry = file.data[kHeader] & kWideEntries ? 2 : 1;
        const std::size_t number = file.data[kHeader + 1] >> (2 * c) & 3;
        const std::uint8_t* from = file.data + kHeader + 2 + 64 * entry * number;
        for (std::size_t k = 0; k < 64; ++k, from += entry)
            tables[c][jpeg::kPositions[k]] =
                static_cast<std::uint16_t>(entry == 2 ? load16(from) : *from);
    }
    return tables;
}

inline std::uint32_t load_offset(const std::uint8_t* at, std::size_t unit) {
    return unit == 2 ? load16(at) : load32(at);
}

// Why a frame cannot be read.
enum class Problem : std::uint8_t { kNone, kCutShort, kWrongChecksum, kOtherVersion, kWrongHeader };

// Read the header of a frame, and verify its checksum. In the result, `scan` is the offset of the
// rows' ends.
inline Problem parse(Bytes file, Frame& frame) {
    frame = {};
    if (!is_dct(file)) return Problem::kWrongHeader;
    if (file.size < kHeader) return Problem::kCutShort;
    // The version comes first: others may place the checksum elsewhere.
    if (file.data[kVersionAt] != kVersion) return Problem::kOtherVersion;
    if (file.size > UINT32_MAX || checksum(file) != load32(file.data + kChecksumAt))
        return Problem::kWrongChecksum;
    const std::uint8_t sampling = file.data[kSamplingAt], flags = file.data[kFlagsAt];
    const std::uint8_t colors = flags & kColors;
    if (colors > kRgb || (flags & ~(kColors | kLong)) != 0) return Problem::kWrongHeader;
    const bool usual =
        sampling == 0x11 || (colors != kGray && (sampling == 0x21 || sampling == 0x12 ||
                                                 sampling == 0x22 || sampling == 0x41));
    if (!usual || file.data[kQualityAt] > 100) return Problem::kWrongHeader;
    frame.height = load16(file.data + kHeightAt);
    frame.width = load16(file.data + kWidthAt);
    frame.components = colors == kGray ? 1 : 3;
    frame.mcu_width = 8u * (sampling >> 4);
    frame.mcu_height = 8u * (sampling & 15);
    if (frame.height == 0 || frame.width == 0 || frame.height > jpeg::kLargest ||
        frame.width > jpeg::kLargest || std::max(frame.height, frame.width) < jpeg::kSmallest)
        return Problem::kWrongHeader;
    frame.scan = kHeader;
    if (file.data[kQualityAt] == 0) {
        if (file.size < kHeader + 2) return Problem::kWrongHeader;
        const std::uint8_t kind = file.data[kHeader], choice = file.data[kHeader + 1];
        const std::uint32_t count = kind & kTableCount;
        if (count == 0 || (kind & ~(kTableCount | kWideEntries)) != 0 ||
            choice >> (2 * frame.components) != 0)
            return Problem::kWrongHeader;
        for (std::uint32_t c = 0; c < frame.components; ++c)
            if ((choice >> (2 * c) & 3u) >= count) return Problem::kWrongHeader;
        frame.scan += 2 + count * 64 * (kind & kWideEntries ? 2 : 1);
    }
    const Layout layout = layout_of(file, frame);
    if (layout.data > file.size) return Problem::kWrongHeader;
    const std::size_t bytes = file.size - layout.data;
    if (load_offset(file.data + layout.anchors - layout.unit, layout.unit) != bytes ||
        std::uint64_t{layout.rows} * layout.columns * layout.blocks * kLeastBlock > 8 * bytes)
        return Problem::kWrongHeader;
    frame.simple = frame.packed = true;
    return Problem::kNone;
}

inline std::optional<Frame> parse(Bytes file) {
    Frame frame;
    if (parse(file, frame) != Problem::kNone) return std::nullopt;
    return frame;
}

// Write a JPEG's header for a picture as large as a box of the frame, with Huffman tables of a
// single code, which nothing is decoded by. `out` has room for kJpegHeader bytes.
inline constexpr std::size_t kJpegHeader = 640;
inline std::size_t write_header(Bytes file, const Frame& frame, Box box, std::uint8_t* out) {
    std::uint8_t* to = out;
    const auto append = [&to](std::initializer_list<std::uint32_t> bytes) {
        for (const std::uint32_t byte : bytes) *to++ = static_cast<std::uint8_t>(byte);
    };
    append({jpeg::kMark, jpeg::kSoi});
    if ((file.data[kFlagsAt] & kColors) == kRgb) {
        append({jpeg::kMark, jpeg::kApp14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0});
    } else {
        append({jpeg::kMark, jpeg::kApp0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0});
    }
    const std::uint8_t quality = file.data[kQualityAt];
    const std::uint8_t choice = quality == 0 ? file.data[kHeader + 1] : 0x14;
    if (quality != 0) {
        for (std::uint32_t i = 0; i < (frame.components == 1 ? 1u : 2u); ++i) {
            append({jpeg::kMark, jpeg::kDqt, 0, 67, i});
            const Table table = standard_table(quality, i == 1);
            for (std::size_t k = 0; k < 64; ++k) append({table[jpeg::kPositions[k]]});
        }
    } else {
        const std::uint8_t kind = file.data[kHeader];
        const bool wide = (kind & kWideEntries) != 0;
        const std::uint8_t* from = file.data + kHeader + 2;
        for (std::uint32_t i = 0; i < (kind & kTableCount); ++i) {
            append({jpeg::kMark, jpeg::kDqt, 0, wide ? 131u : 67u, (wide ? 0x10u : 0u) | i});
            for (std::size_t k = 0; k < 64; ++k, from += wide ? 2 : 1)
                wide ? append({from[1], from[0]}) : append({from[0]});
        }
    }
    const std::uint32_t height = box.bottom - box.top, width = box.right - box.left;
    // A baseline file has tables of bytes.
    const bool baseline = quality != 0 || (file.data[kHeader] & kWideEntries) == 0;
    append({jpeg::kMark, baseline ? jpeg::kSof0 : jpeg::kSof1, 0, 8 + 3 * frame.components, 8,
            height >> 8, height & 255, width >> 8, width & 255, frame.components});
    for (std::uint32_t c = 0; c < frame.components; ++c)
        append({c + 1, c == 0 ? file.data[kSamplingAt] : 0x11u, choice >> (2 * c) & 3u});
    to = jpeg::write_single_codes(to);
    append({jpeg::kMark, jpeg::kSos, 0, 6 + 2 * frame.components, frame.components});
    for (std::uint32_t c = 0; c < frame.components; ++c) append({c + 1, 0});
    append({0, 63, 0});
    return static_cast<std::size_t>(to - out);
}

}  // namespace fastclips::dct
