// The same box of several JPEGs -> its places in a batch. One call decodes a clip: what lies
// between two frames takes a tenth of the time in which a small box is decoded. No Python here.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "region.h"

namespace fastclips::jpeg {

namespace detail {

inline void mirror_plainly(const std::uint8_t* from, std::size_t pixels, std::size_t channels,
                           std::uint8_t* to) {
    for (from += pixels * channels; pixels > 0; --pixels, to += channels) {
        from -= channels;
        for (std::size_t c = 0; c < channels; ++c) to[c] = from[c];
    }
}

#ifdef __x86_64__
// Five pixels of three bytes at a time. Each load begins a byte before them, each store ends a byte
// after them; both stay within the row.
[[gnu::target("ssse3")]] inline void mirror_colors(const std::uint8_t* from, std::size_t pixels,
                                                   std::uint8_t* to) {
    const __m128i order = _mm_setr_epi8(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -1);
    for (; pixels > 5; pixels -= 5, to += 15) {
        const auto* last = reinterpret_cast<const __m128i*>(from + 3 * (pixels - 5) - 1);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm_shuffle_epi8(_mm_loadu_si128(last), order));
    }
    mirror_plainly(from, pixels, 3, to);
}
#endif

// Write a row's pixels in reverse.
inline void mirror(const std::uint8_t* from, std::size_t pixels, std::size_t channels,
                   std::uint8_t* to) {
#ifdef __x86_64__
    static const bool shuffles = __builtin_cpu_supports("ssse3") > 0;
    if (channels == 3 && shuffles) return mirror_colors(from, pixels, to);
#endif
    mirror_plainly(from, pixels, channels, to);
}

}  // namespace detail

// Writes bytes one after the other; if asked, whole cache lines past the caches.
class Writer {
  public:
    Writer(std::uint8_t* to, bool past_caches) : to_(to) {
#ifdef __x86_64__
        past_caches_ = past_caches && reinterpret_cast<std::uintptr_t>(to) % kLine == 0;
#else
        (void)past_caches;
#endif
    }

    void append(const std::uint8_t* from, std::size_t size) {
        if (!past_caches_) {
            std::memcpy(to_, from, size);
            to_ += size;
            return;
        }
        while (size > 0) {
            const std::size_t some = std::min(size, kStaged - filled_);
            std::memcpy(staged_ + filled_, from, some);
            filled_ += some;
            from += some;
            size -= some;
            if (filled_ == kStaged) flush();
        }
    }

    // Write what is left; nothing may be appended after that.
    void finish() {
        if (past_caches_) flush();
    }

  private:
    static constexpr std::size_t kLine = 64, kStaged = 32 * kLine;

    void flush() {
        std::size_t done = 0;
#ifdef __x86_64__
        for (; done + 16 <= filled_; done += 16)
            _mm_stream_si128(reinterpret_cast<__m128i*>(to_ + done),
                             _mm_load_si128(reinterpret_cast<const __m128i*>(staged_ + done)));
        if (filled_ < kStaged) _mm_sfence();
#endif
        std::memcpy(to_ + done, staged_ + done, filled_ - done);
        to_ += filled_;
        filled_ = 0;
    }

    std::uint8_t* to_;
    bool past_caches_ = false;
    std::size_t filled_ = 0;
    alignas(kLine) std::uint8_t staged_[kStaged];
};

// What is cut out of each frame, and how it is written.
struct Crop {
    std::uint32_t height, width;  // of the frames, which must have this size
    Box box;
    std::uint32_t scale;
    std::uint32_t out_height, out_width, channels;
    bool mirrored, past_caches;
};

// Decode a file's box through scratch memory, and write its pixels one after the other; kLeft or
// kNoRoom if that was not done.
inline Way decode_crop(RegionDecoder& decoder, Bytes file, const Crop& crop, std::uint8_t* scratch,
                       std::size_t room, std::uint8_t* out) {
    const std::optional<Frame> frame = parse(file);
    if (!frame || frame->height != crop.height || frame->width != crop.width) return Way::kLeft;
    const Region region = decoder.decode(file, *frame, crop.box, crop.scale, scratch, room);
    if (region.way == Way::kLeft || region.way == Way::kNoRoom) return region.way;
    if (region.height != crop.out_height || region.width != crop.out_width) return Way::kLeft;
    const std::size_t row = std::size_t{crop.out_width} * crop.channels;
    std::vector<std::uint8_t> mirrored(crop.mirrored ? row : 0);
    Writer writer(out, crop.past_caches);
    for (std::uint32_t y = 0; y < crop.out_height; ++y) {
        const std::uint8_t* from = scratch + region.offset + y * region.stride;
        if (crop.mirrored) {
            detail::mirror(from, crop.out_width, crop.channels, mirrored.data());
            from = mirrored.data();
        }
        writer.append(from, row);
    }
    writer.finish();
    return region.way;
}

}  // namespace fastclips::jpeg
