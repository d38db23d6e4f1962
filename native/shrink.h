// Make pictures of bytes smaller: each pixel becomes the mean of the area that it covers. No
// Python.
//
// The pixels are those of OpenCV's cv2.resize(INTER_AREA) on x86-64, bit for bit:
// - If both sides shrink by whole numbers, a pixel is a sum of integers, which is multiplied by a
//   float and rounded, ties to even; the mean of 2 x 2 pixels rounds a half up.
// - Else pixels are weighted by floats, across first, then down, each sum from the first to the
//   last. No product is fused with a sum (CMakeLists.txt forbids it).
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu.h"
#include "resample.h"

namespace fastclips::shrinking {

using resample::Sizes;

namespace detail {

// The pixels that an output pixel covers, and how much of each.
struct Cover {
    std::uint32_t first;
    std::vector<float> weights;
};

inline double scale_of(std::uint32_t size, std::uint32_t count) {
    return 1 / (static_cast<double>(count) / size);
}

inline bool is_whole(double scale) { return std::abs(scale - std::nearbyint(scale)) < DBL_EPSILON; }

inline std::vector<Cover> find_covers(std::uint32_t size, std::uint32_t count) {
    constexpr double kLeast = 1e-3;  // a smaller part of a pixel is left out
    const double scale = scale_of(size, count);
    std::vector<Cover> covers;
    for (std::uint32_t i = 0; i < count; ++i) {
        const double begin = i * scale, end = begin + scale, length = std::min(scale, size - begin);
        const double last = std::min(std::floor(end), size - 1.0);
        const double first = std::min(std::ceil(begin), last);
        const bool before = first - begin > kLeast;
        Cover cover{static_cast<std::uint32_t>(first) - before, {}};
        if (before) cover.weights.push_back(static_cast<float>((first - begin) / length));
        cover.weights.insert(cover.weights.end(), static_cast<std::size_t>(last - first),
                             static_cast<float>(1 / length));
        if (end - last > kLeast)
            cover.weights.push_back(
                static_cast<float>(std::min(std::min(end - last, 1.0), length) / length));
        covers.push_back(std::move(cover));
    }
    return covers;
}

// Values of at least 0 as bytes, ties to even: a large float that is added and subtracted leaves a
// whole number.
FASTCLIPS_WIDE inline void round_all(const float* __restrict values, std::size_t count,
                                     std::uint8_t* __restrict to) {
    constexpr float kWhole = 1 << 23;
    for (std::size_t i = 0; i < count; ++i) {
        const float whole = std::min((values[i] + kWhole) - kWhole, 255.0F);
        to[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(whole));
    }
}

template <std::size_t C>
void across(const std::vector<Cover>& covers, std::size_t of, const std::uint8_t* from, float* to) {
    const std::size_t channels = C == 0 ? of : C;
    for (const Cover& cover : covers) {
        const std::uint8_t* at = from + cover.first * channels;
        std::fill(to, to + channels, 0.0F);
        for (const float weight : cover.weights) {
            for (std::size_t c = 0; c < channels; ++c) to[c] += static_cast<float>(at[c]) * weight;
            at += channels;
        }
        to += channels;
    }
}

FASTCLIPS_WIDE inline void add_row(const float* __restrict row, float weight, std::size_t count,
                                   float* __restrict sums) {
    for (std::size_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
}

inline void by_floats(const Sizes& sizes, const std::uint8_t* from, std::ptrdiff_t pitch,
                      std::uint8_t* to) {
    const auto columns = find_covers(sizes.width, sizes.width_out);
    const auto rows = find_covers(sizes.height, sizes.height_out);
    const std::size_t count = std::size_t{sizes.width_out} * sizes.channels;
    const auto stretch = sizes.channels == 3   ? across<3>
                         : sizes.channels == 1 ? across<1>
                                               : across<0>;
    std::vector<float> row(count), sums(count);
    std::uint32_t held = sizes.height;  // none
    for (const Cover& cover : rows) {
        std::fill(sums.begin(), sums.end(), 0.0F);
        for (std::uint32_t k = 0; k < cover.weights.size(); ++k) {
            const std::uint32_t y = cover.first + k;
            if (y != held)
                stretch(columns, sizes.channels, from + static_cast<std::ptrdiff_t>(y) * pitch,
                        row.data());
            held = y;
            add_row(row.data(), cover.weights[k], count, sums.data());
        }
        round_all(sums.data(), count, to);
        to += count;
    }
}

FASTCLIPS_WIDE inline void add_bytes(const std::uint8_t* __restrict row, std::size_t count,
                                     std::uint32_t* __restrict sums) {
    for (std::size_t i = 0; i < count; ++i) sums[i] += row[i];
}

// Sums of `by` pixels, of C channels, or of any number of them if C is 0.
template <std::size_t C>
void add_across(std::uint32_t* sums, std::size_t count, std::size_t by, std::size_t of) {
    const std::size_t channels = C == 0 ? of : C;
    const std::uint32_t* at = sums;
    for (std::size_t x = 0; x < count; x += channels, at += by * channels)
        for (std::size_t c = 0; c < channels; ++c) {
            std::uint32_t sum = at[c];
            for (std::size_t i = 1; i < by; ++i) sum += at[i * channels + c];
            sums[x + c] = sum;
        }
}

FASTCLIPS_WIDE inline void divide(const std::uint32_t* __restrict sums, float share,
                                  std::size_t count, float* __restrict means) {
    for (std::size_t i = 0; i < count; ++i)
        means[i] = static_cast<float>(static_cast<std::int32_t>(sums[i])) * share;
}

inline void by_integers(const Sizes& sizes, std::uint32_t down, std::uint32_t across,
                        const std::uint8_t* from, std::ptrdiff_t pitch, std::uint8_t* to) {
    const std::size_t channels = sizes.channels, count = sizes.width_out * channels;
    const auto add = channels == 3 ? add_across<3> : channels == 1 ? add_across<1> : add_across<0>;
    std::vector<std::uint32_t> sums(count * across);
    std::vector<float> means(count);
    for (std::uint32_t y = 0; y < sizes.height_out; ++y, to += count) {
        std::fill(sums.begin(), sums.end(), 0U);
        for (std::uint32_t k = 0; k < down; ++k)
            add_bytes(from + static_cast<std::ptrdiff_t>(y * down + k) * pitch, sums.size(),
                      sums.data());
        add(sums.data(), count, across, channels);
        if (down == 2 && across == 2)
            for (std::size_t i = 0; i < count; ++i)
                to[i] = static_cast<std::uint8_t>((sums[i] + 2) >> 2);
        else {
            divide(sums.data(), 1.0F / static_cast<float>(down * across), count, means.data());
            round_all(means.data(), count, to);
        }
    }
}

}  // namespace detail

// Shrink a picture, whose rows lie `pitch` bytes apart, to a size that is at most its own. No size
// may be 0.
inline void shrink(const Sizes& sizes, const std::uint8_t* from, std::ptrdiff_t pitch,
                   std::uint8_t* to) {
    const double down = detail::scale_of(sizes.height, sizes.height_out);
    const double across = detail::scale_of(sizes.width, sizes.width_out);
    if (detail::is_whole(down) && detail::is_whole(across))
        detail::by_integers(sizes, static_cast<std::uint32_t>(std::nearbyint(down)),
                            static_cast<std::uint32_t>(std::nearbyint(across)), from, pitch, to);
    else
        detail::by_floats(sizes, from, pitch, to);
}

}  // namespace fastclips::shrinking
