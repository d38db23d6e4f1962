// CRC-32C of bytes: the checksum of iSCSI and ext4, for which CPUs have an instruction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

#include "cpu.h"

namespace fastclips {

namespace detail {

// Tables for eight bytes at a time: entry [i][b] is the remainder of byte b followed by i zeros.
inline constexpr std::array<std::array<std::uint32_t, 256>, 8> kRemainders = [] {
    constexpr std::uint32_t kPolynomial = 0x82f63b78;  // bits reversed
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? kPolynomial : 0);
        tables[0][byte] = rest;
    }
    for (std::size_t i = 1; i < 8; ++i)
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[i - 1][byte];
            tables[i][byte] = before >> 8 ^ tables[0][before & 255];
        }
    return tables;
}();

inline std::uint32_t crc_by_table(std::uint32_t rest, const std::uint8_t* at, std::size_t size) {
    const auto& tables = kRemainders;
    for (; size >= 8; at += 8, size -= 8) {
        const std::uint32_t low = rest ^ (at[0] | static_cast<std::uint32_t>(at[1]) << 8 |
                                          static_cast<std::uint32_t>(at[2]) << 16 |
                                          static_cast<std::uint32_t>(at[3]) << 24);
        rest = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
               tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
               tables[0][at[7]];
    }
    for (; size > 0; ++at, --size) rest = rest >> 8 ^ tables[0][(rest ^ *at) & 255];
    return rest;
}

#ifdef __x86_64__
// The instruction can begin each cycle, but its result takes three. So three stretches of bytes
// are summed at once, as if each followed zeros, and put together: entry [i][b] is what byte i of a
// sum, of value b, becomes behind as many zeros as a stretch has bytes.
inline constexpr std::size_t kStretch = 512;
inline constexpr std::array<std::array<std::uint32_t, 256>, 4> kBehindZeros = [] {
    std::array<std::array<std::uint32_t, 256>, 4> tables{};
    for (std::size_t i = 0; i < 4; ++i)
        for (std::uint32_t bit = 1; bit < 256; bit <<= 1) {
            std::uint32_t rest = bit << (8 * i);
            for (std::size_t n = 0; n < kStretch; ++n)
                rest = rest >> 8 ^ kRemainders[0][rest & 255];
            for (std::uint32_t below = 0; below < bit; ++below)
                tables[i][bit + below] = rest ^ tables[i][below];
        }
    return tables;
}();
inline std::uint32_t behind_zeros(std::uint64_t rest) {
    return kBehindZeros[0][rest & 255] ^ kBehindZeros[1][rest >> 8 & 255] ^
           kBehindZeros[2][rest >> 16 & 255] ^ kBehindZeros[3][rest >> 24 & 255];
}

[[gnu::target("sse4.2")]] inline std::uint32_t crc_by_instruction(std::uint32_t rest,
                                                                  const std::uint8_t* at,
                                                                  std::size_t size) {
    const auto word_at = [](const std::uint8_t* from) {
        unsigned long long word;
        std::memcpy(&word, from, sizeof word);
        return word;
    };
    for (; size >= 3 * kStretch; at += 3 * kStretch, size -= 3 * kStretch) {
        unsigned long long first = rest, second = 0, third = 0;
        for (std::size_t i = 0; i < kStretch; i += 8) {
            first = _mm_crc32_u64(first, word_at(at + i));
            second = _mm_crc32_u64(second, word_at(at + kStretch + i));
            third = _mm_crc32_u64(third, word_at(at + 2 * kStretch + i));
        }
        rest = behind_zeros(behind_zeros(first) ^ second) ^ static_cast<std::uint32_t>(third);
    }
    std::uint64_t wide = rest;
    for (; size >= 8; at += 8, size -= 8) wide = _mm_crc32_u64(wide, word_at(at));
    rest = static_cast<std::uint32_t>(wide);
    for (; size > 0; ++at, --size) rest = _mm_crc32_u8(rest, *at);
    return rest;
}
#endif

}  // namespace detail

// The checksum of bytes that follow others: `before` is the checksum of those, 0 for none.
inline std::uint32_t crc32c(std::uint32_t before, const std::uint8_t* at, std::size_t size) {
#ifdef __x86_64__
    static const bool instruction = cpu_has_crc32c();
    if (instruction) return ~detail::crc_by_instruction(~before, at, size);
#endif
    return ~detail::crc_by_table(~before, at, size);
}

}  // namespace fastclips
