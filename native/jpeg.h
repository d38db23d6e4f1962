// Read the markers of a JPEG. Nothing is decoded, and no byte outside the file is read: parse()
// checks every length against the file's size.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

namespace fastclips::jpeg {

struct Bytes {
    const std::uint8_t* data;
    std::size_t size;

    std::uint32_t two(std::size_t at) const {  // big-endian, like all numbers in a JPEG
        return static_cast<std::uint32_t>(data[at] << 8 | data[at + 1]);
    }
};

struct Box {  // in pixels; bottom and right are excluded
    std::uint32_t top, left, bottom, right;
};

inline constexpr std::uint8_t kMark = 0xff, kRst0 = 0xd0, kSoi = 0xd8, kEoi = 0xd9, kSos = 0xda;
inline constexpr std::uint8_t kDqt = 0xdb, kDri = 0xdd, kApp0 = 0xe0, kApp14 = 0xee, kApp15 = 0xef;
inline constexpr std::uint8_t kSof0 = 0xc0, kSof1 = 0xc1, kDht = 0xc4, kJpg = 0xc8, kDac = 0xcc;
inline constexpr std::uint8_t kSof15 = 0xcf, kCom = 0xfe;
inline constexpr std::uint32_t kLargest = 65500;  // pixels of a side: libjpeg's limit
// Pixels of the longer side: below, simplejpeg decides on the scale, so native code decodes
// nothing.
inline constexpr std::uint32_t kSmallest = 8;
inline constexpr std::uint64_t kPixelsPerByte = 8 * 64;  // at most: one bit for a block of 8 x 8
inline constexpr std::size_t kPieces = 8;                // of a header to copy, at most

using Block = short[64];  // coefficients in natural order; libjpeg's JBLOCK

// Zigzag order (T.81, figure A.6). Coefficients past a block's end go to position 0, which is
// overwritten last.
using Positions = std::array<std::uint8_t, 256>;
inline constexpr Positions kPositions = [] {
    Positions positions{};
    for (int x = 0, y = 0, i = 0; i < 64; ++i) {
        positions[i] = static_cast<std::uint8_t>(8 * y + x);
        const bool up = (x + y) % 2 == 0;
        if (up && (x == 7 || y == 0)) {
            (x == 7 ? y : x) += 1;
        } else if (!up && (y == 7 || x == 0)) {
            (y == 7 ? x : y) += 1;
        } else {
            x += up ? 1 : -1;
            y += up ? -1 : 1;
        }
    }
    return positions;
}();

// A quantisation table.
using Table = std::array<std::uint16_t, 64>;

// The header of a file, up to its first scan.
struct Frame {
    std::uint32_t height = 0, width = 0, components = 0;
    std::uint32_t mcu_height = 8, mcu_width = 8;  // pixels; valid if simple
    std::uint32_t interval = 0;                   // MCUs between restart markers, or 0
    std::size_t scan = 0;                         // offset of the entropy-coded data
    // Whether the file is one sequential Huffman scan of all components, in a usual subsampling.
    bool simple = false;
    bool packed = false;  // whether it is a dct frame instead, see dct_format.h

    struct Piece {
        std::size_t begin, end;
    };
    // The parts of the header that say how coefficients become pixels, without the scan's header.
    std::array<Piece, kPieces> pieces{};
    std::size_t piece_count = 0;
    std::size_t sof = 0, sos = 0;  // offsets of these markers
    // Offsets of the counts of each Huffman table: 4 for DC, then 4 for AC; 0 for none.
    std::array<std::size_t, 8> tables{};
    std::uint8_t quantizers = 0;  // a bit for each quantisation table present

    std::uint32_t mcus_per_row() const { return (width + mcu_width - 1) / mcu_width; }
    std::uint32_t mcu_rows() const { return (height + mcu_height - 1) / mcu_height; }
};

namespace detail {

inline bool read_sof(Bytes file, std::size_t at, std::uint32_t length, Frame& frame) {
    if (length < 8 || file.data[at + 4] != 8) return false;  // bits
    frame.height = file.two(at + 5);
    frame.width = file.two(at + 7);
    frame.components = file.data[at + 9];
    if (frame.height == 0 || frame.width == 0 || frame.height > kLargest || frame.width > kLargest)
        return false;
    if (std::uint64_t{frame.height} * frame.width > kPixelsPerByte * file.size) return false;
    if (length != 8 + 3 * frame.components || frame.sof != 0) return false;
    frame.sof = at;
    const std::uint8_t kind = file.data[at + 1];
    frame.simple = kind == kSof0 || kind == kSof1;
    if (frame.components != 1 && frame.components != 3) {
        frame.simple = false;
        return true;
    }
    const std::uint8_t first = file.data[at + 11];  // horizontal and vertical samples, 4 bits each
    for (std::uint32_t other = 1; other < frame.components; ++other)
        if (file.data[at + 11 + 3 * other] != 0x11) frame.simple = false;
    const bool usual = first == 0x11 || (frame.components == 3 && (first == 0x21 || first == 0x12 ||
                                                                   first == 0x22 || first == 0x41));
    if (!usual) {
        frame.simple = false;
        return true;
    }
    frame.mcu_width = 8u * (first >> 4);
    frame.mcu_height = 8u * (first & 15);
    return true;
}

// Whether the scan holds all of each component, in SOF's order, and all their tables are present:
// libjpeg would use the previous file's tables for those that are missing.
inline bool whole_scan(Bytes file, std::size_t at, const Frame& frame) {
    if (file.data[at + 4] != frame.components) return false;
    for (std::uint32_t c = 0; c < frame.components; ++c) {
        const std::uint8_t* component = file.data + frame.sof + 10 + 3 * c;  // id, samples, table
        for (std::uint32_t before = 0; before < c; ++before)
            if (file.data[frame.sof + 10 + 3 * before] == component[0]) return false;
        const std::uint8_t id = file.data[at + 5 + 2 * c], tables = file.data[at + 6 + 2 * c];
        if (id != component[0] || component[2] > 3 || (tables >> 4) > 3 || (tables & 15) > 3)
            return false;
        if ((frame.quantizers >> component[2] & 1) == 0 || frame.tables[tables >> 4] == 0 ||
            frame.tables[4u + (tables & 15u)] == 0)
            return false;
    }
    const std::uint8_t* bands = file.data + at + 5 + 2 * frame.components;
    return bands[0] == 0 && bands[1] == 63 && bands[2] == 0;
}

// Store the offsets of Huffman tables; false if they are cut short.
inline bool read_tables(Bytes file, std::size_t at, std::size_t end, Frame& frame) {
    while (at < end) {
        const std::uint8_t name = file.data[at];  // class (DC or AC) and number
        if (end - at < 17 || (name & 15) > 3 || name >> 4 > 1) return false;
        std::size_t size = 17;
        for (std::size_t i = 1; i < 17; ++i) size += file.data[at + i];
        if (size > 17 + 256 || end - at < size) return false;
        frame.tables[4u * (name >> 4) + (name & 3u)] = at + 1;
        at += size;
    }
    return true;
}

inline bool read_quantizers(Bytes file, std::size_t at, std::size_t end, Frame& frame) {
    while (at < end) {
        const std::uint8_t name = file.data[at];  // width of entries and number
        const std::size_t size = 1 + 64 * (1u + (name >> 4));
        if ((name & 15) > 3 || name >> 4 > 1 || end - at < size) return false;
        frame.quantizers = static_cast<std::uint8_t>(frame.quantizers | 1u << (name & 3));
        at += size;
    }
    return true;
}

inline void keep(Frame& frame, std::size_t begin, std::size_t end) {
    if (frame.piece_count > 0 && frame.pieces[frame.piece_count - 1].end == begin) {
        frame.pieces[frame.piece_count - 1].end = end;
    } else if (frame.piece_count < kPieces) {
        frame.pieces[frame.piece_count++] = {begin, end};
    } else {
        frame.simple = false;
    }
}

}  // namespace detail

// Read a header up to the first scan. Returns nothing if the file is no JPEG, ends before the scan,
// has more pixels in its header than it can hold, or is of an unusual kind (12 bits, arithmetic,
// lossless, hierarchical, padded): libjpeg decides on these.
inline std::optional<Frame> parse(Bytes file) {
    Frame frame;
    if (file.size < 4 || file.size > UINT32_MAX || file.data[0] != kMark || file.data[1] != kSoi)
        return std::nullopt;
    detail::keep(frame, 0, 2);
    std::size_t at = 2;
    for (;;) {
        if (file.size - at < 4 || file.data[at] != kMark) return std::nullopt;
        const std::uint8_t kind = file.data[at + 1];
        const std::uint32_t length = file.two(at + 2);  // counts itself, not the marker
        if (length < 2 || file.size - at - 2 < length) return std::nullopt;
        const std::size_t end = at + 2 + length;
        if (kind == kSos) {
            if (frame.sof == 0 || length < 3) return std::nullopt;
            const std::uint32_t count = file.data[at + 4];
            if (length != 6 + 2 * count) return std::nullopt;
            frame.simple = frame.simple && detail::whole_scan(file, at, frame);
            frame.sos = at;
            frame.scan = end;
            return frame;
        }
        if (kind >= kSof0 && kind <= kSof15 && kind != kDht && kind != kJpg && kind != kDac) {
            if (kind > 0xc2 || !detail::read_sof(file, at, length, frame)) return std::nullopt;
            detail::keep(frame, at, end);
        } else if (kind == kDri || kind == kDht || kind == kDqt || kind == kApp0 ||
                   kind == kApp14) {
            // Only the metadata of JFIF and Adobe say what the components mean.
            if (kind == kDri && length != 4) return std::nullopt;
            if (kind == kDri) frame.interval = file.two(at + 4);
            if (kind == kDht && !detail::read_tables(file, at + 4, end, frame)) return std::nullopt;
            if (kind == kDqt && !detail::read_quantizers(file, at + 4, end, frame))
                return std::nullopt;
            if (kind != kDri && kind != kDht) detail::keep(frame, at, end);
        } else if (kind != kCom && (kind < kApp0 || kind > kApp15)) {
            return std::nullopt;
        }
        at = end;
    }
}

// What the header of a parsed file says of its colours, beside the names of its components.
struct ColorMarkers {
    bool jfif = false, adobe = false;
    bool other_version = false;  // of JFIF, which libjpeg warns of
    std::uint8_t transform = 0;  // Adobe's number for that of colours
};

inline ColorMarkers color_markers_of(Bytes file, const Frame& frame) {
    ColorMarkers found;
    for (std::size_t at = 2; at < frame.sos; at += 2 + file.two(at + 2)) {
        const std::uint8_t kind = file.data[at + 1];
        const auto begins = [&](const char* name, std::size_t size) {
            return 2u + file.two(at + 2) >= size && std::memcmp(file.data + at + 4, name, 5) == 0;
        };
        if (kind == kApp0 && begins("JFIF", 18)) {
            found.jfif = true;
            found.other_version = found.other_version || file.data[at + 9] != 1;
        }
        if (kind == kApp14 && begins("Adobe", 16)) {
            found.adobe = true;
            found.transform = file.data[at + 15];
        }
    }
    return found;
}

// Whether libjpeg takes the components of a parsed file for YCbCr or gray, without a warning.
inline bool is_ycc_or_gray(Bytes file, const Frame& frame) {
    const ColorMarkers markers = color_markers_of(file, frame);
    if (markers.other_version) return false;
    if (frame.components == 1 || markers.jfif) return true;
    if (markers.adobe) return markers.transform == 1;
    for (std::uint32_t c = 0; c < 3; ++c)
        if (file.data[frame.sof + 10 + 3 * c] != c + 1) return false;
    return true;
}

// The quantisation table of each component of a parsed, simple file, in natural order.
inline std::array<Table, 3> quantizers_of(Bytes file, const Frame& frame) {
    std::array<Table, 4> tables{};
    for (std::size_t at = 2; at < frame.sos; at += 2 + file.two(at + 2)) {
        if (file.data[at + 1] != kDqt) continue;
        const std::size_t end = at + 2 + file.two(at + 2);
        for (std::size_t table = at + 4; table < end;) {
            const bool wide = file.data[table] >> 4 != 0;
            Table& to = tables[file.data[table] & 3];
            ++table;
            for (std::size_t k = 0; k < 64; ++k, table += wide ? 2 : 1)
                to[kPositions[k]] =
                    static_cast<std::uint16_t>(wide ? file.two(table) : file.data[table]);
        }
    }
    std::array<Table, 3> of_components{};
    for (std::uint32_t c = 0; c < frame.components; ++c)
        of_components[c] = tables[file.data[frame.sof + 12 + 3 * c] & 3];
    return of_components;
}

namespace detail {

// Call `found` with each 0xff in order, until it returns false. Only some dozen bytes lie between
// two of them, so a call of memchr for each would take longer than this search.
template <typename Found>
void find_marks(const std::uint8_t* at, const std::uint8_t* end, Found found) {
#ifdef __SSE2__
    const __m128i mark = _mm_set1_epi8(static_cast<char>(kMark));
    for (; end - at >= 64; at += 64) {
        std::uint64_t marks = 0;
        for (int i = 0; i < 64; i += 16) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i));
            const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, mark));
            marks |= std::uint64_t{static_cast<std::uint16_t>(equal)} << i;
        }
        for (; marks != 0; marks &= marks - 1)
            if (!found(at + __builtin_ctzll(marks))) return;
    }
#endif
    for (; at < end; ++at) {
        at = static_cast<const std::uint8_t*>(
            std::memchr(at, kMark, static_cast<std::size_t>(end - at)));
        if (at == nullptr || !found(at)) return;
    }
}

}  // namespace detail

// Find the segments between restart markers: starts[i] is the first byte of segment i, and
// starts[i + 1] - 2 its end, for the last segment, too. Returns false unless the markers are
// exactly those that the header implies, in order, and the scan ends with the image: only of such a
// file can a part be trusted.
inline bool find_segments(Bytes file, const Frame& frame, std::vector<std::uint32_t>& starts) {
    const std::uint64_t mcus = std::uint64_t{frame.mcus_per_row()} * frame.mcu_rows();
    const std::uint64_t count =
        frame.interval == 0 ? 1 : (mcus + frame.interval - 1) / frame.interval;
    starts.clear();
    if ((file.size - frame.scan) / 2 < count) return false;
    starts.reserve(count + 1);
    starts.push_back(static_cast<std::uint32_t>(frame.scan));
    bool whole = false;
    const auto add = [&](const std::uint8_t* at) {
        const std::uint8_t kind = at[1];
        if (kind == 0) return true;  // a stuffed byte of data
        starts.push_back(static_cast<std::uint32_t>(at + 2 - file.data));
        whole = kind == kEoi && starts.size() == count + 1;
        return kind == kRst0 + (starts.size() - 2) % 8 && starts.size() <= count;
    };
    detail::find_marks(file.data + frame.scan, file.data + file.size - 1, add);
    return whole;
}

// Whether a restart marker precedes each row of MCUs: a row is a whole number of segments.
inline bool can_slice(const Frame& frame) {
    return frame.interval != 0 && frame.mcus_per_row() % frame.interval == 0;
}

// The smallest box of whole MCUs around a box, within the frame.
inline Box whole_mcus(const Frame& frame, Box box) {
    const auto up = [](std::uint32_t value, std::uint32_t unit, std::uint32_t most) {
        const std::uint32_t whole = (value + unit - 1) / unit * unit;
        return whole < most ? whole : most;
    };
    return {box.top / frame.mcu_height * frame.mcu_height,
            box.left / frame.mcu_width * frame.mcu_width,
            up(box.bottom, frame.mcu_height, frame.height),
            up(box.right, frame.mcu_width, frame.width)};
}

// Write Huffman tables of a single code each, kHeaderExtra bytes; returns their end.
inline constexpr std::size_t kHeaderExtra = 40;
inline std::uint8_t* write_single_codes(std::uint8_t* to) {
    constexpr std::uint8_t kTables[] = {kMark, kDht, 0, 38, 0x00, 1, 0, 0, 0,    0, 0, 0, 0, 0,
                                        0,     0,    0, 0,  0,    0, 0, 0, 0x10, 1, 0, 0, 0, 0,
                                        0,     0,    0, 0,  0,    0, 0, 0, 0,    0, 0, 0};
    static_assert(sizeof kTables == kHeaderExtra);
    std::memcpy(to, kTables, sizeof kTables);
    return to + sizeof kTables;
}

// Write a header for a picture as large as a box of the frame, without restart markers and with
// Huffman tables of a single code, which nothing is decoded by. `out` has room for frame.scan +
// kHeaderExtra bytes.
inline std::size_t write_header(Bytes file, const Frame& frame, Box box, std::uint8_t* out) {
    std::uint8_t* to = out;
    const auto append = [&to](const std::uint8_t* from, std::size_t size) {
        std::memcpy(to, from, size);
        to += size;
    };
    for (std::size_t i = 0; i < frame.piece_count; ++i) {
        const auto [begin, end] = frame.pieces[i];
        if (begin <= frame.sof && frame.sof < end) {
            const std::uint32_t height = box.bottom - box.top, width = box.right - box.left;
            const std::uint8_t size[] = {
                static_cast<std::uint8_t>(height >> 8), static_cast<std::uint8_t>(height),
                static_cast<std::uint8_t>(width >> 8), static_cast<std::uint8_t>(width)};
            append(file.data + begin, end - begin);
            std::memcpy(to - (end - frame.sof) + 5, size, sizeof size);
        } else {
            append(file.data + begin, end - begin);
        }
    }
    to = write_single_codes(to);
    append(file.data + frame.sos, frame.scan - frame.sos);
    for (std::uint32_t c = 0; c < frame.components; ++c)
        to[-static_cast<std::ptrdiff_t>(frame.scan - frame.sos) + 6 + 2 * c] = 0;
    return static_cast<std::size_t>(to - out);
}

}  // namespace fastclips::jpeg
