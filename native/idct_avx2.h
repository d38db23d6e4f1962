// The inverse transforms of libjpeg-turbo's accurate method, by AVX2: a block of 8 x 8 coefficients
// becomes 8 x 8 samples (jidctint), or 4 x 4 at half the size (jidctred).
//
// Whatever the coefficients are, the samples are those of libjpeg-turbo's AVX2 or SSE2 code: sums
// wrap and saturate where its sums do. README.md has the reasons.
//
// Coefficients are in an order of their own, *paired*: those of two rows that are multiplied and
// added by one instruction are adjacent, and columns come in the order in which rows are paired.
// So the results of the first pass need few shuffles before the second.
#pragma once

#include "avx2.h"
#include "jpeg.h"

namespace fastclips::jpeg {

// Rows and columns in the order of pairs: vector v has rows kPairs[2 v] and kPairs[2 v + 1].
inline constexpr std::array<std::uint8_t, 8> kPairs = {0, 4, 2, 6, 7, 1, 3, 5};

// The place in paired order of each natural position.
inline constexpr std::array<std::uint8_t, 64> kPaired = [] {
    std::array<std::uint8_t, 64> places{};
    for (std::size_t i = 0; i < 8; ++i)
        for (std::size_t j = 0; j < 8; ++j)
            places[8u * kPairs[i] + kPairs[j]] =
                static_cast<std::uint8_t>(16 * (i / 2) + 2 * j + i % 2);
    return places;
}();

// The place of each position of a scan, as kPositions.
inline constexpr Positions kPairedPositions = [] {
    Positions places{};
    for (std::size_t k = 0; k < places.size(); ++k) places[k] = kPaired[kPositions[k]];
    return places;
}();

#ifdef __x86_64__

namespace idct {

inline constexpr int kBits = 13;  // of constants behind the point
inline constexpr int kMore = 2;   // bits that the first pass keeps for the second

// The constants of libjpeg, with kBits.
inline constexpr int k0_211 = 1730, k0_298 = 2446, k0_390 = 3196, k0_509 = 4176, k0_541 = 4433,
                     k0_601 = 4926, k0_765 = 6270, k0_899 = 7373, k1_061 = 8697, k1_175 = 9633,
                     k1_451 = 11893, k1_501 = 12299, k1_847 = 15137, k1_961 = 16069, k2_053 = 16819,
                     k2_172 = 17799, k2_562 = 20995, k3_072 = 25172;

// What pairs are multiplied by.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i by(int first, int second) {
    return _mm256_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(second) << 16 |
                                              (static_cast<std::uint32_t>(first) & 0xffff)));
}
// The same, other ones in the upper half of a vector.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i by(int first, int second, int third, int fourth) {
    return _mm256_blend_epi32(by(first, second), by(third, fourth), 0xf0);
}

// A sum of 16 bits, which wraps as libjpeg-turbo's does, with kBits more.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i wrapped(__m256i sum) {
    return _mm256_srai_epi32(_mm256_slli_epi32(sum, 16), 16 - kBits);
}

// Transform eight columns, or rows, at once. Results are shifted right, and rounded.
template <int Shift>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void transform(__m256i v04, __m256i v26, __m256i v71, __m256i v35,
                                               __m256i* out) {
    const __m256i round = _mm256_set1_epi32(1 << (Shift - 1));
    const __m256i sum = _mm256_add_epi32(wrapped(_mm256_madd_epi16(v04, by(1, 1))), round);
    const __m256i difference = _mm256_add_epi32(wrapped(_mm256_madd_epi16(v04, by(1, -1))), round);
    const __m256i a = _mm256_madd_epi16(v26, by(k0_541 + k0_765, k0_541));
    const __m256i b = _mm256_madd_epi16(v26, by(k0_541, k0_541 - k1_847));
    const __m256i even0 = _mm256_add_epi32(sum, a), even3 = _mm256_sub_epi32(sum, a);
    const __m256i even1 = _mm256_add_epi32(difference, b), even2 = _mm256_sub_epi32(difference, b);
    const __m256i both = _mm256_add_epi16(v71, v35);  // wraps: 7 + 3, 1 + 5
    const __m256i c = _mm256_madd_epi16(both, by(k1_175 - k1_961, k1_175));
    const __m256i d = _mm256_madd_epi16(both, by(k1_175, k1_175 - k0_390));
    const __m256i odd0 = _mm256_add_epi32(_mm256_madd_epi16(v71, by(-k0_899, k1_501 - k0_899)), d);
    const __m256i odd1 = _mm256_add_epi32(_mm256_madd_epi16(v35, by(k3_072 - k2_562, -k2_562)), c);
    const __m256i odd2 = _mm256_add_epi32(_mm256_madd_epi16(v35, by(-k2_562, k2_053 - k2_562)), d);
    const __m256i odd3 = _mm256_add_epi32(_mm256_madd_epi16(v71, by(k0_298 - k0_899, -k0_899)), c);
    out[0] = _mm256_srai_epi32(_mm256_add_epi32(even0, odd0), Shift);
    out[7] = _mm256_srai_epi32(_mm256_sub_epi32(even0, odd0), Shift);
    out[1] = _mm256_srai_epi32(_mm256_add_epi32(even1, odd1), Shift);
    out[6] = _mm256_srai_epi32(_mm256_sub_epi32(even1, odd1), Shift);
    out[2] = _mm256_srai_epi32(_mm256_add_epi32(even2, odd2), Shift);
    out[5] = _mm256_srai_epi32(_mm256_sub_epi32(even2, odd2), Shift);
    out[3] = _mm256_srai_epi32(_mm256_add_epi32(even3, odd3), Shift);
    out[4] = _mm256_srai_epi32(_mm256_sub_epi32(even3, odd3), Shift);
}

// The same, where only the first four rows, or columns, have coefficients: pairs (0, 4), (2, 6),
// and (3, 1) instead of (7, 1) and (3, 5).
template <int Shift>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void transform_few(__m256i v04, __m256i v26, __m256i v31,
                                                   __m256i* out) {
    const __m256i first = _mm256_add_epi32(_mm256_madd_epi16(v04, by(1 << kBits, 0)),
                                           _mm256_set1_epi32(1 << (Shift - 1)));
    const __m256i a = _mm256_madd_epi16(v26, by(k0_541 + k0_765, 0));
    const __m256i b = _mm256_madd_epi16(v26, by(k0_541, 0));
    const __m256i even[] = {_mm256_add_epi32(first, a), _mm256_add_epi32(first, b),
                            _mm256_sub_epi32(first, b), _mm256_sub_epi32(first, a)};
    const __m256i odd[] = {_mm256_madd_epi16(v31, by(k1_175, k1_501 - k0_899 + k1_175 - k0_390)),
                           _mm256_madd_epi16(v31, by(k3_072 - k2_562 + k1_175 - k1_961, k1_175)),
                           _mm256_madd_epi16(v31, by(k1_175 - k2_562, k1_175 - k0_390)),
                           _mm256_madd_epi16(v31, by(k1_175 - k1_961, k1_175 - k0_899))};
    for (int i = 0; i < 4; ++i) {
        out[i] = _mm256_srai_epi32(_mm256_add_epi32(even[i], odd[i]), Shift);
        out[7 - i] = _mm256_srai_epi32(_mm256_sub_epi32(even[i], odd[i]), Shift);
    }
}

// Whether a value in row 0 is so large that four times as much has more than 16 bits.
FASTCLIPS_AVX2 FASTCLIPS_INLINE bool is_large(__m256i v04) {
    const __m256i raised = _mm256_add_epi16(v04, by(8192, 0));
    return !_mm256_testz_si256(raised, by(0xc000, 0));
}

// libjpeg-turbo does not transform the columns of a block that has coefficients in row 0 only; for
// 4 x 4 samples, row 4 does not count.
template <bool SeesRow4>
FASTCLIPS_AVX2 FASTCLIPS_INLINE bool is_flat(const Coefficients& block) {
    const __m256i first = _mm256_and_si256(block.parts[0], by(0, SeesRow4 ? 0xffff : 0));
    const __m256i rest = _mm256_or_si256(_mm256_or_si256(first, block.parts[1]),
                                         _mm256_or_si256(block.parts[2], block.parts[3]));
    return _mm256_testz_si256(rest, rest);
}

// What becomes of row 0 then: it wraps, where a sum saturates.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i flat_row(__m256i v04) {
    return _mm256_srai_epi32(_mm256_slli_epi32(v04, 16 + kMore), 16);
}

FASTCLIPS_AVX2 FASTCLIPS_INLINE void store_low(std::uint8_t* to, __m128i from) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), from);
}
FASTCLIPS_AVX2 FASTCLIPS_INLINE void store_high(std::uint8_t* to, __m128i from) {
    _mm_storeh_pd(reinterpret_cast<double*>(to), _mm_castsi128_pd(from));
}

// Transform a block to 8 x 8 samples; `stride` is the distance between their rows. With `Few`, only
// the first four rows and columns have coefficients.
template <bool Few>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void to_8x8(const Coefficients& block,
                                            const Coefficients& quantisers, std::uint8_t* out,
                                            std::size_t stride) {
    const __m256i v04 = _mm256_mullo_epi16(block.parts[0], quantisers.parts[0]);
    __m256i rows[8], columns[8];
    const __m256i v26 = _mm256_mullo_epi16(block.parts[1], quantisers.parts[1]);
    const __m256i v71 = _mm256_mullo_epi16(block.parts[2], quantisers.parts[2]);
    const __m256i v35 = _mm256_mullo_epi16(block.parts[3], quantisers.parts[3]);
    if constexpr (Few)
        transform_few<kBits - kMore>(v04, v26, _mm256_or_si256(v71, v35), rows);
    else
        transform<kBits - kMore>(v04, v26, v71, v35, rows);
    if (__builtin_expect(is_large(v04), 0) && is_flat<true>(block))
        for (__m256i& row : rows) row = flat_row(v04);
    __m256i packed[4];  // row i, then row i + 4, columns in the order of pairs
    for (int i = 0; i < 4; ++i)
        packed[i] = _mm256_permute4x64_epi64(_mm256_packs_epi32(rows[i], rows[i + 4]), 0xd8);
    const __m256i even01 = _mm256_unpacklo_epi32(packed[0], packed[1]);
    const __m256i even23 = _mm256_unpacklo_epi32(packed[2], packed[3]);
    const __m256i odd01 = _mm256_unpackhi_epi32(packed[0], packed[1]);
    const __m256i odd23 = _mm256_unpackhi_epi32(packed[2], packed[3]);
    const __m256i w04 = _mm256_unpacklo_epi64(even01, even23);
    const __m256i w26 = _mm256_unpackhi_epi64(even01, even23);
    const __m256i w71 = _mm256_unpacklo_epi64(odd01, odd23);
    const __m256i w35 = _mm256_unpackhi_epi64(odd01, odd23);
    constexpr int kLast = kBits + kMore + 3;
    if constexpr (Few)
        transform_few<kLast>(w04, w26, _mm256_or_si256(w71, w35), columns);
    else
        transform<kLast>(w04, w26, w71, w35, columns);
    // In either half of a vector, four bytes of each of four columns; then of each of four rows.
    const __m256i turn = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0,
                                          4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i left =
        _mm256_shuffle_epi8(_mm256_packs_epi16(_mm256_packs_epi32(columns[0], columns[1]),
                                               _mm256_packs_epi32(columns[2], columns[3])),
                            turn);
    const __m256i right =
        _mm256_shuffle_epi8(_mm256_packs_epi16(_mm256_packs_epi32(columns[4], columns[5]),
                                               _mm256_packs_epi32(columns[6], columns[7])),
                            turn);
    const __m256i middle = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i first = _mm256_xor_si256(_mm256_unpacklo_epi32(left, right), middle);
    const __m256i second = _mm256_xor_si256(_mm256_unpackhi_epi32(left, right), middle);
    const __m128i rows01 = _mm256_castsi256_si128(first), rows23 = _mm256_castsi256_si128(second);
    const __m128i rows45 = _mm256_extracti128_si256(first, 1);
    const __m128i rows67 = _mm256_extracti128_si256(second, 1);
    store_low(out, rows01);
    store_high(out + stride, rows01);
    store_low(out + 2 * stride, rows23);
    store_high(out + 3 * stride, rows23);
    out += 4 * stride;
    store_low(out, rows45);
    store_high(out + stride, rows45);
    store_low(out + 2 * stride, rows67);
    store_high(out + 3 * stride, rows67);
}

// Transform a block to 4 x 4 samples, without row and column 4.
FASTCLIPS_AVX2 FASTCLIPS_INLINE void to_4x4(const Coefficients& block,
                                            const Coefficients& quantisers, std::uint8_t* out,
                                            std::size_t stride) {
    constexpr int kShift = kBits - kMore + 1;
    const __m256i v04 = _mm256_mullo_epi16(block.parts[0], quantisers.parts[0]);
    const __m256i v26 = _mm256_mullo_epi16(block.parts[1], quantisers.parts[1]);
    const __m256i v71 = _mm256_mullo_epi16(block.parts[2], quantisers.parts[2]);
    const __m256i v35 = _mm256_mullo_epi16(block.parts[3], quantisers.parts[3]);
    const __m256i row0 = _mm256_add_epi32(_mm256_madd_epi16(v04, by(2 << kBits, 0)),
                                          _mm256_set1_epi32(1 << (kShift - 1)));
    const __m256i a = _mm256_madd_epi16(v26, by(k1_847, -k0_765));
    const __m256i b = _mm256_add_epi32(_mm256_madd_epi16(v71, by(-k0_509, k2_562)),
                                       _mm256_madd_epi16(v35, by(k0_899, -k0_601)));
    const __m256i c = _mm256_add_epi32(_mm256_madd_epi16(v71, by(-k0_211, k1_061)),
                                       _mm256_madd_epi16(v35, by(-k2_172, k1_451)));
    const __m256i outer = _mm256_add_epi32(row0, a), inner = _mm256_sub_epi32(row0, a);
    __m256i rows[4] = {_mm256_srai_epi32(_mm256_add_epi32(outer, b), kShift),
                       _mm256_srai_epi32(_mm256_add_epi32(inner, c), kShift),
                       _mm256_srai_epi32(_mm256_sub_epi32(inner, c), kShift),
                       _mm256_srai_epi32(_mm256_sub_epi32(outer, b), kShift)};
    if (__builtin_expect(is_large(v04), 0) && is_flat<false>(block))
        for (__m256i& row : rows) row = flat_row(v04);
    const __m256 rows01 = _mm256_castsi256_ps(_mm256_packs_epi32(rows[0], rows[1]));
    const __m256 rows23 = _mm256_castsi256_ps(_mm256_packs_epi32(rows[2], rows[3]));
    // Pairs of columns of all rows: (0, 4) below (7, 1), and (2, 6) below (3, 5).
    const __m256i p = _mm256_castps_si256(_mm256_shuffle_ps(rows01, rows23, 0x88));
    const __m256i q = _mm256_castps_si256(_mm256_shuffle_ps(rows01, rows23, 0xdd));
    // The even part below the odd one, which is added to it and subtracted.
    const __m256i outside =
        _mm256_add_epi32(_mm256_madd_epi16(p, by(2 << kBits, 0, -k0_509, k2_562)),
                         _mm256_madd_epi16(q, by(k1_847, -k0_765, k0_899, -k0_601)));
    const __m256i inside =
        _mm256_add_epi32(_mm256_madd_epi16(p, by(2 << kBits, 0, -k0_211, k1_061)),
                         _mm256_madd_epi16(q, by(-k1_847, k0_765, -k2_172, k1_451)));
    constexpr int kLast = kBits + kMore + 3 + 1;
    const __m128i round = _mm_set1_epi32(1 << (kLast - 1));
    const __m128i even0 = _mm_add_epi32(_mm256_castsi256_si128(outside), round);
    const __m128i even1 = _mm_add_epi32(_mm256_castsi256_si128(inside), round);
    const __m128i odd0 = _mm256_extracti128_si256(outside, 1);
    const __m128i odd1 = _mm256_extracti128_si256(inside, 1);
    const __m128i column01 = _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(even0, odd0), kLast),
                                             _mm_srai_epi32(_mm_add_epi32(even1, odd1), kLast));
    const __m128i column23 = _mm_packs_epi32(_mm_srai_epi32(_mm_sub_epi32(even1, odd1), kLast),
                                             _mm_srai_epi32(_mm_sub_epi32(even0, odd0), kLast));
    const __m128i turn = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    alignas(16) std::uint32_t lines[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(lines),
                    _mm_xor_si128(_mm_shuffle_epi8(_mm_packs_epi16(column01, column23), turn),
                                  _mm_set1_epi8(static_cast<char>(0x80))));
    for (std::size_t y = 0; y < 4; ++y) std::memcpy(out + y * stride, &lines[y], sizeof lines[y]);
}

}  // namespace idct

#endif

}  // namespace fastclips::jpeg
