// Decode a box of a JPEG or a dct frame to pixels. scan.h or dct_reader.h reads the coefficients of
// the box; the fused stage (fused.h) makes pixels of them, or libjpeg-turbo does, as if they were a
// picture of that size. No Python.
//
// The pixels equal those of the whole frame, bit for bit:
// - libjpeg's fancy upsampling mixes a sample of subsampled colour with the sample beside it, and
//   repeats the outermost sample at an edge. So the decoded region extends one pixel beyond the box
//   (kMargin), except at the frame's own edges.
// - It upsamples plainly if there are at most two samples in a row. So no region that narrow is
//   decoded (kNarrowest), unless the frame is.
// - Inverse transforms, scaled or not, work block by block, and regions begin with a block.
//
// libjpeg-turbo reads coefficients in a stage that is a structure of functions, the second of which
// it calls for each MCU. We replace that function by our own: it is faster, and nothing need be
// encoded again for libjpeg-turbo.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <type_traits>

// Needs cstdio first.
#include <jpeglib.h>
#if __has_include(<jpegint.h>)
extern "C" {
#include <jpegint.h>
}
#endif

#include "fused.h"
#include "jpeg.h"
#include "scan.h"

namespace fastclips::jpeg {

inline constexpr std::uint32_t kMargin = 1;     // pixels of the scaled frame
inline constexpr std::uint32_t kNarrowest = 6;  // pixels of the scaled frame
// libjpeg-turbo's colour conversion writes rows that start at a multiple of 32 bytes past the
// caches, which is a fifth slower here. So rows start 16 bytes after such a multiple. The distance
// between rows is whole pixels, and there is room for one more row, so that a view of wider,
// adjacent rows stays within the memory. Rows of a whole frame are adjacent.
inline constexpr std::size_t kRowStep = 32, kRowStart = 16;
inline constexpr std::uint32_t kChunk = 16;  // rows at a time: they fit the nearest cache

// How a frame is decoded, cheapest first. Python knows the rungs before kDeclined, and decodes on
// kPillow and kArray itself.
enum class Rung : std::uint8_t {
    kSliced,    // the box, from the restart markers before it
    kCropped,   // the box, after passing the codes before it
    kWhole,     // a whole JPEG or usual PNG
    kPillow,    // a whole file of another format, by Pillow
    kArray,     // nothing: pixels were given
    kDeclined,  // not decoded: unusual or damaged
    kNoRoom,    // not decoded: the output is too small
};

inline bool is_scale(std::uint32_t scale) {
    return scale == 1 || scale == 2 || scale == 4 || scale == 8;
}

struct Region {
    Rung rung = Rung::kDeclined;
    std::uint32_t top = 0, left = 0, bottom = 0, right = 0;  // in the scaled frame
    std::size_t offset = 0, stride = 0;                      // bytes in the output
    std::size_t needed = 0;                                  // bytes of output, for kNoRoom
};

// Read the header of a JPEG or a dct frame; nothing if the file is neither, unusual or damaged.
inline std::optional<Frame> parse_frame(Bytes file) {
    return dct::is_dct(file) ? dct::parse(file) : parse(file);
}

// Decodes regions of frames, one at a time. Not thread-safe.
class RegionDecoder {
  public:
    // With `gray`, the output is the luma.
    RegionDecoder(bool gray, bool fast_dct) : gray_(gray), fast_dct_(fast_dct) {
        info_.err = jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) { stop(info); };
        // A warning is damage, which the decoder of the whole frame reports.
        errors_.emit_message = [](j_common_ptr info, int level) {
            if (level < 0) stop(info);
        };
        errors_.output_message = [](j_common_ptr) {};
        info_.client_data = this;
        if (setjmp(jump_) == 0) {
            jpeg_create_decompress(&info_);
            usable_ = true;
        }
        source_.init_source = [](j_decompress_ptr) {};
        source_.fill_input_buffer = [](j_decompress_ptr info) -> boolean {
            stop(reinterpret_cast<j_common_ptr>(info));
        };
        source_.skip_input_data = [](j_decompress_ptr info, long count) {
            if (count <= 0) return;
            if (static_cast<unsigned long>(count) > info->src->bytes_in_buffer)
                stop(reinterpret_cast<j_common_ptr>(info));
            info->src->next_input_byte += count;
            info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
        };
        source_.resync_to_restart = jpeg_resync_to_restart;
        source_.term_source = [](j_decompress_ptr) {};
    }
    ~RegionDecoder() { jpeg_destroy_decompress(&info_); }
    RegionDecoder(const RegionDecoder&) = delete;
    RegionDecoder& operator=(const RegionDecoder&) = delete;

    std::uint32_t channels() const { return gray_ ? 1 : 3; }

    // Decode a box, in pixels of the full frame, at 1 / scale of its size.
    Region decode(Bytes file, Box box, std::uint32_t scale, std::uint8_t* out, std::size_t room) {
        const std::optional<Frame> frame = parse_frame(file);
        if (!frame) return {};
        const Held held = prepare(file, *frame, box, scale);
        if (held.rung == Rung::kDeclined) return {};
        Region region{held.rung, held.box.top / scale, held.box.left / scale,
                      up(held.box.bottom, scale), up(held.box.right, scale)};
        const std::size_t pitch = held.rung == Rung::kWhole ? held.width : apart(held.width);
        region.stride = pitch * channels();
        region.needed = kRowStep + region.stride * (held.height + 1);
        if (region.needed > room) {
            region.rung = Rung::kNoRoom;
            return region;
        }
        region.offset = start(out);
        std::uint8_t* const first = out + region.offset;
        bool done = false;
        if (held.fused) {
            Adjacent rows{first, region.stride};
            done = run_fused(rows);
        } else {
            done = run(
                held, scale,
                [&](std::uint32_t y, std::uint32_t) { return first + y * region.stride; },
                [](std::uint32_t, std::uint32_t, JSAMPROW*) {});
        }
        if (!done) return {};
        region.offset += held.down * region.stride + std::size_t{held.across} * channels();
        return region;
    }

    // Decode a box of a parsed file row by row: rows.put(y, pixels) is called for each row of the
    // box in turn. Before that, rows.place(y) may be asked where the row should be, or nullptr for
    // anywhere. Damage may be found after some rows were put.
    template <typename Rows>
    Rung decode_rows(Bytes file, const Frame& frame, Box box, std::uint32_t scale, Rows& rows) {
        const Held held = prepare(file, frame, box, scale);
        if (held.rung == Rung::kDeclined) return Rung::kDeclined;
        if (held.fused) return run_fused(rows) ? held.rung : Rung::kDeclined;
        const std::size_t stride = apart(held.width) * channels();
        if (rows_.size() < kRowStep + stride * kChunk) rows_.resize(kRowStep + stride * kChunk);
        std::uint8_t* const first = rows_.data() + start(rows_.data());
        const std::uint32_t height = up(held.box.bottom, scale) - held.box.top / scale;
        const bool done = run(
            held, scale, [&](std::uint32_t, std::uint32_t i) { return first + i * stride; },
            [&](std::uint32_t y, std::uint32_t count, JSAMPROW* given) {
                for (std::uint32_t i = 0; i < count; ++i)
                    if (y + i - held.down < height)  // wraps around above the box
                        rows.put(y + i - held.down,
                                 given[i] + std::size_t{held.across} * channels());
            });
        return done ? held.rung : Rung::kDeclined;
    }

  private:
    // The head of libjpeg-turbo's jpeg_entropy_decoder, the same in 2.1 and in 3.2. jpegint.h
    // declares it, but is not installed everywhere.
    struct EntropyDecoder {
        void (*start_pass)(j_decompress_ptr);
        boolean (*decode_mcu)(j_decompress_ptr, JBLOCKROW*);
    };
    static_assert(std::is_same_v<Block, JBLOCK>);
#if __has_include(<jpegint.h>)
    static_assert(offsetof(jpeg_entropy_decoder, decode_mcu) ==
                      offsetof(EntropyDecoder, decode_mcu) &&
                  std::is_same_v<decltype(jpeg_entropy_decoder::decode_mcu),
                                 decltype(EntropyDecoder::decode_mcu)>);
#endif

    static boolean decode_mcu(j_decompress_ptr info, JBLOCKROW* blocks) {
        if (!static_cast<RegionDecoder*>(info->client_data)->scan_.read(blocks))
            stop(reinterpret_cast<j_common_ptr>(info));
        return TRUE;
    }
    static boolean decode_dct_mcu(j_decompress_ptr info, JBLOCKROW* blocks) {
        if (!static_cast<RegionDecoder*>(info->client_data)->dct_.read(blocks))
            stop(reinterpret_cast<j_common_ptr>(info));
        return TRUE;
    }

    static std::uint32_t up(std::uint32_t value, std::uint32_t by) { return (value + by - 1) / by; }
    static std::size_t apart(std::size_t width) {
        return (width + kRowStep - 1) / kRowStep * kRowStep;
    }
    static std::size_t start(const std::uint8_t* memory) {
        return (kRowStep + kRowStart - reinterpret_cast<std::uintptr_t>(memory) % kRowStep) %
               kRowStep;
    }

    // Rows of memory that is large enough.
    struct Adjacent {
        std::uint8_t* first;
        std::size_t stride;
        std::uint8_t* place(std::uint32_t y) const { return first + y * stride; }
        void put(std::uint32_t, const std::uint8_t*) const {}
    };

    // The region that is decoded for a box; of the fused stage, the box.
    struct Held {
        Rung rung = Rung::kDeclined;
        bool fused = false;
        Box box{};                            // as requested, cut to the frame
        Bytes header{};                       // of a picture as large as the region
        std::uint32_t height = 0, width = 0;  // of the region, scaled
        std::uint32_t down = 0, across = 0;   // of the box in the region, scaled
    };

    // Prepare for run().
    Held prepare(Bytes file, const Frame& frame, Box box, std::uint32_t scale) {
        if (!usable_ || !frame.simple || std::max(frame.height, frame.width) < kSmallest) return {};
        box.bottom = std::min(box.bottom, frame.height);
        box.right = std::min(box.right, frame.width);
        if (box.top >= box.bottom || box.left >= box.right) return {};
        const Box mcus = whole_mcus(frame, widened(frame, box, scale));
        packed_ = frame.packed;
        if (packed_) {
            dct_.begin(file, frame, mcus);
        } else if (!find_segments(file, frame, starts_) ||
                   !scan_.begin(file, frame, starts_, mcus)) {
            return {};
        }
        Held held;
        held.box = box;
        held.rung = mcus.bottom - mcus.top == frame.height && mcus.right - mcus.left == frame.width
                        ? Rung::kWhole
                    : packed_ || can_slice(frame) ? Rung::kSliced
                                                  : Rung::kCropped;
        if (begin_fused(file, frame, mcus, box, scale)) {
            held.fused = true;
            held.height = up(box.bottom, scale) - box.top / scale;
            held.width = up(box.right, scale) - box.left / scale;
            return held;
        }
        const std::size_t most = packed_ ? dct::kJpegHeader : frame.scan + kHeaderExtra;
        if (header_.size() < most) header_.resize(most);
        const std::size_t written = packed_ ? dct::write_header(file, frame, mcus, header_.data())
                                            : write_header(file, frame, mcus, header_.data());
        held.header = {header_.data(), written};
        held.height = up(mcus.bottom - mcus.top, scale);
        held.width = up(mcus.right - mcus.left, scale);
        held.down = box.top / scale - mcus.top / scale;
        held.across = box.left / scale - mcus.left / scale;
        return held;
    }

    // Prepare for run_fused(), if the fused stage decodes such frames.
    bool begin_fused([[maybe_unused]] Bytes file, [[maybe_unused]] const Frame& frame,
                     [[maybe_unused]] Box mcus, [[maybe_unused]] Box box,
                     [[maybe_unused]] std::uint32_t scale) {
#ifdef __x86_64__
        if (!fuses_ || fast_dct_) return false;
        if (!(packed_ ? dct::is_ycc_or_gray(file) : is_ycc_or_gray(file, frame))) return false;
        box = {box.top / scale, box.left / scale, up(box.bottom, scale), up(box.right, scale)};
        if (!fused_.begin(frame, mcus, box, scale, gray_)) return false;
        const auto tables = packed_ ? dct::quantizers_of(file, frame) : quantizers_of(file, frame);
        for (std::uint32_t c = 0; c < frame.components; ++c) fused_.quantise(c, tables[c]);
        return true;
#else
        return false;
#endif
    }

    // Make the rows of the box by the fused stage; false if the file is damaged.
    template <typename Rows>
    bool run_fused([[maybe_unused]] Rows& rows) {
#ifdef __x86_64__
        if (packed_) {
            DctBlocks blocks(dct_);
            return fused_.run(blocks, rows) && dct_.finish();
        }
        ScanBlocks blocks(scan_, fused_.blocks());
        return fused_.run(blocks, rows) && scan_.finish();
#else
        return false;
#endif
    }

    // The box and the pixels around it that it depends on, in whole pixels of the scaled frame.
    static Box widened(const Frame& frame, Box box, std::uint32_t scale) {
        // Colour with all samples is not upsampled, and 4:1:1 is upsampled plainly.
        const std::uint32_t across = frame.mcu_width == 16 ? kMargin : 0;
        const std::uint32_t down = frame.mcu_height == 16 ? kMargin : 0;
        const std::uint32_t height = up(frame.height, scale), width = up(frame.width, scale);
        box = {box.top / scale, box.left / scale, up(box.bottom, scale), up(box.right, scale)};
        box = {box.top - std::min(box.top, down), box.left - std::min(box.left, across),
               std::min(box.bottom + down, height), std::min(box.right + across, width)};
        if (box.right - box.left < kNarrowest) {
            box.left -= std::min(box.left, kNarrowest);
            box.right = std::min(box.right + kNarrowest, width);
        }
        return {box.top * scale, box.left * scale, std::min(box.bottom * scale, frame.height),
                std::min(box.right * scale, frame.width)};
    }

    // Decode the region: row_at(y, i) returns the memory of row y, the i-th of up to kChunk rows;
    // take(y, count, rows) is called with each chunk. False if the file is damaged.
    template <typename RowAt, typename Take>
    bool run(const Held& held, std::uint32_t scale, RowAt row_at, Take take) {
        // No object here may need a destructor, which a jump would skip.
        if (setjmp(jump_) != 0) {
            jpeg_abort_decompress(&info_);
            return false;
        }
        source_.next_input_byte = held.header.data;
        source_.bytes_in_buffer = held.header.size;
        info_.src = &source_;
        jpeg_read_header(&info_, TRUE);
        info_.out_color_space = gray_ ? JCS_GRAYSCALE : JCS_RGB;
        info_.dct_method = fast_dct_ ? JDCT_IFAST : JDCT_ISLOW;
        info_.scale_num = 1;
        info_.scale_denom = scale;
        jpeg_start_decompress(&info_);
        reinterpret_cast<EntropyDecoder*>(info_.entropy)->decode_mcu =
            packed_ ? decode_dct_mcu : decode_mcu;
        if (info_.output_height != held.height || info_.output_width != held.width)
            stop(reinterpret_cast<j_common_ptr>(&info_));
        JSAMPROW rows[kChunk];
        while (info_.output_scanline < held.height) {
            const std::uint32_t first = info_.output_scanline;
            const std::uint32_t most = std::min(kChunk, held.height - first);
            for (std::uint32_t i = 0; i < most; ++i) rows[i] = row_at(first + i, i);
            take(first, jpeg_read_scanlines(&info_, rows, most), rows);
        }
        jpeg_abort_decompress(&info_);  // the scan has no end marker
        return packed_ ? dct_.finish() : scan_.finish();
    }

    [[noreturn]] static void stop(j_common_ptr info) {
        std::longjmp(static_cast<RegionDecoder*>(info->client_data)->jump_, 1);
    }

    jpeg_decompress_struct info_{};
    jpeg_error_mgr errors_{};
    jpeg_source_mgr source_{};
    std::jmp_buf jump_;
    std::vector<std::uint32_t> starts_;
    std::vector<std::uint8_t> header_, rows_;
    Scan scan_;
    dct::Reader dct_;
#ifdef __x86_64__
    FusedStage fused_;
    const bool fuses_ = FusedStage::is_usable();
#endif
    const bool gray_, fast_dct_;
    bool usable_ = false, packed_ = false;  // packed_: of the file that is decoded
};

}  // namespace fastclips::jpeg
