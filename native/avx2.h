// Marks of functions for x86-64 with AVX2. The rest is built for any x86-64, and chooses them at
// run time (cpu.h).
#pragma once

#ifdef __x86_64__

#include <immintrin.h>

#include "cpu.h"

#define FASTCLIPS_AVX2 [[gnu::target("avx2,bmi2,popcnt")]]

namespace fastclips {

// The coefficients of a block, or their quantisers, in some order.
struct Coefficients {
    __m256i parts[4];  // 16 numbers of 16 bits each
};

}  // namespace fastclips

#endif
