// Resample a picture by an affine map, in integers: the same bits on every CPU. No Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace fastclips::warp {

// Positions have 32 bits behind the point, weights 8: a pixel is interpolated at the nearest 1/256.
constexpr int kPointBits = 32, kWeightBits = 8;
constexpr std::int64_t kOne = std::int64_t{1} << kWeightBits;

enum class Fill : std::uint8_t { kNearest, kReflect, kWrap };

struct Picture {
    const std::uint8_t* data;
    std::int64_t height, width;
    std::int64_t pitch;  // bytes from row to row; within a row, pixels are together
};

// For the row or the column of a position: change per row and per column of the output, and the
// position of the first output pixel, all counted from centre to centre.
struct Line {
    std::int64_t down, across, start;
};

// The lines of the row and of the column, and the pixels outside the frame.
struct Map {
    Line y, x;
    Fill fill;
};

// A pixel of the frame for any index of an axis.
inline std::int64_t inside(std::int64_t index, std::int64_t size, Fill fill) {
    if (index >= 0 && index < size) return index;
    if (fill == Fill::kNearest) return index < 0 ? 0 : size - 1;
    const std::int64_t period = fill == Fill::kReflect ? 2 * size : size;
    index %= period;
    if (index < 0) index += period;
    return index < size ? index : 2 * size - 1 - index;
}

// Two pixels of two rows, blended; `wy` and `wx` are the weights of the second row and pixel.
inline std::uint8_t blend(unsigned a, unsigned b, unsigned c, unsigned d, unsigned wy,
                          unsigned wx) {
    const unsigned left = a * (kOne - wy) + c * wy, right = b * (kOne - wy) + d * wy;
    return static_cast<std::uint8_t>((left * (kOne - wx) + right * wx + kOne * kOne / 2) >>
                                     (2 * kWeightBits));
}

#ifdef __SSE2__
// Weighted sums of values that were moved by -0x8000: moved back, and rounded.
inline __m128i round(__m128i sums) {
    const int back = (0x8000 << kWeightBits) + (1 << (2 * kWeightBits - 1));
    return _mm_srli_epi32(_mm_add_epi32(sums, _mm_set1_epi32(back)), 2 * kWeightBits);
}

// The same for a colour pixel; reads 8 bytes from `top` and `bottom` on, of which it uses 6, and
// writes 4 bytes, of which 3 are the pixel.
inline void blend_colour(const std::uint8_t* top, const std::uint8_t* bottom, unsigned wy,
                         unsigned wx, std::uint8_t* out) {
    const __m128i zero = _mm_setzero_si128();
    const auto row = [&](const std::uint8_t* at) {
        return _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)), zero);
    };
    const __m128i second = _mm_set1_epi16(static_cast<short>(wy));
    const __m128i first = _mm_set1_epi16(static_cast<short>(kOne - wy));
    // Up to 255 * 256, without a sign; moved into the range of the signed product below.
    const __m128i sum =
        _mm_add_epi16(_mm_mullo_epi16(row(top), first), _mm_mullo_epi16(row(bottom), second));
    const __m128i moved = _mm_xor_si128(sum, _mm_set1_epi16(static_cast<short>(0x8000)));
    const __m128i pairs = _mm_unpacklo_epi16(moved, _mm_srli_si128(moved, 6));
    const __m128i weights = _mm_set1_epi32(static_cast<int>(wx << 16 | (kOne - wx)));
    const __m128i across = _mm_madd_epi16(pairs, weights);
    const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(round(across), zero), zero);
    const int pixel = _mm_cvtsi128_si32(bytes);
    std::memcpy(out, &pixel, 4);
}
#endif

// A pixel of the frame, and how far its position is past that pixel, in 1/256.
struct Place {
    std::int64_t row, column;
    unsigned wy, wx;
};

// The places of a row of the output.
class Run {
  public:
    Run(Line y, Line x, std::int64_t row)
        : y_(y.start + row * y.down + kHalf),
          x_(x.start + row * x.down + kHalf),
          by_y_(y.across),
          by_x_(x.across) {}

    Place at(std::int64_t column) const {
        const std::int64_t y = (y_ + column * by_y_) >> kShift;
        const std::int64_t x = (x_ + column * by_x_) >> kShift;
        return {y >> kWeightBits, x >> kWeightBits, static_cast<unsigned>(y & (kOne - 1)),
                static_cast<unsigned>(x & (kOne - 1))};
    }

    std::pair<std::int64_t, std::int64_t> pixel(std::int64_t column) const {
        return {(y_ + column * by_y_) >> kPointBits, (x_ + column * by_x_) >> kPointBits};
    }

#ifdef __SSE2__
    // The weights of 8 places, in rows and columns.
    std::pair<__m128i, __m128i> weights(std::int64_t column) const {
        return {weights_of(y_ + column * by_y_, by_y_), weights_of(x_ + column * by_x_, by_x_)};
    }
#endif

  private:
#ifdef __SSE2__
    // The first of the 32 bits behind the point, which wrap in 32-bit sums as in the whole
    // position.
    static __m128i weights_of(std::int64_t from, std::int64_t by) {
        const auto low = [](std::int64_t value) {
            return static_cast<int>(static_cast<std::uint32_t>(value));
        };
        const __m128i first =
            _mm_set_epi32(low(from + 3 * by), low(from + 2 * by), low(from + by), low(from));
        const __m128i second = _mm_add_epi32(first, _mm_set1_epi32(low(4 * by)));
        return _mm_packs_epi32(_mm_srli_epi32(first, kShift), _mm_srli_epi32(second, kShift));
    }
#endif

    static constexpr int kShift = kPointBits - kWeightBits;
    static constexpr std::int64_t kHalf = std::int64_t{1} << (kShift - 1);

    std::int64_t y_, x_, by_y_, by_x_;
};

// One pixel anywhere.
template <int C>
void put(const Picture& from, const Place& at, Fill fill, std::uint8_t* to) {
    const std::int64_t top = inside(at.row, from.height, fill) * from.pitch;
    const std::int64_t bottom = inside(at.row + 1, from.height, fill) * from.pitch;
    const std::int64_t left = inside(at.column, from.width, fill) * C;
    const std::int64_t right = inside(at.column + 1, from.width, fill) * C;
    for (int c = 0; c < C; ++c)
        to[c] = blend(from.data[top + left + c], from.data[top + right + c],
                      from.data[bottom + left + c], from.data[bottom + right + c], at.wy, at.wx);
}

#ifdef __SSE2__
constexpr std::int64_t kChunk = 8;  // pixels that are made together

// Pixels whose four sources lie inside the frame. A colour pixel reads two bytes beyond these and
// writes a byte beyond its own.
inline void put_chunk(const Picture& from, const Run& run, std::int64_t column, std::uint8_t* to,
                      std::integral_constant<int, 3>) {
    for (std::int64_t k = 0; k < kChunk; ++k) {
        const Place at = run.at(column + k);
        const std::uint8_t* const top = from.data + at.row * from.pitch + at.column * 3;
        blend_colour(top, top + from.pitch, at.wy, at.wx, to + 3 * k);
    }
}

inline void put_chunk(const Picture& from, const Run& run, std::int64_t column, std::uint8_t* to,
                      std::integral_constant<int, 1>) {
    __m128i above = _mm_setzero_si128(), below = above;
    const auto gather = [&](auto k) {
        const auto [row, at] = run.pixel(column + k);
        const std::uint8_t* const source = from.data + row * from.pitch + at;
        std::uint16_t top, bottom;
        std::memcpy(&top, source, 2);
        std::memcpy(&bottom, source + from.pitch, 2);
        above = _mm_insert_epi16(above, top, k);
        below = _mm_insert_epi16(below, bottom, k);
    };
    gather(std::integral_constant<int, 0>());
    gather(std::integral_constant<int, 1>());
    gather(std::integral_constant<int, 2>());
    gather(std::integral_constant<int, 3>());
    gather(std::integral_constant<int, 4>());
    gather(std::integral_constant<int, 5>());
    gather(std::integral_constant<int, 6>());
    gather(std::integral_constant<int, 7>());
    const auto weights = run.weights(column);  // clang captures no structured bindings
    const __m128i second = weights.first, after = weights.second;
    const __m128i low = _mm_set1_epi16(kOne - 1), one = _mm_set1_epi16(kOne);
    const __m128i first = _mm_sub_epi16(one, second), before = _mm_sub_epi16(one, after);
    const auto mix = [first, second = second](__m128i a, __m128i b) {
        const __m128i sum = _mm_add_epi16(_mm_mullo_epi16(a, first), _mm_mullo_epi16(b, second));
        return _mm_xor_si128(sum, _mm_set1_epi16(static_cast<short>(0x8000)));
    };
    const __m128i left = mix(_mm_and_si128(above, low), _mm_and_si128(below, low));
    const __m128i right = mix(_mm_srli_epi16(above, 8), _mm_srli_epi16(below, 8));
    const __m128i whole[] = {
        round(_mm_madd_epi16(_mm_unpacklo_epi16(left, right), _mm_unpacklo_epi16(before, after))),
        round(_mm_madd_epi16(_mm_unpackhi_epi16(left, right), _mm_unpackhi_epi16(before, after)))};
    const __m128i bytes =
        _mm_packus_epi16(_mm_packs_epi32(whole[0], whole[1]), _mm_setzero_si128());
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
}
#endif

// Resample a frame of C channels into a row of the output, (width, C).
template <int C>
void run_row(const Picture& from, const Map& map, std::int64_t row, std::uint8_t* to,
             std::int64_t width) {
    const Run run(map.y, map.x, row);
    std::int64_t column = 0;
#ifdef __SSE2__
    const auto plain = [&](std::int64_t at) {
        const Place place = run.at(at);
        return place.row >= 0 && place.row < from.height - 1 && place.column >= 0 &&
               place.column < from.width - (C == 3 ? 2 : 1);
    };
    while (column + kChunk < width) {  // a pixel is left over, whose byte may be overwritten
        // Positions change evenly, so what holds at both ends holds between them.
        if (plain(column) && plain(column + kChunk - 1)) {
            put_chunk(from, run, column, to + column * C, std::integral_constant<int, C>());
        } else {
            for (std::int64_t k = 0; k < kChunk; ++k)
                put<C>(from, run.at(column + k), map.fill, to + (column + k) * C);
        }
        column += kChunk;
    }
#endif
    for (; column < width; ++column) put<C>(from, run.at(column), map.fill, to + column * C);
}

}  // namespace fastclips::warp
