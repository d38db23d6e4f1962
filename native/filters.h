// Filters of float32 pictures, whose sums have one order: the same bits on every CPU, if no
// product is fused with a sum (CMakeLists.txt forbids it). No Python.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu.h"

namespace fastclips::filters {

// out[i] = weights[reach] * rows[reach][i] + sum over j of weights[reach - j] * (the rows j before
// and after it), in the order j = 1, 2, ...
FASTCLIPS_WIDE inline void weigh_rows(const float* const* rows, const float* weights,
                                      std::size_t reach, std::size_t count, float* out) {
    const float* const middle = rows[reach];
    const float centre = weights[reach];
    for (std::size_t i = 0; i < count; ++i) out[i] = centre * middle[i];
    for (std::size_t j = 1; j <= reach; ++j) {
        const float* const before = rows[reach - j];
        const float* const after = rows[reach + j];
        const float weight = weights[reach - j];
        for (std::size_t i = 0; i < count; ++i) out[i] += weight * (before[i] + after[i]);
    }
}

// out[p, c] = m[c][0] * in[p, 0] + m[c][1] * in[p, 1] + m[c][2] * in[p, 2], from left to right.
FASTCLIPS_WIDE inline void mix(const float* __restrict in, const float* __restrict m,
                               std::size_t pixels, float* __restrict out) {
    for (std::size_t p = 0; p < pixels; ++p) {
        const float r = in[3 * p], g = in[3 * p + 1], b = in[3 * p + 2];
        for (std::size_t c = 0; c < 3; ++c)
            out[3 * p + c] = m[3 * c] * r + m[3 * c + 1] * g + m[3 * c + 2] * b;
    }
}

// Mirrored at the border, which is not repeated: c b | a b c d | c b.
inline std::size_t mirrored(std::ptrdiff_t index, std::size_t size) {
    const auto last = static_cast<std::ptrdiff_t>(size) - 1;
    if (last == 0) return 0;
    index %= 2 * last;
    if (index < 0) index += 2 * last;
    return static_cast<std::size_t>(index <= last ? index : 2 * last - index);
}

// Convolve a picture, (height, width, channels), with symmetric weights in both directions.
inline void blur(const float* in, std::size_t height, std::size_t width, std::size_t channels,
                 const std::vector<float>& weights, float* out) {
    const std::size_t reach = weights.size() / 2, pitch = width * channels;
    std::vector<float> padded((width + 2 * reach) * channels);
    std::vector<const float*> rows(weights.size());
    for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t k = 0; k < weights.size(); ++k)
            rows[k] = in + pitch * mirrored(static_cast<std::ptrdiff_t>(y + k) -
                                                static_cast<std::ptrdiff_t>(reach),
                                            height);
        float* const inner = padded.data() + reach * channels;
        weigh_rows(rows.data(), weights.data(), reach, pitch, inner);
        for (std::size_t k = 1; k <= reach; ++k) {
            const auto left = mirrored(-static_cast<std::ptrdiff_t>(k), width);
            const auto right = mirrored(static_cast<std::ptrdiff_t>(width - 1 + k), width);
            for (std::size_t c = 0; c < channels; ++c) {
                padded[(reach - k) * channels + c] = inner[left * channels + c];
                inner[(width - 1 + k) * channels + c] = inner[right * channels + c];
            }
        }
        for (std::size_t k = 0; k < weights.size(); ++k) rows[k] = padded.data() + k * channels;
        weigh_rows(rows.data(), weights.data(), reach, pitch, out + y * pitch);
    }
}

// The mean and the standard deviation of all values, each sum in doubles from the first to the
// last.
struct Moments {
    double mean, deviation;
};

inline Moments find_moments(const float* values, std::size_t count) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const double value = values[i];
        sum += value, squares += value * value;
    }
    const double share = 1 / static_cast<double>(count), mean = sum * share;
    return {mean, std::sqrt(std::max(squares * share - mean * mean, 0.0))};
}

// Values to a power, by the C library, except for those that are exact to the last bit.
template <typename Float>
void raise(Float* values, std::size_t count, Float exponent) {
    const auto each = [&](auto change) { std::transform(values, values + count, values, change); };
    if (exponent == 2) return each([](Float value) { return value * value; });
    if (exponent == Float{0.5}) return each([](Float value) { return std::sqrt(value); });
    if (exponent != 1) each([&](Float value) { return std::pow(value, exponent); });
}

FASTCLIPS_WIDE inline void add_row(const float* __restrict row, float by, std::size_t count,
                                   float* __restrict sums) {
    for (std::size_t j = 0; j < count; ++j) sums[j] += by * row[j];
}

FASTCLIPS_WIDE inline void add_sums(const float* __restrict sums, std::size_t count,
                                    float* __restrict out) {
    for (std::size_t j = 0; j < count; ++j) out[j] += sums[j];
}

// out = in * matrix, of (rows, size) and (size, size): for each value the sums of kSummed products
// each, from the first to the last, and then the sum of these. Few rows of the matrix at a time
// stay in the cache for all rows.
inline constexpr std::size_t kSummed = 64;

inline void multiply(const float* in, const float* matrix, std::size_t rows, std::size_t size,
                     float* out) {
    std::vector<float> sums(size);
    std::fill(out, out + rows * size, 0.0F);
    for (std::size_t first = 0; first < size; first += kSummed)
        for (std::size_t row = 0; row < rows; ++row) {
            std::fill(sums.begin(), sums.end(), 0.0F);
            for (std::size_t i = first; i < std::min(first + kSummed, size); ++i)
                add_row(matrix + i * size, in[row * size + i], size, sums.data());
            add_sums(sums.data(), size, out + row * size);
        }
}

}  // namespace fastclips::filters
