// Usual PNG files: 8 bits, not interlaced. No Python.
//
// What is unusual or damaged in any way is left to Pillow. As by Pillow, the checksums of the
// pixels' chunks are not looked at: the compressed data have one of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "inflate.h"

namespace fastclips::png {

struct Wanted {
    std::uint32_t height, width;
    std::uint32_t channels;  // 1 or 3
    bool indices;            // of a palette are taken, too
};

namespace detail {

inline constexpr std::array<std::uint32_t, 256> kRemainders = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0xedb88320U : 0U);
        table[byte] = rest;
    }
    return table;
}();

inline std::uint32_t crc32(const std::uint8_t* at, std::size_t size) {
    std::uint32_t rest = ~0U;
    for (; size > 0; ++at, --size) rest = rest >> 8 ^ kRemainders[(rest ^ *at) & 255];
    return ~rest;
}

inline std::uint32_t number(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0]) << 24 | static_cast<std::uint32_t>(at[1]) << 16 |
           static_cast<std::uint32_t>(at[2]) << 8 | at[3];
}

inline bool is_named(const std::uint8_t* at, const char* name) {
    return std::memcmp(at, name, 4) == 0;
}

// Chunks that say nothing about the pixels.
inline bool is_aside(const std::uint8_t* name) {
    constexpr std::array<const char*, 9> kAside{"tRNS", "pHYs", "gAMA", "sRGB", "cHRM",
                                                "tIME", "bKGD", "sBIT", "tEXt"};
    for (const char* const aside : kAside)
        if (is_named(name, aside)) return true;
    return false;
}

struct Part {
    const std::uint8_t* data;
    std::size_t size;
};

constexpr std::size_t kAround = 12;          // bytes of a chunk around its data
constexpr std::size_t kLongAside = 2 << 16;  // bytes

// The parts of the compressed data; none if the file is unusual or damaged.
inline std::vector<Part> find_parts(const std::uint8_t* file, std::size_t size,
                                    const Wanted& wanted) {
    constexpr std::array<std::uint8_t, 8> kMagic{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    constexpr std::size_t kHeader = 13;
    std::vector<Part> parts;
    if (size < kMagic.size() || std::memcmp(file, kMagic.data(), kMagic.size()) != 0) return {};
    bool palette = false, after = false;
    std::uint8_t colors = 0;
    for (std::size_t at = kMagic.size(), chunk = 0;; ++chunk) {
        if (size - at < kAround) return {};
        const std::uint8_t* const name = file + at + 4;
        const std::uint8_t* const data = name + 4;
        const std::size_t length = number(file + at);
        if (length > size - at - kAround) return {};
        at += kAround + length;
        if (is_named(name, "IDAT")) {
            if (after || chunk == 0 || (colors == 3 && !palette)) return {};
            parts.push_back({data, length});
            continue;
        }
        after = !parts.empty();
        if (length > kLongAside || number(data + length) != crc32(name, 4 + length)) return {};
        if (is_named(name, "IEND")) return length == 0 ? parts : std::vector<Part>{};
        if (chunk == 0) {
            if (!is_named(name, "IHDR") || length != kHeader) return {};
            colors = data[9];
            const bool fits =
                wanted.channels == 3 ? colors == 2 : colors == 0 || (colors == 3 && wanted.indices);
            if (number(data) != wanted.width || number(data + 4) != wanted.height || data[8] != 8 ||
                !fits || data[10] != 0 || data[11] != 0 || data[12] != 0)
                return {};
        } else if (is_named(name, "PLTE")) {
            if (palette || after || colors != 3 || length == 0 || length > 768 || length % 3 != 0)
                return {};
            palette = true;
        } else if (!is_aside(name)) {
            return {};
        }
    }
}

inline std::uint8_t predict(int left, int above, int corner) {
    const int by_left = std::abs(above - corner), by_above = std::abs(left - corner);
    const int by_corner = std::abs(left + above - 2 * corner);
    return static_cast<std::uint8_t>(by_left <= by_above && by_left <= by_corner ? left
                                     : by_above <= by_corner                     ? above
                                                                                 : corner);
}

// A row of bytes, from its filter; `above` is the row before it. False if there is no such filter.
template <std::size_t C>
bool unfilter(std::uint8_t filter, const std::uint8_t* from, const std::uint8_t* above,
              std::size_t size, std::uint8_t* to) {
    const auto byte = [](int sum) { return static_cast<std::uint8_t>(sum); };
    switch (filter) {
        case 0:
            std::memcpy(to, from, size);
            return true;
        case 1:
            std::memcpy(to, from, C);
            for (std::size_t i = C; i < size; ++i) to[i] = byte(from[i] + to[i - C]);
            return true;
        case 2:
            for (std::size_t i = 0; i < size; ++i) to[i] = byte(from[i] + above[i]);
            return true;
        case 3:
            for (std::size_t i = 0; i < C; ++i) to[i] = byte(from[i] + (above[i] >> 1));
            for (std::size_t i = C; i < size; ++i)
                to[i] = byte(from[i] + ((to[i - C] + above[i]) >> 1));
            return true;
        case 4:
            for (std::size_t i = 0; i < C; ++i) to[i] = byte(from[i] + above[i]);
            for (std::size_t i = C; i < size; ++i)
                to[i] = byte(from[i] + predict(to[i - C], above[i], above[i - C]));
            return true;
        default:
            return false;
    }
}

}  // namespace detail

// Decodes PNG files into memory that each call uses again.
class Decoder {
  public:
    // Write the pixels of a file, rows without gaps. False if it is left to Pillow: the output then
    // holds anything.
    bool decode(const std::uint8_t* file, std::size_t size, const Wanted& wanted,
                std::uint8_t* to) {
        const auto parts = detail::find_parts(file, size, wanted);
        if (parts.empty()) return false;
        detail::Part data = parts.front();
        if (parts.size() > 1) {
            joined_.clear();
            for (const auto& part : parts)
                joined_.insert(joined_.end(), part.data, part.data + part.size);
            data = {joined_.data(), joined_.size()};
        }
        const std::size_t row = std::size_t{wanted.width} * wanted.channels;
        rows_.resize((row + 1) * wanted.height);
        const bool done = zlib::inflate(data.data, data.size, rows_.data(), rows_.size()) &&
                          unfilter_all(wanted, row, to);
        for (auto* const memory : {&joined_, &rows_})
            if (memory->capacity() > kKept) std::vector<std::uint8_t>().swap(*memory);
        return done;
    }

  private:
    bool unfilter_all(const Wanted& wanted, std::size_t row, std::uint8_t* to) {
        zeros_.assign(row, 0);
        const auto unfilter = wanted.channels == 3 ? detail::unfilter<3> : detail::unfilter<1>;
        const std::uint8_t *from = rows_.data(), *above = zeros_.data();
        for (std::uint32_t y = 0; y < wanted.height; ++y, from += row + 1, above = to, to += row)
            if (!unfilter(*from, from + 1, above, row, to)) return false;
        return true;
    }

    static constexpr std::size_t kKept = 1 << 22;  // bytes: larger memory is given back
    std::vector<std::uint8_t> joined_, rows_, zeros_;
};

}  // namespace fastclips::png
