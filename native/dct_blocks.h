// The blocks of a dct frame: the code of their coefficients, and its plain reader.
//
// An MCU is the heads of all its blocks, then the masks of all, then the values of all. Bits are
// read from the low end of little-endian words. docs/formats.md has the whole code.
//
//   head     selector, class of the DC difference, the difference
//   mask     a bit for each AC position in zigzag order, as far as the groups go
//   values   of each group, the values whose bit is set, in a width of the group
//
// Heads say how long masks are, and masks how long values are: three short chains of dependent
// steps instead of one that is as long as the block.
#pragma once

#include <type_traits>

#include "dct_format.h"

namespace fastclips::dct {

using jpeg::Block;
using jpeg::kPositions;

inline constexpr std::uint32_t kGroups = 9;
inline constexpr std::array<std::uint8_t, kGroups> kGroupSize = {5, 4, 8, 8, 8, 8, 8, 8, 6};
// The first bit of each group in a mask; of as many groups as there are, the length of the mask.
inline constexpr std::array<std::uint8_t, kGroups + 1> kGroupBegin = {0,  5,  9,  17, 25,
                                                                      33, 41, 49, 57, 63};
// Bits of a value by the code of its group's width; of kWide, the low bits are apart from the high.
inline constexpr std::uint32_t kWide = 7, kLowBits = 7, kHighBits = 4;
inline constexpr std::array<std::uint8_t, 8> kWidth = {0, 1, 2, 3, 4, 5, 7, kLowBits + kHighBits};
inline constexpr std::array<std::uint8_t, 8> kFirstWidth = {0, 1, 2, 3, 4, 5, 7, kLowBits};
inline constexpr std::array<std::uint8_t, 4> kDcWidth = {3, 5, 7, 12};
inline constexpr std::uint32_t kEscape = 255;  // the selector of no entry
inline constexpr std::uint32_t kMostBlocks = 6;
inline constexpr std::int32_t kMostAc = 1023, kMostDc = 2047;
// Bytes that the reading of an MCU may go beyond its first one: 6 blocks of at most 53 bits of
// head, 63 of mask and 63 x 11 of values, and a word.
inline constexpr std::size_t kReach = 640;
inline constexpr std::uint64_t kBad = UINT64_MAX;

// What selectors stand for: three bits for the width of each group, from bit 0, and from bit 27 on
// the number of groups. The combinations that were the most useful for films and photographs.
inline constexpr std::array<std::uint32_t, 256> kSelectors = {
    0x0,        0x8000001,  0x8000002,  0x8000003,  0x8000004,  0x8000005,  0x10000009, 0x1000000a,
    0x1000000b, 0x1000000c, 0x1000000d, 0x1000000e, 0x10000012, 0x10000013, 0x10000014, 0x10000015,
    0x1000001c, 0x1000001d, 0x1000001e, 0x18000049, 0x1800004a, 0x1800004b, 0x1800004c, 0x1800004d,
    0x18000052, 0x18000053, 0x18000054, 0x18000055, 0x18000056, 0x1800005b, 0x1800005c, 0x1800005d,
    0x1800005e, 0x18000094, 0x1800009d, 0x180000a5, 0x180000a6, 0x20000249, 0x2000024a, 0x2000024b,
    0x2000024c, 0x2000024d, 0x20000252, 0x20000253, 0x20000254, 0x20000255, 0x20000256, 0x2000025b,
    0x2000025c, 0x2000025d, 0x2000025e, 0x20000265, 0x20000266, 0x20000293, 0x20000294, 0x20000295,
    0x20000296, 0x2000029c, 0x2000029d, 0x2000029e, 0x200002a4, 0x200002a5, 0x200002a6, 0x200002dc,
    0x200002dd, 0x200002de, 0x200002ee, 0x2000045c, 0x2000049d, 0x2000049e, 0x200004e4, 0x200004e5,
    0x200004e6, 0x2000072d, 0x2000072e, 0x2800124a, 0x28001253, 0x28001254, 0x28001255, 0x2800125c,
    0x2800125d, 0x2800125e, 0x2800129b, 0x2800129d, 0x2800129e, 0x280012a5, 0x280012a6, 0x280012dd,
    0x28001465, 0x2800149c, 0x280014e5, 0x280014e6, 0x280014ee, 0x2800152d, 0x2800172e, 0x28002536,
    0x2800276e, 0x30009253, 0x3000925c, 0x3000925d, 0x3000925e, 0x300092a5, 0x300092a6, 0x3000949c,
    0x300094e5, 0x300094e6, 0x300094ee, 0x300094ef, 0x3000952e, 0x300096e5, 0x300096ee, 0x3000972d,
    0x3000972e, 0x30009736, 0x3000996e, 0x30009976, 0x3000a92e, 0x3000a977, 0x3804925c, 0x3804925d,
    0x3804925e, 0x38049293, 0x380492a5, 0x380492a6, 0x3804949c, 0x3804949d, 0x380494ae, 0x380494e5,
    0x380494e6, 0x380494ee, 0x380494f6, 0x3804952e, 0x380496ee, 0x380496ef, 0x3804972d, 0x38049737,
    0x3804992e, 0x3804a6e6, 0x3804a72e, 0x3804a736, 0x3804a76e, 0x3804a976, 0x3804a977, 0x38052b76,
    0x38052bb6, 0x38052bb7, 0x3805396e, 0x4024925c, 0x4024925e, 0x4024929d, 0x402492a6, 0x402492ee,
    0x4024949b, 0x402494a4, 0x402494ae, 0x402494e5, 0x402494e6, 0x402494ee, 0x402494ef, 0x4024952e,
    0x402496ed, 0x402496ee, 0x402496f6, 0x4024972e, 0x40249936, 0x4024a6ae, 0x4024a72f, 0x4024a92e,
    0x4024a96e, 0x4024b976, 0x4024bb77, 0x40252977, 0x4025372e, 0x40253b76, 0x4028a52e, 0x40292776,
    0x402939b6, 0x402939b7, 0x4924929b, 0x492492a5, 0x492492a6, 0x492492e6, 0x492492ee, 0x4924949c,
    0x492494ae, 0x492494e5, 0x492494e6, 0x492494ee, 0x492494ef, 0x4924952e, 0x492496dc, 0x492496e6,
    0x492496ee, 0x492496ef, 0x492496f7, 0x4924972f, 0x4924a4f6, 0x4924a6e5, 0x4924a725, 0x4924a736,
    0x4924a737, 0x4924b76e, 0x4925192e, 0x492524ee, 0x4925292d, 0x4925296e, 0x49252976, 0x4925ab77,
    0x4928a726, 0x4928a936, 0x4929272e, 0x4929296f, 0x49293976, 0x49293977, 0x49293b76, 0x49293bb6,
    0x492949b7, 0x4929bb6e, 0x4929bbb7, 0x4929cbb6, 0x492d4976, 0x4944a72e, 0x49492976, 0x4949392e,
    0x4949b976, 0x4949bb77, 0x4949bbbf, 0x4949cdb7, 0x494a3dbf, 0x494d3977, 0x494db9b6, 0x494dbb76,
    0x494dcb77, 0x4a29396e, 0x4a49bb76, 0x4a4dbbb7, 0x4a4dcbb7, 0x4a4dcdbf, 0x4a4e4bbf, 0x4a6dcb76,
    0x4a6e4b77, 0x4a6e4bb7, 0x4a6e4db7, 0x4a725dbf, 0x4b6dcbb6, 0x4b6e4dbf, 0x4b724bb6, 0x4b724bb7,
    0x4b724bbf, 0x4b724db7, 0x4b924dbf, 0x4b925db7, 0x4b92ddbf, 0x4c725bb7, 0x4c925dbf, 0x0,
};

namespace detail {

// By AC position, three times the number of its group.
inline constexpr std::array<std::uint8_t, 64> kGroupShift = [] {
    std::array<std::uint8_t, 64> shifts{};
    for (std::uint32_t group = 0; group < kGroups; ++group)
        for (std::uint32_t k = kGroupBegin[group]; k < kGroupBegin[group + 1]; ++k)
            shifts[k] = static_cast<std::uint8_t>(3 * group);
    return shifts;
}();

inline constexpr std::array<std::uint8_t, 256> kOnes = [] {
    std::array<std::uint8_t, 256> ones{};
    for (std::uint32_t byte = 1; byte < 256; ++byte)
        ones[byte] = static_cast<std::uint8_t>(ones[byte >> 1] + (byte & 1));
    return ones;
}();

}  // namespace detail

// By place in a block, the AC position: that in zigzag order less 1.
inline constexpr std::array<std::uint8_t, 64> kAcPlaces = [] {
    std::array<std::uint8_t, 64> places{};
    for (std::uint32_t k = 1; k < 64; ++k) places[kPositions[k]] = static_cast<std::uint8_t>(k - 1);
    return places;
}();

// A bit for each coefficient of a block that is not 0, by its place.
inline std::uint64_t nonzeros(const Block& block) {
    std::uint64_t found = 0;
#ifdef __SSE2__
    const __m128i zero = _mm_setzero_si128();
    for (int i = 0; i < 64; i += 16) {
        const auto* at = reinterpret_cast<const __m128i*>(block + i);
        const __m128i low = _mm_cmpeq_epi16(_mm_loadu_si128(at), zero);
        const __m128i high = _mm_cmpeq_epi16(_mm_loadu_si128(at + 1), zero);
        const int zeros = _mm_movemask_epi8(_mm_packs_epi16(low, high));
        found |= std::uint64_t{static_cast<std::uint16_t>(~zeros)} << i;
    }
#else
    for (int i = 0; i < 64; ++i) found |= std::uint64_t{block[i] != 0} << i;
#endif
    return found;
}

struct Head {
    std::uint32_t groups, widths;
    std::int32_t dc;
    std::uint64_t mask;
};

inline std::uint64_t load_low64(const std::uint8_t* at) {
    std::uint64_t value;
    std::memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}
inline void store_low64(std::uint8_t* at, std::uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    std::memcpy(at, &value, sizeof value);
}
// The next bits, at least 57.
[[gnu::always_inline]] inline std::uint64_t bits_at(const std::uint8_t* base, std::uint64_t place) {
    return load_low64(base + (place >> 3)) >> (place & 7);
}

// Read a head; `dc` is the DC value of the block before. False if it has too many groups.
[[gnu::always_inline]] inline bool read_head(const std::uint8_t* base, std::uint64_t& place,
                                             std::int32_t& dc, Head& head) {
    const std::uint64_t bits = bits_at(base, place);
    const std::uint32_t selector = bits & 255;
    const std::uint32_t width = 0xc753u >> (4 * (bits >> 8 & 3)) & 15;  // kDcWidth, in one word
    auto difference = static_cast<std::uint32_t>(bits >> 10);
    place += 10 + width;
    head.groups = kSelectors[selector] >> 27;
    head.widths = kSelectors[selector] & 0777777777u;
    if (__builtin_expect(selector == kEscape, 0)) {
        head.groups = difference & 15;
        if (head.groups > kGroups) return false;
        head.widths = static_cast<std::uint32_t>(bits >> 14) & ((1u << 3 * head.groups) - 1);
        place += 4 + 3 * head.groups;
        difference = static_cast<std::uint32_t>(bits >> (14 + 3 * head.groups));
    }
    difference &= (1u << width) - 1;
    // 0, -1, 1, -2, ... An anchor gives the first value, so the sum may be anything.
    dc = static_cast<std::int16_t>(
        dc + static_cast<std::int32_t>(difference >> 1 ^ (0u - (difference & 1))));
    head.dc = dc;
    return true;
}

[[gnu::always_inline]] inline void read_mask(const std::uint8_t* base, std::uint64_t& place,
                                             Head& head) {
    const std::uint8_t* at = base + (place >> 3);
    std::uint64_t mask = load_low64(at) >> (place & 7);
    if (__builtin_expect(head.groups == kGroups, 0))
        mask |= std::uint64_t{at[8]} << (63 - (place & 7)) << 1;
    const std::uint32_t length = kGroupBegin[head.groups];
    head.mask = mask & ((std::uint64_t{1} << length) - 1);
    place += length;
}

// Read the heads and masks of an MCU: all luma blocks, then one of each other component. `dc` are
// the DC values of the components.
[[gnu::always_inline]] inline bool read_heads(const std::uint8_t* base, std::uint64_t& place,
                                              std::int32_t* dc, std::uint32_t luma,
                                              std::uint32_t blocks, Head* heads) {
    bool good = true;
    std::int32_t first = dc[0];
    for (std::uint32_t i = 0; i < luma; ++i) good &= read_head(base, place, first, heads[i]);
    dc[0] = first;
    for (std::uint32_t i = luma; i < blocks; ++i)
        good &= read_head(base, place, dc[1 + i - luma], heads[i]);
    if (__builtin_expect(!good, 0)) return false;
    for (std::uint32_t i = 0; i < blocks; ++i) read_mask(base, place, heads[i]);
    return true;
}

[[gnu::always_inline]] inline short value_of(std::uint32_t low, std::uint32_t high) {
    const auto sign = -static_cast<std::int32_t>(low & 1);
    const auto size = static_cast<std::int32_t>(high << (kLowBits - 1) | low >> 1) + 1;
    return static_cast<short>((size ^ sign) - sign);
}

// Read the values of a block into a block of zeros.
[[gnu::always_inline]] inline void read_values(const std::uint8_t* base, std::uint64_t& place,
                                               const Head& head, Block& block) {
    std::uint64_t left = head.mask;
    while (left != 0) {
        const int k = __builtin_ctzll(left);
        const std::uint32_t code = head.widths >> detail::kGroupShift[k] & 7;
        if (__builtin_expect(code == kWide, 0)) {
            const std::uint32_t end = kGroupBegin[detail::kGroupShift[k] / 3 + 1];
            std::uint64_t own = left & ((std::uint64_t{1} << end) - 1);
            left ^= own;
            std::uint64_t high =
                place + kLowBits * static_cast<std::uint64_t>(__builtin_popcountll(own));
            for (; own != 0; own &= own - 1, place += kLowBits, high += kHighBits)
                block[kPositions[__builtin_ctzll(own) + 1]] =
                    value_of(bits_at(base, place) & 127, bits_at(base, high) & 15);
            place = high;
            continue;
        }
        left &= left - 1;
        const std::uint32_t width = kWidth[code];
        const auto low = static_cast<std::uint32_t>(bits_at(base, place)) & ((1u << width) - 1);
        block[kPositions[k + 1]] = value_of(low, 0);
        place += width;
    }
    block[0] = static_cast<short>(head.dc);
}

// How an MCU is read: its bits begin at `place` of `base`; returns the place after it, or kBad.
// At least kReach bytes after its first one must be readable. Blocks hold zeros.
using ReadMcu = std::uint64_t (*)(const std::uint8_t* base, std::uint64_t place, std::int32_t* dc,
                                  std::uint32_t luma, std::uint32_t blocks, Block** out);

inline std::uint64_t read_mcu(const std::uint8_t* base, std::uint64_t place, std::int32_t* dc,
                              std::uint32_t luma, std::uint32_t blocks, Block** out) {
    Head heads[kMostBlocks];
    if (!read_heads(base, place, dc, luma, blocks, heads)) return kBad;
    for (std::uint32_t i = 0; i < blocks; ++i) read_values(base, place, heads[i], *out[i]);
    return place;
}

namespace detail {

// Bits of the values of some groups.
template <std::uint32_t Group, std::uint32_t End>
[[gnu::always_inline]] inline std::uint32_t bits_of_groups(const Head& head) {
    if constexpr (Group == End) {
        return 0;
    } else {
        constexpr std::uint32_t kMask = (1u << kGroupSize[Group]) - 1;
        return kWidth[head.widths >> (3 * Group) & 7] *
                   std::uint32_t{kOnes[head.mask >> kGroupBegin[Group] & kMask]} +
               bits_of_groups<Group + 1, End>(head);
    }
}

}  // namespace detail

// Pass an MCU: only its DC values are kept.
inline std::uint64_t pass_mcu(const std::uint8_t* base, std::uint64_t place, std::int32_t* dc,
                              std::uint32_t luma, std::uint32_t blocks) {
    Head heads[kMostBlocks];
    if (!read_heads(base, place, dc, luma, blocks, heads)) return kBad;
    for (std::uint32_t i = 0; i < blocks; ++i) {
        // Most blocks have four groups or fewer, and how many cannot be foreseen.
        std::uint64_t bits = detail::bits_of_groups<0, 4>(heads[i]);
        if (heads[i].groups > 4) bits += detail::bits_of_groups<4, kGroups>(heads[i]);
        place += bits;
    }
    return place;
}

}  // namespace fastclips::dct
