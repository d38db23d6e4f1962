// Stretch a box of bytes to another size, bilinearly, into float32 that is not rounded to bytes. No
// Python.
//
// A value is that of OpenCV's cv2.resize(INTER_LINEAR) for floats without Intel's IPP, bit for bit:
// a * (1 - share) + b * share of two pixels of a row, and then of two such rows, in float32. No
// product is fused with a sum (CMakeLists.txt forbids it), so the bits are the same on every CPU.
// - Across, a position beyond the first or last pixel's centre takes that pixel alone. Down, it
//   takes the row twice, by both weights.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cpu.h"
#include "resample.h"

namespace fastclips::resample {

namespace detail {

// The columns of a box: for each output pixel, the byte of the first of two adjacent pixels, and
// the weights of both: four times for a colour pixel, as a vector needs them, else once.
struct FloatColumns {
    std::size_t channels, apart;  // bytes from the first pixel to the second
    std::size_t lanes;            // weights of an output pixel, first and second
    std::vector<std::size_t> bytes;
    std::vector<float> firsts, seconds;
    std::size_t safe = 0;  // output pixels before this one may read 8 bytes from their first pixel

    FloatColumns(std::uint32_t size, std::uint32_t count, std::uint32_t of)
        : channels(of), apart(size > 1 ? of : 0), lanes(of == 3 || of == 4 ? 4 : 1) {
        for (std::uint32_t i = 0; i < count; ++i) {
            const Place place = find_place(size, count, i);
            std::uint32_t at = place.first;
            float first = 1 - place.share, second = place.share;
            if (place.first == place.second) {  // beyond the centres
                first = 1, second = 0;
                if (at == size - 1 && size > 1) --at, std::swap(first, second);
            }
            bytes.push_back(std::size_t{at} * of);
            firsts.insert(firsts.end(), lanes, first);
            seconds.insert(seconds.end(), lanes, second);
            if (bytes[i] + 8 <= std::size_t{size} * of) safe = i + 1;
        }
    }
};

// Output pixels from x on, of C channels, or of any number of them if C is 0.
template <std::size_t C>
void across_floats(const FloatColumns& columns, const std::uint8_t* from, std::size_t x,
                   float* to) {
    const std::size_t channels = C == 0 ? columns.channels : C, apart = columns.apart;
    for (; x < columns.bytes.size(); ++x) {
        const std::uint8_t* const first = from + columns.bytes[x];
        const float a = columns.firsts[columns.lanes * x], b = columns.seconds[columns.lanes * x];
        for (std::size_t c = 0; c < channels; ++c)
            to[x * channels + c] =
                static_cast<float>(first[c]) * a + static_cast<float>(first[apart + c]) * b;
    }
}

#ifdef __x86_64__
// A pixel of C = 3 or 4 bytes at a time, on any CPU. A store may write a value beyond its pixel,
// which is written afterwards. Returns the first output pixel that is not made.
template <std::size_t C>
std::size_t across_float_colours_plainly(const FloatColumns& columns, const std::uint8_t* from,
                                         float* to) {
    const __m128i zero = _mm_setzero_si128();
    const auto weigh = [&](__m128i pixel, const float* weights) {
        return _mm_mul_ps(_mm_cvtepi32_ps(_mm_unpacklo_epi16(pixel, zero)), _mm_loadu_ps(weights));
    };
    for (std::size_t x = 0; x < columns.safe; ++x) {
        const auto* const at = reinterpret_cast<const __m128i*>(from + columns.bytes[x]);
        const __m128i pixels = _mm_unpacklo_epi8(_mm_loadl_epi64(at), zero);
        _mm_storeu_ps(to + C * x, _mm_add_ps(weigh(pixels, columns.firsts.data() + 4 * x),
                                             weigh(_mm_srli_si128(pixels, 2 * C),
                                                   columns.seconds.data() + 4 * x)));
    }
    return columns.safe;
}

FASTCLIPS_BY_AVX2 __m256 weigh(__m256i pixels, const float* weights) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(pixels), _mm256_loadu_ps(weights));
}

// The same, two pixels at a time.
template <std::size_t C>
FASTCLIPS_BY_AVX2 std::size_t across_float_colours(const FloatColumns& columns,
                                                   const std::uint8_t* from, float* to) {
    const __m128i firsts_before_seconds =
        C == 3 ? _mm_setr_epi8(0, 1, 2, -1, 8, 9, 10, -1, 3, 4, 5, -1, 11, 12, 13, -1)
               : _mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15);
    std::size_t x = 0;
    for (; x + 2 <= columns.safe; x += 2) {
        const std::size_t* const bytes = columns.bytes.data() + x;
        long long then;
        std::memcpy(&then, from + bytes[1], sizeof then);
        const __m128i pixels = _mm_shuffle_epi8(
            _mm_insert_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + bytes[0])),
                             then, 1),
            firsts_before_seconds);
        const __m256 sums = _mm256_add_ps(
            weigh(_mm256_cvtepu8_epi32(pixels), columns.firsts.data() + 4 * x),
            weigh(_mm256_cvtepu8_epi32(_mm_srli_si128(pixels, 8)), columns.seconds.data() + 4 * x));
        _mm_storeu_ps(to + C * x, _mm256_castps256_ps128(sums));
        _mm_storeu_ps(to + C * x + C, _mm256_extractf128_ps(sums, 1));
    }
    return x;
}

// Eight pixels of one byte at a time.
FASTCLIPS_BY_AVX2 std::size_t across_float_grays(const FloatColumns& columns,
                                                 const std::uint8_t* from, float* to) {
    std::size_t x = 0;
    for (; x + 8 <= columns.bytes.size(); x += 8) {
        const __m128i pixels = load_pairs(from, columns.bytes.data() + x);
        const __m128i firsts = _mm_and_si128(pixels, _mm_set1_epi16(0xFF));
        _mm256_storeu_ps(
            to + x, _mm256_add_ps(weigh(_mm256_cvtepu16_epi32(firsts), columns.firsts.data() + x),
                                  weigh(_mm256_cvtepu16_epi32(_mm_srli_epi16(pixels, 8)),
                                        columns.seconds.data() + x)));
    }
    return x;
}
#endif

inline void across(const FloatColumns& columns, bool wide, const std::uint8_t* from, float* to) {
    std::size_t x = 0;
#ifdef __x86_64__
    const auto colours = [&](auto widely, auto plainly) {
        return wide ? widely(columns, from, to) : plainly(columns, from, to);
    };
    if (columns.apart == 3) x = colours(across_float_colours<3>, across_float_colours_plainly<3>);
    if (columns.apart == 4) x = colours(across_float_colours<4>, across_float_colours_plainly<4>);
    if (columns.apart == 1 && wide) x = across_float_grays(columns, from, to);
#endif
    const auto plainly = columns.channels == 3   ? across_floats<3>
                         : columns.channels == 1 ? across_floats<1>
                                                 : across_floats<0>;
    plainly(columns, from, x, to);
}

FASTCLIPS_WIDE inline void down(const float* __restrict first, const float* __restrict second,
                                float share, std::size_t count, float* __restrict to) {
    const float rest = 1 - share;
    for (std::size_t i = 0; i < count; ++i) to[i] = first[i] * rest + second[i] * share;
}

}  // namespace detail

// Stretch a picture, whose rows lie `pitch` bytes apart. No size may be 0.
inline void stretch_floats(const Sizes& sizes, const std::uint8_t* from, std::ptrdiff_t pitch,
                           float* to) {
    const detail::FloatColumns columns(sizes.width, sizes.width_out, sizes.channels);
    const std::size_t row = std::size_t{sizes.width_out} * sizes.channels;
    std::vector<float> rows(2 * (row + 1));  // of the box, stretched across, with room for a store
    bool wide = false;
#ifdef __x86_64__
    wide = cpu_has_avx2();
#endif
    std::uint32_t held[2] = {sizes.height, sizes.height};  // none
    const auto row_of = [&](std::uint32_t y) {
        float* const made = rows.data() + y % 2 * (row + 1);
        if (held[y % 2] != y) {
            detail::across(columns, wide, from + static_cast<std::ptrdiff_t>(y) * pitch, made);
            held[y % 2] = y;
        }
        return made;
    };
    for (std::uint32_t y = 0; y < sizes.height_out; ++y) {
        const Place place = find_place(sizes.height, sizes.height_out, y);
        const float* const first = row_of(place.first);
        detail::down(first, row_of(place.second), place.share, row, to + y * row);
    }
}

}  // namespace fastclips::resample
