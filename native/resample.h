// Stretch the rows of a box, bilinearly or to the nearest pixel: rows in, rows out, one after the
// other. Integers only, so the pixels are the same on every CPU. No Python.
//
// A bilinear pixel is that of OpenCV's cv2.resize(INTER_LINEAR), bit for bit:
// - The centre of an output pixel lies at (i + 0.5) * size / count - 0.5, as a float. It has the
//   weights of two pixels in 11 bits, each rounded for itself, ties to even.
// - Rows are stretched across first: sums of 8 + 11 bits, of which the last 4 are dropped. Two such
//   rows are weighted by the upper half of each product, and the sum is rounded to 8 bits.
// - Across, a position beyond the first or last pixel's centre takes that pixel alone. Down, it
//   takes the row twice, by both weights, which may round to one less.
// The nearest pixel has all the weight, which gives its value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "cpu.h"

namespace fastclips::resample {

inline constexpr int kWeightBits = 11, kDropped = 4;
inline constexpr std::int16_t kOne = 1 << kWeightBits;

enum class Method : std::uint8_t { kLinear, kNearest };

// Two pixels of an axis, and how much of each.
struct Tap {
    std::uint32_t first, second;
    std::int16_t weights[2];
};

inline std::int16_t weight_of(float share) {
    return static_cast<std::int16_t>(std::nearbyint(share * kOne));
}

// Two pixels of an axis around the centre of an output pixel, and how much of the second. They are
// one and the same beyond the centres of the first and the last pixel.
struct Place {
    std::uint32_t first, second;
    float share;
};

// The place of output pixel i of `count`, on an axis of `size` pixels.
inline Place find_place(std::uint32_t size, std::uint32_t count, std::uint32_t i) {
    const double by = 1 / (static_cast<double>(count) / size);
    const auto position = static_cast<float>((i + 0.5) * by - 0.5);
    const float before = std::floor(position);
    const auto inside = [&](std::int64_t at) {
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(at, 0, size - 1));
    };
    const auto at = static_cast<std::int64_t>(before);
    return {inside(at), inside(at + 1), position - before};
}

// The pixels of an axis for each output pixel.
inline std::vector<Tap> find_taps(std::uint32_t size, std::uint32_t count, Method method) {
    std::vector<Tap> taps;
    taps.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        if (method == Method::kNearest) {
            const auto at = static_cast<std::uint32_t>((2 * std::uint64_t{i} + 1) * size /
                                                       (2 * std::uint64_t{count}));
            taps.push_back({at, at, {kOne, 0}});
            continue;
        }
        const Place place = find_place(size, count, i);
        taps.push_back(
            {place.first, place.second, {weight_of(1 - place.share), weight_of(place.share)}});
    }
    return taps;
}

// The columns of a box: for each output pixel, the byte of the first of two adjacent pixels, and
// both weights: four times for a colour pixel, as a vector needs them, else once.
struct Columns {
    std::size_t channels, apart;  // bytes from the first pixel to the second
    std::size_t lanes;            // weights of an output pixel
    std::vector<std::size_t> bytes;
    std::vector<std::int16_t> weights;
    // Output pixels from `begin` to `end` may read 8 bytes from their first pixel on.
    std::size_t begin = 0, end = 0;

    Columns(std::uint32_t size, std::uint32_t count, std::uint32_t of, Method method, bool mirrored)
        : channels(of), apart(size > 1 ? of : 0), lanes(of == 3 ? 8 : 2) {
        std::vector<Tap> taps = find_taps(size, count, method);
        if (mirrored) std::reverse(taps.begin(), taps.end());
        for (Tap& tap : taps) {
            std::uint32_t at = tap.first;
            if (tap.first == tap.second) {  // beyond the centres, or nearest
                tap.weights[0] = kOne, tap.weights[1] = 0;
                if (at == size - 1 && size > 1) --at, std::swap(tap.weights[0], tap.weights[1]);
            }
            bytes.push_back(std::size_t{at} * of);
            for (std::size_t i = 0; i < lanes; ++i) weights.push_back(tap.weights[i % 2]);
        }
        const std::size_t row = std::size_t{size} * of;
        const auto reads = [&](std::size_t byte) { return byte + 8 <= row; };
        while (begin < count && !reads(bytes[begin])) ++begin;
        for (end = begin; end < count && reads(bytes[end]);) ++end;
    }

    std::size_t count() const { return bytes.size(); }
};

// Rows that are stretched across have room for a vector beyond their end.
inline constexpr std::size_t kBeyond = 16;

namespace detail {

// Output pixels from `begin` to `end`, of C channels, or of any number of them if C is 0.
template <std::size_t C>
void across_plainly(const Columns& columns, const std::uint8_t* from, std::size_t begin,
                    std::size_t end, std::int16_t* to) {
    const std::size_t channels = C == 0 ? columns.channels : C, apart = columns.apart;
    const std::size_t* const bytes = columns.bytes.data();
    const std::int16_t* weights = columns.weights.data() + begin * columns.lanes;
    to += begin * channels;
    for (std::size_t x = begin; x < end; ++x, to += channels, weights += columns.lanes) {
        const std::uint8_t* const first = from + bytes[x];
        const int a = weights[0], b = weights[1];
        for (std::size_t c = 0; c < channels; ++c)
            to[c] = static_cast<std::int16_t>((first[c] * a + first[apart + c] * b) >> kDropped);
    }
}

inline void down_plainly(const std::int16_t* first, const std::int16_t* second,
                         const std::int16_t* weights, std::size_t count, std::uint8_t* to) {
    const std::int16_t a = weights[0], b = weights[1];
    for (std::size_t i = 0; i < count; ++i)
        to[i] = static_cast<std::uint8_t>(((first[i] * a >> 16) + (second[i] * b >> 16) + 2) >> 2);
}

#ifdef __x86_64__
// Two pixels of three bytes at a time, on any CPU. A store writes a value beyond its pixel, which
// is written afterwards.
inline std::size_t across_colours_plainly(const Columns& columns, const std::uint8_t* from,
                                          std::size_t x, std::int16_t* to) {
    const __m128i zero = _mm_setzero_si128();
    const auto* const weights = reinterpret_cast<const __m128i*>(columns.weights.data());
    const auto sums = [&](std::size_t k) {
        const auto* const at = reinterpret_cast<const __m128i*>(from + columns.bytes[k]);
        const __m128i pixels = _mm_unpacklo_epi8(_mm_loadl_epi64(at), zero);
        const __m128i pairs = _mm_unpacklo_epi16(pixels, _mm_srli_si128(pixels, 6));
        return _mm_srli_epi32(_mm_madd_epi16(pairs, _mm_loadu_si128(weights + k)), kDropped);
    };
    for (; x + 2 <= columns.end; x += 2) {
        const __m128i both = _mm_packs_epi32(sums(x), sums(x + 1));
        auto* const at = reinterpret_cast<__m128i*>(to + 3 * x);
        auto* const then = reinterpret_cast<__m128i*>(to + 3 * x + 3);
        _mm_storel_epi64(at, both);
        _mm_storel_epi64(then, _mm_srli_si128(both, 8));
    }
    return x;
}

#define FASTCLIPS_BY_AVX2 [[gnu::target("avx2")]] inline

FASTCLIPS_BY_AVX2 __m256i load_values(const std::int16_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Weighted sums of the channels of output pixels x and x + 1.
FASTCLIPS_BY_AVX2 __m256i sum_colours(const Columns& columns, const std::uint8_t* from,
                                      std::size_t x) {
    const __m256i pairs = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const std::size_t* const bytes = columns.bytes.data() + x;
    long long then;
    std::memcpy(&then, from + bytes[1], sizeof then);
    const __m128i one = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + bytes[0]));
    const __m256i pixels =
        _mm256_blend_epi32(_mm256_castsi128_si256(one), _mm256_set1_epi64x(then), 0xF0);
    const std::int16_t* const weights = columns.weights.data() + 8 * x;
    return _mm256_srli_epi32(
        _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pairs), load_values(weights)), kDropped);
}

// Four pixels of three bytes at a time.
FASTCLIPS_BY_AVX2 std::size_t across_colours(const Columns& columns, const std::uint8_t* from,
                                             std::size_t x, std::int16_t* to) {
    const __m256i together = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1));
    for (; x + 4 <= columns.end; x += 4) {
        const __m256i sums = _mm256_permute4x64_epi64(
            _mm256_packs_epi32(sum_colours(columns, from, x), sum_colours(columns, from, x + 2)),
            0xD8);
        const __m256i all = _mm256_shuffle_epi8(sums, together);
        auto* const at = reinterpret_cast<__m128i*>(to + 3 * x);
        auto* const then = reinterpret_cast<__m128i*>(to + 3 * x + 6);
        _mm_storeu_si128(at, _mm256_castsi256_si128(all));
        _mm_storeu_si128(then, _mm256_extracti128_si256(all, 1));
    }
    return x;
}

// Two adjacent pixels of one byte, at each of eight places.
FASTCLIPS_BY_AVX2 __m128i load_pairs(const std::uint8_t* from, const std::size_t* bytes) {
    __m128i pixels = _mm_setzero_si128();
#define FASTCLIPS_PAIR(k)                                 \
    {                                                     \
        std::uint16_t pair;                               \
        std::memcpy(&pair, from + bytes[k], sizeof pair); \
        pixels = _mm_insert_epi16(pixels, pair, k);       \
    }
    FASTCLIPS_PAIR(0)
    FASTCLIPS_PAIR(1)
    FASTCLIPS_PAIR(2)
    FASTCLIPS_PAIR(3)
    FASTCLIPS_PAIR(4)
    FASTCLIPS_PAIR(5)
    FASTCLIPS_PAIR(6)
    FASTCLIPS_PAIR(7)
#undef FASTCLIPS_PAIR
    return pixels;
}

// Eight pixels of one byte at a time.
FASTCLIPS_BY_AVX2 std::size_t across_grays(const Columns& columns, const std::uint8_t* from,
                                           std::size_t x, std::int16_t* to) {
    for (; x + 8 <= columns.end; x += 8) {
        const __m128i pixels = load_pairs(from, columns.bytes.data() + x);
        const auto* const weights =
            reinterpret_cast<const __m256i*>(columns.weights.data() + 2 * x);
        const __m256i sums = _mm256_srli_epi32(
            _mm256_madd_epi16(_mm256_cvtepu8_epi16(pixels), _mm256_loadu_si256(weights)), kDropped);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(to + x),
            _mm_packs_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
    }
    return x;
}

FASTCLIPS_BY_AVX2 __m256i blend(const std::int16_t* first, const std::int16_t* second, __m256i a,
                                __m256i b) {
    const __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(load_values(first), a),
                                         _mm256_mulhi_epi16(load_values(second), b));
    return _mm256_srli_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(2)), 2);
}

FASTCLIPS_BY_AVX2 void down_widely(const std::int16_t* first, const std::int16_t* second,
                                   const std::int16_t* weights, std::size_t count,
                                   std::uint8_t* to) {
    constexpr std::size_t kStep = 32, kHalf = kStep / 2;
    if (count < kStep) return down_plainly(first, second, weights, count, to);
    const __m256i a = _mm256_set1_epi16(weights[0]), b = _mm256_set1_epi16(weights[1]);
    for (std::size_t i = 0; i < count; i += kStep) {
        const std::size_t at = std::min(i, count - kStep);  // the last ones may be made twice
        const __m256i bytes =
            _mm256_packus_epi16(blend(first + at, second + at, a, b),
                                blend(first + at + kHalf, second + at + kHalf, a, b));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at),
                            _mm256_permute4x64_epi64(bytes, 0xD8));
    }
}
#endif

inline void across(const Columns& columns, bool wide, const std::uint8_t* from, std::int16_t* to) {
    const auto plainly = columns.channels == 3   ? across_plainly<3>
                         : columns.channels == 1 ? across_plainly<1>
                                                 : across_plainly<0>;
    std::size_t x = 0;
#ifdef __x86_64__
    if (columns.channels == 3 || (wide && columns.channels == 1)) {
        const auto run = columns.channels == 1 ? across_grays
                         : wide                ? across_colours
                                               : across_colours_plainly;
        plainly(columns, from, 0, columns.begin, to);
        x = run(columns, from, columns.begin, to);
    }
#endif
    plainly(columns, from, x, columns.count(), to);
}

inline void down(bool wide, const std::int16_t* first, const std::int16_t* second,
                 const std::int16_t* weights, std::size_t count, std::uint8_t* to) {
#ifdef __x86_64__
    if (wide) return down_widely(first, second, weights, count, to);
#endif
    down_plainly(first, second, weights, count, to);
}

}  // namespace detail

// The size of a box in pixels, and that of its result.
struct Sizes {
    std::uint32_t height, width, height_out, width_out, channels;
};

// Stretches one picture after the other. No size may be 0.
class Stretch {
  public:
    Stretch(const Sizes& sizes, Method method, bool mirrored)
        : columns_(sizes.width, sizes.width_out, sizes.channels, method, mirrored),
          taps_(find_taps(sizes.height, sizes.height_out, method)),
          used_(sizes.height),
          row_(std::size_t{sizes.width_out} * sizes.channels),
          rows_(2 * (row_ + kBeyond)) {
        for (const Tap& tap : taps_) used_[tap.first] = used_[tap.second] = 1;
#ifdef __x86_64__
        wide_ = cpu_has_avx2();
#endif
    }

    void begin() { done_ = 0; }  // a picture

    // Take row y of the box, in turn; put(row, make) is called for each row of the result that is
    // complete, in turn: make(to) writes its bytes.
    template <typename Put>
    void take(std::uint32_t y, const std::uint8_t* from, Put put) {
        if (!used_[y]) return;
        detail::across(columns_, wide_, from, row_of(y));
        while (done_ < taps_.size() && taps_[done_].second == y) {
            const Tap& tap = taps_[done_];
            put(done_++, [&](std::uint8_t* to) {
                detail::down(wide_, row_of(tap.first), row_of(tap.second), tap.weights, row_, to);
            });
        }
    }

  private:
    std::int16_t* row_of(std::uint32_t y) { return rows_.data() + y % 2 * (row_ + kBeyond); }

    Columns columns_;
    std::vector<Tap> taps_;
    std::vector<std::uint8_t> used_;  // rows of the box
    std::size_t row_;                 // values
    std::vector<std::int16_t> rows_;  // two of the box, stretched across
    std::uint32_t done_ = 0;          // rows of the result
    bool wide_ = false;
};

}  // namespace fastclips::resample
