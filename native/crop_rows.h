// How a box of a frame is written to a row of a batch: as it is, mirrored, stretched or warped; as
// bytes or as values of a table; with channels last or first. No Python.
#pragma once

#include <optional>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "jpeg.h"
#include "resample.h"
#include "warp.h"

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

// Values of a channel: `to` has one at each `step`, whose byte is at each `step_from`.
template <typename Value>
void look_up_values(const std::uint8_t* from, std::size_t step_from, std::size_t count,
                    const Value* table, std::size_t step, Value* to) {
    for (; count > 0; --count, from += step_from, to += step)
        *to = table == nullptr ? static_cast<Value>(*from) : table[*from];
}

template <typename Value>
void look_up_row(const std::uint8_t* pixels, std::size_t width, std::size_t channels,
                 const Value* table, std::optional<std::uint32_t> plane, Value* to) {
    const auto of = [table](std::size_t c) { return table == nullptr ? table : table + 256 * c; };
    if (plane) return look_up_values(pixels + *plane, channels, width, of(*plane), 1, to);
    if (channels != 3 || table == nullptr) {
        for (std::size_t c = 0; c < channels; ++c)
            look_up_values(pixels + c, channels, width, of(c), channels, to + c);
        return;
    }
    const Value *const red = of(0), *const green = of(1), *const blue = of(2);
    for (std::size_t x = 0; x < width; ++x, pixels += 3, to += 3) {
        to[0] = red[pixels[0]];
        to[1] = green[pixels[1]];
        to[2] = blue[pixels[2]];
    }
}

// Write values of 1, 2 or 4 bytes for a row of pixels, or for one channel of them: of a table,
// which has 256 for each channel, or the bytes themselves.
inline void look_up(const std::uint8_t* pixels, std::size_t width, std::size_t channels,
                    const std::uint8_t* table, std::uint32_t item,
                    std::optional<std::uint32_t> plane, std::uint8_t* to) {
    const auto run = [&](auto* values, auto* out) {
        look_up_row(pixels, width, channels, values, plane, out);
    };
    if (item == 4)
        run(reinterpret_cast<const std::uint32_t*>(table), reinterpret_cast<std::uint32_t*>(to));
    else if (item == 2)
        run(reinterpret_cast<const std::uint16_t*>(table), reinterpret_cast<std::uint16_t*>(to));
    else
        run(table, to);
}

}  // namespace detail

// Rows of a batch are in no cache when they are written, so they are prefetched kAhead rows before.
// Rows of kLong bytes or more would evict the decoder's tables: they go past the caches if asked.
constexpr std::size_t kAhead = 4, kLong = 512;

// A box of each frame, and how it is written.
struct Crop {
    std::uint32_t height, width;  // that the frames must have
    Box box;                      // within the frames
    std::uint32_t scale;
    bool mirrored, flipped;   // left and right; top and bottom
    resample::Method method;  // if the box has another size than the output
    bool planar;              // the output has its channels first
    bool bypass_cache;
    // The value for each byte of each channel, of 1, 2 or 4 bytes; without, the bytes are written.
    const std::uint8_t* table = nullptr;
    std::uint32_t item = 1;                        // bytes of a value
    std::optional<warp::Map> warp = std::nullopt;  // from the box, which is not mirrored then
    // Of the output.
    std::uint32_t height_out = 0, width_out = 0, channels = 0;

    // Size of the box in pixels of the scaled frame.
    std::uint32_t box_height() const { return scaled(box.top, box.bottom); }
    std::uint32_t box_width() const { return scaled(box.left, box.right); }
    // Bytes of a row of pixels, of a row of the output, or of one of its planes, and of all rows.
    std::size_t pixels() const { return std::size_t{width_out} * channels; }
    std::size_t row() const { return (planar ? width_out : pixels()) * item; }
    std::size_t bytes() const { return height_out * pixels() * item; }

    // Whether the box is within the frame.
    bool fits() const {
        return box.top < box.bottom && box.left < box.right && box.bottom <= height &&
               box.right <= width && height_out > 0 && width_out > 0;
    }
    bool stretches() const {
        return !warp && (box_height() != height_out || box_width() != width_out);
    }
    bool converts() const { return table != nullptr || planar; }

  private:
    std::uint32_t scaled(std::uint32_t from, std::uint32_t to) const {
        return (to + scale - 1) / scale - from / scale;
    }
};

// What writers of a crop's rows share, one after the other.
struct RowTools {
    std::vector<std::uint8_t> pixels, row;  // of the output
    std::vector<std::uint8_t> box;          // for a warp
    std::optional<resample::Stretch> stretch;

    explicit RowTools(const Crop& crop) : pixels(crop.pixels()), row(crop.row()) {
        if (crop.warp)
            box.resize(std::size_t{crop.box_height()} * crop.box_width() * crop.channels);
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
          copies_(!streams_ && !crop.mirrored && !crop.warp && !tools.stretch && !crop.converts()),
          tools_(tools),
          out_(out) {
        if (tools.stretch) tools.stretch->begin();
    }

    // Where row y of the box may be made so that put() need not copy it; nullptr for anywhere.
    std::uint8_t* place(std::uint32_t y) const { return copies_ ? at(y) : nullptr; }

    // Take row y of the box, in turn.
    void put(std::uint32_t y, const std::uint8_t* from) const {
        if (crop_.warp) {
            const std::size_t row = std::size_t{crop_.box_width()} * crop_.channels;
            std::memcpy(tools_.box.data() + y * row, from, row);
        } else if (tools_.stretch) {
            tools_.stretch->take(y, from,
                                 [this](std::uint32_t row, auto make) { write(row, make); });
        } else if (crop_.mirrored) {
            write(y, [&](std::uint8_t* to) {
                detail::mirror(from, crop_.width_out, crop_.channels, to);
            });
        } else if (crop_.converts()) {
            convert(y, from);
        } else if (streams_) {
            detail::stream(from, row_, at(y));
        } else {
            write(y, [&](std::uint8_t* to) {
                if (from != to) std::memcpy(to, from, row_);
            });
        }
    }

    // Once all rows were taken, or not all of them.
    void finish(bool complete) const {
        if (crop_.warp && complete) run_warp();
        if (streams_) detail::finish_streaming();
    }

  private:
    std::uint8_t* at(std::uint32_t y, std::uint32_t plane = 0) const {
        const std::uint32_t row = crop_.flipped ? crop_.height_out - 1 - y : y;
        return out_ + (std::size_t{plane} * crop_.height_out + row) * row_;
    }

    void run_warp() const {
        const std::int64_t width = crop_.box_width();
        const warp::Picture picture{tools_.box.data(), crop_.box_height(), width,
                                    width * crop_.channels};
        const auto run = crop_.channels == 1 ? warp::run_row<1> : warp::run_row<3>;
        for (std::uint32_t y = 0; y < crop_.height_out; ++y)
            write(y, [&](std::uint8_t* to) { run(picture, *crop_.warp, y, to, crop_.width_out); });
    }

    // Write a row of pixels, which make() makes.
    template <typename Make>
    void write(std::uint32_t y, Make make) const {
        if (crop_.converts()) {
            make(tools_.pixels.data());
            convert(y, tools_.pixels.data());
        } else {
            store(at(y), make);
        }
    }

    // Write a row of pixels as values of a table, or by channels.
    void convert(std::uint32_t y, const std::uint8_t* pixels) const {
        for (std::uint32_t plane = 0; plane < (crop_.planar ? crop_.channels : 1); ++plane)
            store(at(y, plane), [&](std::uint8_t* to) {
                detail::look_up(pixels, crop_.width_out, crop_.channels, crop_.table, crop_.item,
                                crop_.planar ? std::optional(plane) : std::nullopt, to);
            });
    }

    // Write a row of the output, or of a plane, which make() makes.
    template <typename Make>
    void store(std::uint8_t* to, Make make) const {
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
    bool streams_, copies_;
    RowTools& tools_;
    std::uint8_t* out_;
};

}  // namespace fastclips::jpeg
