// Decode the same box of several JPEGs into rows of a batch, stretched if it has another size, in
// one call for a clip. No Python.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "region.h"
#include "resample.h"

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
// Five pixels of three bytes at a time. A load begins one byte before the pixels and a store ends
// one byte after them; both stay within the row.
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

// Write the pixels of a row in reverse.
inline void mirror(const std::uint8_t* from, std::size_t pixels, std::size_t channels,
                   std::uint8_t* to) {
#ifdef __x86_64__
    static const bool shuffles = __builtin_cpu_supports("ssse3") > 0;
    if (channels == 3 && shuffles) return mirror_colors(from, pixels, to);
#endif
    mirror_plainly(from, pixels, channels, to);
}

// Write a row past the caches; `to` and `size` must be multiples of 16.
inline void stream(const std::uint8_t* from, std::size_t size, std::uint8_t* to) {
#ifdef __x86_64__
    for (std::size_t i = 0; i < size; i += 16)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
#else
    std::memcpy(to, from, size);
#endif
}

// Prefetch memory that will be written. The address need not be mapped. For __builtin_prefetch the
// compiler emits a prefetch for reading, which leaves the line shared.
inline void expect(const std::uint8_t* at, std::size_t size) {
#ifdef __x86_64__
    for (std::size_t i = 0; i < size; i += 64) asm volatile("prefetchw %0" : : "m"(at[i]));
#else
    for (std::size_t i = 0; i < size; i += 64) __builtin_prefetch(at + i, 1);
#endif
}

inline void finish_streaming() {
#ifdef __x86_64__
    _mm_sfence();
#endif
}

}  // namespace detail

// Rows of a batch are in no cache when they are written, so they are prefetched kAhead rows before.
// Rows of kLong bytes or more would evict the decoder's tables: they go past the caches if asked.
constexpr std::size_t kAhead = 4, kLong = 512;

// The box of each frame, and how it is written.
struct Crop {
    std::uint32_t height, width;  // that the frames must have
    Box box;                      // within the frames
    std::uint32_t scale;
    std::uint32_t height_out, width_out, channels;
    bool mirrored, flipped;   // left and right; top and bottom
    resample::Method method;  // if the box has another size than the output
    bool bypass_cache;

    // Size of the box in pixels of the scaled frame.
    std::uint32_t box_height() const { return scaled(box.top, box.bottom); }
    std::uint32_t box_width() const { return scaled(box.left, box.right); }
    std::size_t row() const { return std::size_t{width_out} * channels; }  // bytes of the output

    // Whether the box is within the frame.
    bool fits() const {
        return box.top < box.bottom && box.left < box.right && box.bottom <= height &&
               box.right <= width && height_out > 0 && width_out > 0;
    }
    bool stretches() const { return box_height() != height_out || box_width() != width_out; }

  private:
    std::uint32_t scaled(std::uint32_t from, std::uint32_t to) const {
        return (to + scale - 1) / scale - from / scale;
    }
};

// What writers of a crop's rows share, one after the other.
struct RowTools {
    std::vector<std::uint8_t> row;  // of the output
    std::optional<resample::Stretch> stretch;

    explicit RowTools(const Crop& crop) : row(crop.row()) {
        if (crop.stretches())
            stretch.emplace(resample::Sizes{crop.box_height(), crop.box_width(), crop.height_out,
                                            crop.width_out, crop.channels},
                            crop.method, crop.mirrored);
    }
};

// Writes the rows of a crop one after the other, from `out` on.
class RowWriter {
  public:
    RowWriter(const Crop& crop, RowTools& tools, std::uint8_t* out)
        : crop_(crop),
          row_(crop.row()),
          streams_(crop.bypass_cache && row_ >= kLong && row_ % 16 == 0 &&
                   reinterpret_cast<std::uintptr_t>(out) % 16 == 0),
          tools_(tools),
          out_(out) {
        if (tools.stretch) tools.stretch->begin();
    }

    // Take row y of the box, in turn.
    void put(std::uint32_t y, const std::uint8_t* from) const {
        if (tools_.stretch) {
            tools_.stretch->take(y, from,
                                 [this](std::uint32_t row, auto make) { write(row, make); });
        } else if (crop_.mirrored) {
            write(y, [&](std::uint8_t* to) {
                detail::mirror(from, crop_.width_out, crop_.channels, to);
            });
        } else if (streams_) {
            detail::stream(from, row_, at(y));
        } else {
            write(y, [&](std::uint8_t* to) { std::memcpy(to, from, row_); });
        }
    }

    void finish() const {
        if (streams_) detail::finish_streaming();
    }

  private:
    std::uint8_t* at(std::uint32_t y) const {
        return out_ + (crop_.flipped ? crop_.height_out - 1 - y : y) * row_;
    }

    // Write a row of the output, which make() makes.
    template <typename Make>
    void write(std::uint32_t y, Make make) const {
        std::uint8_t* const to = at(y);
        if (streams_) {
            make(tools_.row.data());
            detail::stream(tools_.row.data(), row_, to);
        } else {
            make(to);
            const auto ahead = static_cast<std::ptrdiff_t>(kAhead * row_);
            detail::expect(crop_.flipped ? to - ahead : to + ahead, row_);
        }
    }

    const Crop& crop_;
    std::size_t row_;
    bool streams_;
    RowTools& tools_;
    std::uint8_t* out_;
};

// Decode the box of a file and write its rows one after the other; kDeclined if that failed, even
// after some rows.
inline Rung decode_crop(RegionDecoder& decoder, Bytes file, const Crop& crop, RowTools& tools,
                        std::uint8_t* out) {
    const std::optional<Frame> frame = parse_frame(file);
    if (!frame || frame->height != crop.height || frame->width != crop.width)
        return Rung::kDeclined;
    const RowWriter writer(crop, tools, out);
    const Rung rung = decoder.decode_rows(
        file, *frame, crop.box, crop.scale,
        [&](std::uint32_t y, const std::uint8_t* from) { writer.put(y, from); });
    writer.finish();
    return rung;
}

// Decode a crop of several files, each into its own row of `out`, and store the rung of each in
// `rungs`. All files are declined if the box leaves the frame.
inline void decode_crops(RegionDecoder& decoder, const std::vector<Bytes>& files, const Crop& crop,
                         const std::vector<std::uint32_t>& rows, std::uint8_t* out, char* rungs) {
    std::fill_n(rungs, files.size(), static_cast<char>(Rung::kDeclined));
    if (!crop.fits()) return;
    RowTools tools(crop);
    for (std::size_t i = 0; i < files.size(); ++i)
        rungs[i] = static_cast<char>(decode_crop(decoder, files[i], crop, tools,
                                                 out + rows[i] * crop.height_out * crop.row()));
}

}  // namespace fastclips::jpeg
