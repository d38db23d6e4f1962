// What the CPU can do, less what the environment switches off; loops for several CPUs.
#pragma once

#include <cstdlib>
#include <cstring>

// Loops of floats are compiled for wider registers, too; which of them run makes no difference.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FASTCLIPS_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define FASTCLIPS_WIDE
#endif

#define FASTCLIPS_INLINE [[gnu::always_inline]] inline

namespace fastclips {

// Whether FASTCLIPS_CPU_DISABLE names a feature: a list of AVX2, PDEP, SSE4_2 and FUSED (the
// fused pixel stage) with commas, for tests.
inline bool switched_off(const char* feature) {
    const char* at = std::getenv("FASTCLIPS_CPU_DISABLE");
    const std::size_t length = std::strlen(feature);
    while (at != nullptr) {
        const char* const end = std::strchr(at, ',');
        const std::size_t size =
            end == nullptr ? std::strlen(at) : static_cast<std::size_t>(end - at);
        if (size == length && std::strncmp(at, feature, size) == 0) return true;
        at = end == nullptr ? nullptr : end + 1;
    }
    return false;
}

#ifdef __x86_64__
inline bool cpu_has_crc32c() {
    return __builtin_cpu_supports("sse4.2") > 0 && !switched_off("SSE4_2");
}

// AVX2, and what all CPUs with AVX2 have besides.
inline bool cpu_has_avx2() {
    return __builtin_cpu_supports("avx2") > 0 && __builtin_cpu_supports("bmi2") > 0 &&
           __builtin_cpu_supports("popcnt") > 0 && !switched_off("AVX2");
}

// AVX2, and sums that take a product without rounding it.
inline bool cpu_has_fma() { return cpu_has_avx2() && __builtin_cpu_supports("fma") > 0; }

// Whether pdep of BMI2 is fast: AMD's CPUs before Zen 3 have it in microcode.
inline bool cpu_has_fast_pdep() {
    return __builtin_cpu_is("amdfam17h") == 0 && __builtin_cpu_is("amdfam15h") == 0 &&
           !switched_off("PDEP");
}
#endif

}  // namespace fastclips
