// Rows of samples become rows of pixels, by AVX2, with the results of libjpeg-turbo's fancy
// upsampling (jdsample) and of its conversion of YCbCr to RGB (jdcolor).
//
// A step makes kStep pixels. It reads as many luma samples and the samples of colour that belong to
// them, if they are upsampled one more on either side. Colours are given as numbers of 16 bits if
// they are upsampled, else as bytes.
#pragma once

#include "avx2.h"

#ifdef __x86_64__

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fastclips::jpeg::color {

inline constexpr std::uint32_t kStep = 32;

FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i load(const void* at) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}
FASTCLIPS_AVX2 FASTCLIPS_INLINE void store(void* at, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i widened(const std::uint8_t* at) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// Write `count` samples of a row, and up to 15 more, as numbers of 16 bits: three times this row
// and once another one, for colour that is subsampled in both directions.
FASTCLIPS_AVX2 inline void mix_rows(const std::uint8_t* row, const std::uint8_t* other,
                                    std::size_t count, std::int16_t* to) {
    for (std::size_t i = 0; i < count; i += 16) {
        const __m256i near = widened(row + i);
        store(to + i, _mm256_add_epi16(_mm256_add_epi16(near, _mm256_add_epi16(near, near)),
                                       widened(other + i)));
    }
}
// As they are, for colour that is subsampled across only.
FASTCLIPS_AVX2 inline void widen_row(const std::uint8_t* row, std::size_t count, std::int16_t* to) {
    for (std::size_t i = 0; i < count; i += 16) store(to + i, widened(row + i));
}

// Samples of one colour, less 128 and doubled, for every other pixel of a step: its first, third
// ... and its second, fourth ...
struct Sides {
    __m256i first, second;
};
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i centred(__m256i sample) {
    return _mm256_sub_epi16(_mm256_add_epi16(sample, sample), _mm256_set1_epi16(256));
}

// Three parts of a sample and one of its neighbour; with `Mixed`, of mixed rows. Of the two pixels
// of a sample, the left one is `Even`.
template <bool Mixed, bool Even>
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i blend(__m256i sample, __m256i neighbour) {
    constexpr int kRound = Mixed ? (Even ? 8 : 7) : (Even ? 1 : 2);
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(sample, _mm256_add_epi16(sample, sample)),
                                         _mm256_add_epi16(neighbour, _mm256_set1_epi16(kRound)));
    return centred(_mm256_srli_epi16(sum, Mixed ? 4 : 2));
}

// Upsample for a step that begins with the left pixel of a sample or, if `Odd`, with the right one.
template <bool Mixed, bool Odd>
FASTCLIPS_AVX2 FASTCLIPS_INLINE Sides upsampled(const std::int16_t* at) {
    const __m256i one = load(at), next = load(at + 1);
    if constexpr (Odd)
        return {blend<Mixed, false>(one, next), blend<Mixed, true>(next, one)};
    else
        return {blend<Mixed, true>(one, load(at - 1)), blend<Mixed, false>(one, next)};
}

// Bytes of 32 pixels, of every other pixel.
FASTCLIPS_AVX2 FASTCLIPS_INLINE Sides split(const std::uint8_t* at) {
    const __m256i bytes = load(at);
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16(bytes, 8)};
}

// Write 32 pixels. In either half of a vector, every other pixel comes first: 0, 2 ... 14, 1
// ... 15.
FASTCLIPS_AVX2 FASTCLIPS_INLINE void store_rgb(__m256i red, __m256i green, __m256i blue,
                                               std::uint8_t* to) {
    // Byte j of a half goes to byte 3 j + channel of the pixels, so to byte (3 j + channel) % 16 of
    // one of three parts. Each shuffle brings the bytes of a channel to these places, for all three
    // parts at once: 16 and 3 have no common divisor.
    const __m256i reds = _mm256_setr_epi8(0, 13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15, 5, 10, 0,
                                          13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15, 5, 10);
    const __m256i greens = _mm256_setr_epi8(10, 0, 13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15, 5,
                                            10, 0, 13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15, 5);
    const __m256i blues = _mm256_setr_epi8(5, 10, 0, 13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15, 5,
                                           10, 0, 13, 3, 8, 6, 11, 1, 14, 4, 9, 7, 12, 2, 15);
    const __m256i second = _mm256_setr_epi8(0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, 0,
                                            -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0);
    const __m256i third = _mm256_setr_epi8(0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0,
                                           0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0);
    red = _mm256_shuffle_epi8(red, reds);
    green = _mm256_shuffle_epi8(green, greens);
    blue = _mm256_shuffle_epi8(blue, blues);
    const __m256i a = _mm256_blendv_epi8(_mm256_blendv_epi8(red, green, second), blue, third);
    const __m256i b = _mm256_blendv_epi8(_mm256_blendv_epi8(green, blue, second), red, third);
    const __m256i c = _mm256_blendv_epi8(_mm256_blendv_epi8(blue, red, second), green, third);
    store(to, _mm256_permute2x128_si256(a, b, 0x20));
    store(to + 32, _mm256_permute2x128_si256(c, a, 0x30));
    store(to + 64, _mm256_permute2x128_si256(b, c, 0x31));
}

// -0.34414 cb - 0.71414 cr, rounded as libjpeg does, of doubled values.
FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i green_of(__m256i cb, __m256i cr) {
    // In 1/65536, halved: -22554 cb, and 18734 cr, of which cr is taken away afterwards.
    const __m256i factors = _mm256_set1_epi32(18734 / 2 << 16 | (-22554 / 2 & 0xffff));
    const __m256i round = _mm256_set1_epi32(1 << 15);
    const __m256i low =
        _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(cb, cr), factors), round);
    const __m256i high =
        _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(cb, cr), factors), round);
    return _mm256_sub_epi16(
        _mm256_packs_epi32(_mm256_srai_epi32(low, 16), _mm256_srai_epi32(high, 16)),
        _mm256_srai_epi16(cr, 1));
}

FASTCLIPS_AVX2 FASTCLIPS_INLINE __m256i packed_sum(Sides luma, __m256i first, __m256i second) {
    return _mm256_packus_epi16(_mm256_add_epi16(luma.first, first),
                               _mm256_add_epi16(luma.second, second));
}

FASTCLIPS_AVX2 FASTCLIPS_INLINE void convert(const std::uint8_t* luma, Sides cb, Sides cr,
                                             std::uint8_t* to) {
    const Sides y = split(luma);
    const __m256i of_red = _mm256_set1_epi16(22970);   // 1.402, in 1/16384
    const __m256i of_blue = _mm256_set1_epi16(29033);  // 1.772
    const __m256i red = packed_sum(y, _mm256_mulhrs_epi16(cr.first, of_red),
                                   _mm256_mulhrs_epi16(cr.second, of_red));
    const __m256i green =
        packed_sum(y, green_of(cb.first, cr.first), green_of(cb.second, cr.second));
    const __m256i blue = packed_sum(y, _mm256_mulhrs_epi16(cb.first, of_blue),
                                    _mm256_mulhrs_epi16(cb.second, of_blue));
    store_rgb(red, green, blue, to);
}

// Steps: make kStep pixels of those at an index of a row, which is `Odd` or not, in `to`.

// Of colour that is subsampled across, and with `Mixed` down as well.
template <bool Mixed>
struct Upsample {
    static constexpr std::size_t kPixel = 3;
    const std::uint8_t* luma;
    const std::int16_t *cb, *cr;
    template <bool Odd>
    FASTCLIPS_AVX2 FASTCLIPS_INLINE void make(std::size_t at, std::uint8_t* to) const {
        convert(luma + at, upsampled<Mixed, Odd>(cb + at / 2), upsampled<Mixed, Odd>(cr + at / 2),
                to);
    }
};

// Of colour with a sample for each pixel.
struct Convert {
    static constexpr std::size_t kPixel = 3;
    const std::uint8_t *luma, *cb, *cr;
    template <bool>
    FASTCLIPS_AVX2 FASTCLIPS_INLINE void make(std::size_t at, std::uint8_t* to) const {
        const Sides blue = split(cb + at), red = split(cr + at);
        convert(luma + at, {centred(blue.first), centred(blue.second)},
                {centred(red.first), centred(red.second)}, to);
    }
};

// Of a gray frame, in colour.
struct Repeat {
    static constexpr std::size_t kPixel = 3;
    const std::uint8_t* luma;
    template <bool>
    FASTCLIPS_AVX2 FASTCLIPS_INLINE void make(std::size_t at, std::uint8_t* to) const {
        const Sides y = split(luma + at);
        const __m256i sorted = _mm256_packus_epi16(y.first, y.second);
        store_rgb(sorted, sorted, sorted, to);
    }
};

// In gray.
struct Copy {
    static constexpr std::size_t kPixel = 1;
    const std::uint8_t* luma;
    template <bool>
    FASTCLIPS_AVX2 FASTCLIPS_INLINE void make(std::size_t at, std::uint8_t* to) const {
        store(to, load(luma + at));
    }
};

template <typename Step>
FASTCLIPS_AVX2 FASTCLIPS_INLINE void make_one(const Step& step, std::size_t at, std::uint8_t* to) {
    if (at % 2 != 0)
        step.template make<true>(at, to);
    else
        step.template make<false>(at, to);
}
template <bool Odd, typename Step>
FASTCLIPS_AVX2 FASTCLIPS_INLINE std::size_t make_all(const Step& step, std::size_t left,
                                                     std::size_t right, std::uint8_t* to) {
    for (; left + kStep <= right; left += kStep, to += kStep * Step::kPixel)
        step.template make<Odd>(left, to);
    return left;
}

// Write the pixels from `left` to `right` of a row, and nothing beyond them. The last step
// overlaps the one before.
template <typename Step>
FASTCLIPS_AVX2 inline void write_row(const Step& step, std::size_t left, std::size_t right,
                                     std::uint8_t* to) {
    if (right - left < kStep) {
        alignas(32) std::uint8_t pixels[kStep * Step::kPixel];
        make_one(step, left, pixels);
        std::memcpy(to, pixels, (right - left) * Step::kPixel);
        return;
    }
    const std::size_t made = left % 2 != 0 ? make_all<true>(step, left, right, to)
                                           : make_all<false>(step, left, right, to);
    const std::size_t last = right - kStep;
    if (made < right) make_one(step, last, to + (last - left) * Step::kPixel);
}

}  // namespace fastclips::jpeg::color

#endif
