// Changes of hue, saturation and value of float32 pictures. No Python.
//
// The formulas are those of OpenCV's cv2.cvtColor for floats, COLOR_RGB2HSV and COLOR_HSV2RGB, as
// it computes them where the CPU fuses products with sums (x86-64 with FMA, aarch64). Other CPUs
// make the same bits here: fuse() rounds once, with or without the instruction.
//
// In the last `width % 8` pixels of a row, a hue of 300 to 360 degrees is rounded twice, as OpenCV
// does behind its last full vector.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu.h"
#include "filters.h"

namespace fastclips::hsv {

inline constexpr std::size_t kVector = 8;  // pixels of OpenCV's vector with FMA
inline constexpr float kSpeck = 1e-5F;     // smaller saturations are float32's rounding

namespace detail {

inline constexpr std::size_t kBlock = 64;

// Some pixels of a row: red, green and blue, or hue, saturation and value.
struct Planes {
    float at[3][kBlock];
};

// a * b + c, rounded once; without the instruction, by doubles, the sum rounded to odd.
template <bool kByInstruction>
FASTCLIPS_INLINE float fuse(float a, float b, float c) {
    if constexpr (kByInstruction) return __builtin_fmaf(a, b, c);
    const double product = static_cast<double>(a) * b, added = c;  // exact
    const double sum = product + added, part = sum - product;
    const double lost = (product - (sum - part)) + (added - part);
    std::int64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    const std::int64_t away = (lost > 0) == (sum > 0) ? 1 : -1, even = ~bits & 1;
    bits += away * (even & static_cast<std::int64_t>(lost != 0));
    double odd;
    std::memcpy(&odd, &bits, sizeof odd);
    return static_cast<float>(odd);
}

// One of two values, without a branch, so that compilers use vectors.
FASTCLIPS_INLINE float pick(bool when, float one, float other) {
    std::uint32_t bits, others;
    std::memcpy(&bits, &one, sizeof bits);
    std::memcpy(&others, &other, sizeof others);
    bits = others ^ ((bits ^ others) & (0U - static_cast<std::uint32_t>(when)));
    std::memcpy(&one, &bits, sizeof one);
    return one;
}

// `whole` is the number of pixels before the last ones of the row, which are rounded twice.
template <bool kByInstruction>
FASTCLIPS_INLINE void to_hsv(Planes& planes, std::size_t whole, std::size_t count) {
    auto& [red, green, blue] = planes.at;
    for (std::size_t i = 0; i < count; ++i) {
        const float r = red[i], g = green[i], b = blue[i];
        float most = pick(r < g, g, r), least = pick(r > g, g, r);
        most = pick(most < b, b, most), least = pick(least > b, b, least);
        const float range = most - least, by_degrees = 60.0F / (range + FLT_EPSILON);
        const bool is_red = r == most, is_green = g == most;
        const float slope = pick(is_red, g - b, pick(is_green, b - r, r - g));
        const float start = pick(is_red, pick(g < b, 360.0F, 0.0F), pick(is_green, 120.0F, 240.0F));
        const float once = fuse<kByInstruction>(slope, by_degrees, start);
        const float twice = slope * by_degrees + 360.0F;
        red[i] = pick((i >= whole) & (start == 360.0F), twice, once);
        green[i] = range / (std::fabs(most) + FLT_EPSILON);
        blue[i] = most;
    }
}

// Hues are 0 to 360 degrees.
template <bool kByInstruction>
FASTCLIPS_INLINE void to_rgb(Planes& planes, std::size_t count) {
    auto& [hue, saturation, value] = planes.at;
    for (std::size_t i = 0; i < count; ++i) {
        const float s = saturation[i], v = value[i], sixths = hue[i] * (6.0F / 360.0F);
        const auto sector = static_cast<float>(static_cast<std::int32_t>(sixths));
        const float part = sixths - sector;
        const float low = v * (1.0F - s);
        const float falling = v * fuse<kByInstruction>(-s, part, 1.0F);
        const float rising = v * fuse<kByInstruction>(-s, 1.0F - part, 1.0F);
        const auto by_sector = [&](float first, float second, float third, float fourth,
                                   float fifth, float sixth) {  // and the first again
            const float behind = pick(sector == 4, fifth, pick(sector == 5, sixth, first));
            const float before = pick(sector == 0, first, pick(sector == 1, second, third));
            return pick(sector < 3, before, pick(sector == 3, fourth, behind));
        };
        hue[i] = by_sector(v, falling, low, low, rising, v);
        saturation[i] = by_sector(rising, v, v, falling, low, low);
        value[i] = by_sector(low, low, rising, v, v, falling);
    }
}

template <bool kByInstruction, typename Change>
FASTCLIPS_INLINE void change_rows(float* pixels, std::size_t height, std::size_t width,
                                  const Change& change) {
    Planes planes;
    const std::size_t whole = width - width % kVector;
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; x += kBlock) {
            float* const at = pixels + 3 * (y * width + x);
            const std::size_t count = std::min(kBlock, width - x);
            for (std::size_t i = 0; i < count; ++i)
                for (std::size_t c = 0; c < 3; ++c) planes.at[c][i] = at[3 * i + c];
            to_hsv<kByInstruction>(planes, whole > x ? whole - x : 0, count);
            change(planes, count);
            to_rgb<kByInstruction>(planes, count);
            for (std::size_t i = 0; i < count; ++i)
                for (std::size_t c = 0; c < 3; ++c) at[3 * i + c] = planes.at[c][i];
        }
}

#ifdef __x86_64__
template <typename Change>
[[gnu::target("avx2,fma")]] void change_rows_by_fma(float* pixels, std::size_t height,
                                                    std::size_t width, const Change& change) {
    change_rows<true>(pixels, height, width, change);
}
#endif

template <typename Change>
void change(float* pixels, std::size_t height, std::size_t width, const Change& change) {
#ifdef __x86_64__
    if (cpu_has_fma()) return change_rows_by_fma(pixels, height, width, change);
    change_rows<false>(pixels, height, width, change);
#else
    change_rows<true>(pixels, height, width, change);
#endif
}

}  // namespace detail

// Turn the hue of a picture, (height, width, 3), by 0 to 360 degrees.
inline void rotate_hue(float* pixels, std::size_t height, std::size_t width, float degrees) {
    detail::change(pixels, height, width, [&](detail::Planes& planes, std::size_t count) {
        float* const hue = planes.at[0];
        for (std::size_t i = 0; i < count; ++i) {
            const float turned = hue[i] + degrees;
            hue[i] = detail::pick(turned >= 360.0F, turned - 360.0F, turned);
        }
    });
}

// Raise saturation and value of a picture, (height, width, 3) on the scale of bytes, to powers.
inline void raise(float* pixels, std::size_t height, std::size_t width, float saturation,
                  float value) {
    detail::change(pixels, height, width, [&](detail::Planes& planes, std::size_t count) {
        float* const s = planes.at[1];
        float* const v = planes.at[2];
        for (std::size_t i = 0; i < count; ++i) {
            s[i] = s[i] > kSpeck ? s[i] : 0.0F;
            v[i] /= 255.0F;
        }
        filters::raise(s, count, saturation);
        filters::raise(v, count, value);
        for (std::size_t i = 0; i < count; ++i) v[i] *= 255.0F;
    });
}

}  // namespace fastclips::hsv
