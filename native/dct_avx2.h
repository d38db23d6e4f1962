// Read MCUs of dct frames by AVX2: a group of values in a few instructions, whatever their number.
//
// The bits of a group's values are spread into eight bytes, each to the byte of its position, by
// pdep or, where pdep is slow, by shifts and a shuffle. These bytes are the *slots* of a block: 8
// for each group, 72 in all. Then vectors turn slots into signed values and bring them into natural
// order. All blocks of an MCU are spread first and finished then: a load of 32 bytes waits for
// stores of 8 bytes that are not yet in the cache.
#pragma once

#ifdef __x86_64__

#include "avx2.h"
#include "dct_blocks.h"
#include "idct_avx2.h"

namespace fastclips::dct {

namespace detail {

inline constexpr std::size_t kSlots = 8 * kGroups, kLanes = 5;  // lanes of 16 slots

struct SlotTables {
    // For each byte of a mask, a byte of 1 for each bit that is set.
    alignas(64) std::array<std::uint64_t, 256> ones{};
    // For each byte of a mask, the number of set bits before each of them, and 0x80 for the others.
    alignas(64) std::array<std::array<std::uint8_t, 8>, 256> ranks{};

    constexpr SlotTables() {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            std::uint8_t rank = 0;
            for (std::size_t i = 0; i < 8; ++i) {
                const bool set = (byte >> i & 1) != 0;
                ones[byte] |= std::uint64_t{set} << (8 * i);
                ranks[byte][i] = set ? rank++ : 0x80;
            }
        }
    }
};
inline constexpr SlotTables kSlotTables{};

// The slot of each coefficient of a block in some order: for either half of a block and each lane
// of slots, the place in the lane, or 0x80 if the slot is in another lane.
struct Order {
    alignas(64) std::array<std::array<std::array<std::uint8_t, 32>, kLanes>, 2> halves{};

    // Of the places of natural positions; DC comes first.
    constexpr explicit Order(const std::array<std::uint8_t, 64>& places) {
        for (auto& half : halves)
            for (auto& lane : half)
                for (auto& place : lane) place = 0x80;
        for (std::size_t group = 0; group < kGroups; ++group)
            for (std::size_t i = 0; i < kGroupSize[group]; ++i) {
                const std::size_t slot = 8 * group + i;
                const std::size_t to = places[kPositions[kGroupBegin[group] + i + 1u]];
                halves[to / 32][slot / 16][to % 32] = static_cast<std::uint8_t>(slot % 16);
            }
    }
};
inline constexpr Order kNaturalOrder{[] {
    std::array<std::uint8_t, 64> places{};
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::uint8_t>(i);
    return places;
}()};
inline constexpr Order kPairedOrder{jpeg::kPaired};

// By the width of a value: the fields that stay in each halving, and by mask the bits of its
// values.
struct Halving {
    std::uint64_t four = 0, two = 0, one = 0;
    std::array<std::uint8_t, 256> bits{};
};
inline constexpr std::array<Halving, kLowBits + 1> kHalvings = [] {
    std::array<Halving, kLowBits + 1> all{};
    for (std::uint32_t width = 0; width <= kLowBits; ++width) {
        const std::uint64_t one = (1u << width) - 1, two = (1u << 2 * width) - 1;
        all[width].four = (std::uint64_t{1} << 4 * width) - 1;
        all[width].two = two | two << 32;
        all[width].one = one | one << 16 | one << 32 | one << 48;
        for (std::uint32_t mask = 0; mask < 256; ++mask)
            all[width].bits[mask] = static_cast<std::uint8_t>(width * kOnes[mask]);
    }
    return all;
}();

// What the blocks of an MCU are between the two steps.
struct Spread {
    alignas(32) std::uint8_t low[32 * 3];   // first bits of the values, by slot
    alignas(32) std::uint8_t high[32 * 3];  // of wide values, the bits above
    std::uint64_t mask;                     // by slot, without the last group
};

// A mask by slots: the first two groups have fewer than 8 positions.
FASTCLIPS_INLINE std::uint64_t mask_of_slots(std::uint64_t mask) {
    return (mask & 0x1f) | (mask << 3 & 0xf00) | (mask >> 9 << 16);
}

FASTCLIPS_INLINE bool has_wide(std::uint32_t widths) {
    return (widths & widths >> 1 & widths >> 2 & 0111111111u) != 0;
}

// Spread the next values of a width to the bytes of a mask, and pass them.
FASTCLIPS_AVX2 FASTCLIPS_INLINE void spread_by_pdep(const std::uint8_t* base, std::uint64_t& place,
                                                    std::uint32_t mask, std::uint32_t width,
                                                    std::uint8_t* to) {
    const std::uint64_t ones = kSlotTables.ones[mask];
    const std::uint64_t fields = (ones << width) - ones;
    const std::uint64_t values = _pdep_u64(bits_at(base, place), fields);
    std::memcpy(to, &values, sizeof values);
    place += static_cast<std::uint64_t>(_mm_popcnt_u64(fields));
}

FASTCLIPS_AVX2 FASTCLIPS_INLINE void spread_by_shuffles(const std::uint8_t* base,
                                                        std::uint64_t& place, std::uint32_t mask,
                                                        std::uint32_t width, std::uint8_t* to) {
    // Fields of `width` bits become bytes in three halvings, and then go to their places.
    const Halving& half = kHalvings[width];
    std::uint64_t values = bits_at(base, place);
    values = (values & half.four) | values >> 4 * width << 32;
    values = (values & half.two) | (values & half.two << 2 * width) << (16 - 2 * width);
    values = (values & half.one) | (values & half.one << width) << (8 - width);
    const __m128i ranks =
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kSlotTables.ranks[mask].data()));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to),
                     _mm_shuffle_epi8(_mm_cvtsi64_si128(static_cast<long long>(values)), ranks));
    place += half.bits[mask];
}

// Spread a block that has a group of wide values.
template <typename One>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void spread_wide(const std::uint8_t* base, std::uint64_t& place,
                                                 const Head& head, Spread& out, One one) {
    std::memset(out.low, 0, sizeof out.low);
    std::memset(out.high, 0, sizeof out.high);
    for (std::uint32_t group = 0; group < head.groups; ++group) {
        const std::uint32_t code = head.widths >> (3 * group) & 7;
        const auto mask = static_cast<std::uint32_t>(group < 8 ? out.mask >> (8 * group) & 255
                                                               : head.mask >> kGroupBegin[8]);
        one(base, place, mask, kFirstWidth[code], out.low + 8 * group);
        if (code == kWide) one(base, place, mask, kHighBits, out.high + 8 * group);
    }
}

// Spread the values of a block. Of four groups or fewer, only the first 32 slots are written.
template <typename One>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void spread(const std::uint8_t* base, std::uint64_t& place,
                                            const Head& head, Spread& out, One one) {
    const std::uint64_t mask = out.mask = mask_of_slots(head.mask);
    if (__builtin_expect(has_wide(head.widths), 0)) {
        spread_wide(base, place, head, out, one);
        return;
    }
#pragma GCC unroll 4
    for (int group = 0; group < 4; ++group)
        one(base, place, mask >> (8 * group) & 255, kFirstWidth[head.widths >> (3 * group) & 7],
            out.low + 8 * group);
    if (head.groups <= 4) return;
#pragma GCC unroll 4
    for (int group = 4; group < 8; ++group)
        one(base, place, mask >> (8 * group) & 255, kFirstWidth[head.widths >> (3 * group) & 7],
            out.low + 8 * group);
    if (__builtin_expect(head.groups == kGroups, 0))
        one(base, place, static_cast<std::uint32_t>(head.mask >> kGroupBegin[8]),
            kFirstWidth[head.widths >> 24 & 7], out.low + 64);
}

FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i load32(const std::uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

// Turn 32 slots into values of a byte, which is 0 where the mask is.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i signed_of(__m256i slots, std::uint32_t mask) {
    const __m256i pick = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
    const __m256i spread_mask =
        _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(mask)), pick);
    const __m256i there = _mm256_cmpeq_epi8(_mm256_and_si256(spread_mask, bit), bit);  // -1
    const __m256i sign =
        _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_and_si256(slots, _mm256_set1_epi8(1)));
    const __m256i size = _mm256_sub_epi8(
        _mm256_and_si256(_mm256_srli_epi16(slots, 1), _mm256_set1_epi8(0x7f)), there);
    return _mm256_sub_epi8(_mm256_xor_si256(size, sign), sign);
}

struct Halves {  // of a block, a byte for each value
    __m256i top, bottom;
};

// Add the values of a lane of slots, which is in both halves of a vector, at their places.
FASTCLIPS_AVX2 FASTCLIPS_INLINE Halves placed(const Order& order, Halves sum, std::size_t lane,
                                              __m256i values) {
    const __m256i top = load32(order.halves[0][lane].data());
    const __m256i bottom = load32(order.halves[1][lane].data());
    return {_mm256_or_si256(sum.top, _mm256_shuffle_epi8(values, top)),
            _mm256_or_si256(sum.bottom, _mm256_shuffle_epi8(values, bottom))};
}

// Add 64 times the bits above to wide values, which have their signs already.
FASTCLIPS_AVX2 [[gnu::noinline]] inline void add_high(const Order& order, const Spread& from,
                                                      Coefficients& block) {
    Halves high{_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (std::size_t lane = 0; lane < kLanes; ++lane)
        high = placed(order, high, lane,
                      _mm256_broadcastsi128_si256(
                          _mm_load_si128(reinterpret_cast<const __m128i*>(from.high + 16 * lane))));
    const __m128i parts[] = {
        _mm256_castsi256_si128(high.top), _mm256_extracti128_si256(high.top, 1),
        _mm256_castsi256_si128(high.bottom), _mm256_extracti128_si256(high.bottom, 1)};
    for (int i = 0; i < 4; ++i) {
        const __m256i above = _mm256_slli_epi16(_mm256_cvtepu8_epi16(parts[i]), kLowBits - 1);
        block.parts[i] = _mm256_add_epi16(block.parts[i], _mm256_sign_epi16(above, block.parts[i]));
    }
}

// Values of a byte in some order, as numbers of 16 bits, and the DC value before them.
FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients widened(Halves values, std::int32_t dc) {
    const __m256i first = _mm256_inserti128_si256(
        _mm256_setzero_si256(), _mm_cvtsi32_si128(static_cast<std::uint16_t>(dc)), 0);
    return {{_mm256_or_si256(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(values.top)), first),
             _mm256_cvtepi8_epi16(_mm256_extracti128_si256(values.top, 1)),
             _mm256_cvtepi8_epi16(_mm256_castsi256_si128(values.bottom)),
             _mm256_cvtepi8_epi16(_mm256_extracti128_si256(values.bottom, 1))}};
}

// Make a block of two groups or fewer, none of which is wide.
FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients finish_few(const Order& order, const Head& head,
                                                        const Spread& from) {
    const auto mask = static_cast<std::uint32_t>(from.mask);
    const __m256i slots =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(from.low)));
    const Halves none{_mm256_setzero_si256(), _mm256_setzero_si256()};
    return widened(placed(order, none, 0, signed_of(slots, mask | mask << 16)), head.dc);
}

// Make a block, in an order, of values that were spread.
FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients finish(const Order& order, const Head& head,
                                                    const Spread& from) {
    const __m256i first = signed_of(load32(from.low), static_cast<std::uint32_t>(from.mask));
    Halves sum{_mm256_setzero_si256(), _mm256_setzero_si256()};
    sum = placed(order, sum, 0, _mm256_permute4x64_epi64(first, 0x44));
    sum = placed(order, sum, 1, _mm256_permute4x64_epi64(first, 0xee));
    if (head.groups > 4) {
        const __m256i second =
            signed_of(load32(from.low + 32), static_cast<std::uint32_t>(from.mask >> 32));
        sum = placed(order, sum, 2, _mm256_permute4x64_epi64(second, 0x44));
        sum = placed(order, sum, 3, _mm256_permute4x64_epi64(second, 0xee));
        if (__builtin_expect(head.groups == kGroups, 0)) {
            const auto mask = static_cast<std::uint32_t>(head.mask >> kGroupBegin[8]);
            long long slots;
            std::memcpy(&slots, from.low + 64, sizeof slots);
            sum = placed(order, sum, 4, signed_of(_mm256_set1_epi64x(slots), mask | mask << 16));
        }
    }
    Coefficients block = widened(sum, head.dc);
    if (__builtin_expect(has_wide(head.widths), 0)) add_high(order, from, block);
    return block;
}

}  // namespace detail

// An MCU whose values are spread. Its blocks are finished one by one, those that are needed.
struct SpreadMcu {
    Head heads[kMostBlocks];
    detail::Spread spread[kMostBlocks];

    // Whether a block has coefficients in its first four rows and columns only.
    FASTCLIPS_AVX2 FASTCLIPS_INLINE bool is_few(std::uint32_t number) const {
        return heads[number].groups <= 2 && !detail::has_wide(heads[number].widths);
    }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients few(const detail::Order& order,
                                                     std::uint32_t number) const {
        return detail::finish_few(order, heads[number], spread[number]);
    }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients block(const detail::Order& order,
                                                       std::uint32_t number) const {
        return detail::finish(order, heads[number], spread[number]);
    }

    template <typename One>
    FASTCLIPS_AVX2 FASTCLIPS_INLINE std::uint64_t read(const std::uint8_t* base,
                                                       std::uint64_t place, std::int32_t* dc,
                                                       std::uint32_t luma, std::uint32_t blocks,
                                                       One one) {
        if (!read_heads(base, place, dc, luma, blocks, heads)) return kBad;
        for (std::uint32_t i = 0; i < blocks; ++i)
            detail::spread(base, place, heads[i], spread[i], one);
        return place;
    }
};

// As read_mcu(), but the blocks are only spread: by pdep, or without it.
using ReadSpread = std::uint64_t (*)(const std::uint8_t* base, std::uint64_t place,
                                     std::int32_t* dc, std::uint32_t luma, std::uint32_t blocks,
                                     SpreadMcu& mcu);

FASTCLIPS_AVX2 inline std::uint64_t spread_mcu_by_pdep(const std::uint8_t* base,
                                                       std::uint64_t place, std::int32_t* dc,
                                                       std::uint32_t luma, std::uint32_t blocks,
                                                       SpreadMcu& mcu) {
    return mcu.read(base, place, dc, luma, blocks, detail::spread_by_pdep);
}
FASTCLIPS_AVX2 inline std::uint64_t spread_mcu_by_shuffles(const std::uint8_t* base,
                                                           std::uint64_t place, std::int32_t* dc,
                                                           std::uint32_t luma, std::uint32_t blocks,
                                                           SpreadMcu& mcu) {
    return mcu.read(base, place, dc, luma, blocks, detail::spread_by_shuffles);
}

// As read_mcu(), by AVX2 with pdep or without it.
template <ReadSpread Read>
FASTCLIPS_AVX2 std::uint64_t read_mcu_by(const std::uint8_t* base, std::uint64_t place,
                                         std::int32_t* dc, std::uint32_t luma, std::uint32_t blocks,
                                         Block** out) {
    SpreadMcu mcu;
    place = Read(base, place, dc, luma, blocks, mcu);
    if (place == kBad) return kBad;
    for (std::uint32_t i = 0; i < blocks; ++i) {
        const Coefficients block = mcu.block(detail::kNaturalOrder, i);
        auto* const to = reinterpret_cast<__m256i*>(*out[i]);
        for (int part = 0; part < 4; ++part) _mm256_storeu_si256(to + part, block.parts[part]);
    }
    return place;
}

}  // namespace fastclips::dct

#endif
