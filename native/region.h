// A box of a JPEG -> pixels. A small JPEG is made that holds the box, out of restart segments
// (jpeg.h) or of Huffman codes (crop.h), and libjpeg-turbo decodes that. No Python here.
//
// The pixels equal those of the whole frame, bit for bit, because
// - libjpeg's fancy upsampling mixes subsampled colour with the sample next to it, that of the
//   pixel before or after, and at an edge takes the outermost twice: so what is decoded ends a
//   pixel outside the box (kMargin), unless at the frame's own edge;
// - it upsamples plainly what is at most two samples wide: so nothing that narrow is decoded
//   (kNarrowest), unless the frame is;
// - inverse transforms, scaled or not, work block by block, and what is decoded begins with one.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstdio>

// After cstdio, which it needs.
#include <jpeglib.h>

#include "crop.h"
#include "jpeg.h"

namespace fastclips::jpeg {

inline constexpr std::uint32_t kMargin = 1;     // pixels of the scaled frame
inline constexpr std::uint32_t kNarrowest = 6;  // pixels of the scaled frame
inline constexpr std::uint32_t kSmallest = 8;   // pixels; smaller frames are not worth the thought
// libjpeg-turbo's colour conversion writes rows that start on 32 bytes past the caches, where it
// does a fifth worse. So no row does: they start 16 bytes after. They lie whole pixels apart, and
// there is room for one more, so that whoever wants them adjacent may see wider ones.
inline constexpr std::size_t kRowStep = 32, kRowStart = 16;
// Passing all Huffman codes of a frame costs this part of decoding it, at scale 1, 2, 4 and 8: 60
// us of 221, 180, 164 and 148 (340x256, quality 88). What is left to do must be less than
// kWorthwhile.
inline constexpr double kPassing[] = {0.27, 0.34, 0.38, 0.42}, kWorthwhile = 0.95;

enum class Way : std::uint8_t {
    kSliced,   // out of restart segments
    kCropped,  // out of Huffman codes
    kWhole,    // not decoded: too large a box, no frame for this, or there is something wrong
    kNoRoom,   // not decoded: the output is too small
};

struct Region {
    Way way = Way::kWhole;
    std::uint32_t top = 0, left = 0, height = 0, width = 0;  // in the scaled frame
    std::size_t offset = 0, stride = 0;                      // bytes in the output
    std::size_t needed = 0;                                  // bytes of output, if there is no room
};

// Decodes regions of one frame after the other. Not thread-safe.
class RegionDecoder {
  public:
    // Gray output is the luma.
    RegionDecoder(bool gray, bool fast_dct) : gray_(gray), fast_dct_(fast_dct) {
        info_.err = jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) { stop(info); };
        // A warning is damage: whoever decodes the whole frame says what it is.
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

    // Decode a box, in pixels of the full frame, at 1 / scale (1, 2, 4 or 8) of its size.
    Region decode(Bytes file, Box box, std::uint32_t scale, std::uint8_t* out, std::size_t room) {
        const std::optional<Frame> frame = parse(file);
        if (!usable_ || !frame || !frame->simple) return {};
        if (std::max(frame->height, frame->width) < kSmallest) return {};
        box.bottom = std::min(box.bottom, frame->height);
        box.right = std::min(box.right, frame->width);
        if (box.top >= box.bottom || box.left >= box.right) return {};
        const Choice choice = choose(*frame, widened(*frame, box, scale), scale);
        if (choice.way == Way::kWhole || !find_segments(file, *frame, starts_)) return {};
        std::optional<Bytes> small;
        if (choice.way == Way::kSliced) {
            if (sliced_.size() < file.size) sliced_.resize(file.size);
            small = {sliced_.data(), slice(file, *frame, starts_, choice.held, sliced_.data())};
        } else {
            small = cropper_.crop(file, *frame, starts_, choice.held);
            if (!small) return {};
        }
        Region region = run(*small, choice.held, scale, out, room);
        if (region.way == Way::kWhole || region.way == Way::kNoRoom) return region;
        region.way = choice.way;
        return trimmed(region, box, scale);
    }

  private:
    // What is decoded of a frame, and how.
    struct Choice {
        Way way;
        Box held;
    };

    static std::uint32_t up(std::uint32_t value, std::uint32_t by) { return (value + by - 1) / by; }

    // The box with what its pixels depend on, on whole pixels of the scaled frame.
    static Box widened(const Frame& frame, Box box, std::uint32_t scale) {
        // Colour that has all samples is not upsampled, and that of 4:1:1 plainly.
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

    // The cheapest way, by shares of the frame that are decoded or passed.
    static Choice choose(const Frame& frame, Box wanted, std::uint32_t scale) {
        const double whole = static_cast<double>(frame.height) * frame.width;
        const auto area = [](Box box) {
            return static_cast<double>(box.bottom - box.top) * (box.right - box.left);
        };
        const Box mcus = Grid(frame.mcu_height, frame.mcu_width).around(frame, wanted);
        // Codes are passed of all the frame, or of the segments that hold the box.
        const double passed =
            frame.interval == 0
                ? whole
                : std::min(whole, (mcus.right - mcus.left +
                                   static_cast<double>(frame.interval) * frame.mcu_width) *
                                      (mcus.bottom - mcus.top));
        Choice best{Way::kWhole, {}};
        double least = kWorthwhile * whole;
        if (can_slice(frame)) {
            const Box segments = Grid(frame).around(frame, wanted);
            if (area(segments) < least) {
                best = {Way::kSliced, segments};
                least = area(segments);
            }
        }
        const double passing = kPassing[__builtin_ctz(scale)];
        if (area(mcus) + passing * passed < least) best = {Way::kCropped, mcus};
        return best;
    }

    // Decode a whole JPEG of a box's size.
    Region run(Bytes small, Box held, std::uint32_t scale, std::uint8_t* out, std::size_t room) {
        // Nothing here may need destroying: a jump passes it by.
        if (setjmp(jump_) != 0) {
            jpeg_abort_decompress(&info_);
            return {};
        }
        source_.next_input_byte = small.data;
        source_.bytes_in_buffer = small.size;
        info_.src = &source_;
        jpeg_read_header(&info_, TRUE);
        info_.out_color_space = gray_ ? JCS_GRAYSCALE : JCS_RGB;
        info_.dct_method = fast_dct_ ? JDCT_IFAST : JDCT_ISLOW;
        info_.scale_num = 1;
        info_.scale_denom = scale;
        jpeg_start_decompress(&info_);
        const JDIMENSION height = info_.output_height, width = info_.output_width;
        Region region;
        const std::size_t pixel = static_cast<std::size_t>(info_.output_components);
        region.stride =
            (width + kRowStep - 1) / kRowStep * kRowStep * pixel;  // whole pixels, whole steps
        region.needed = kRowStep + region.stride * (height + 1);
        if (region.needed > room) {
            jpeg_abort_decompress(&info_);
            region.way = Way::kNoRoom;
            return region;
        }
        region.offset =
            (kRowStep + kRowStart - reinterpret_cast<std::uintptr_t>(out) % kRowStep) % kRowStep;
        JSAMPROW rows[64];
        while (info_.output_scanline < height) {
            const JDIMENSION count = std::min<JDIMENSION>(64, height - info_.output_scanline);
            for (JDIMENSION i = 0; i < count; ++i)
                rows[i] = out + region.offset + region.stride * (info_.output_scanline + i);
            jpeg_read_scanlines(&info_, rows, count);
        }
        jpeg_finish_decompress(&info_);
        region.way = Way::kSliced;
        region.top = held.top / scale;
        region.left = held.left / scale;
        return region;
    }

    // What of it is right to the last bit: the box, without margins.
    Region trimmed(Region region, Box box, std::uint32_t scale) const {
        const std::uint32_t top = box.top / scale, left = box.left / scale;
        region.offset += (top - region.top) * region.stride + (left - region.left) * channels();
        region.top = top;
        region.left = left;
        region.height = up(box.bottom, scale) - top;
        region.width = up(box.right, scale) - left;
        return region;
    }

    [[noreturn]] static void stop(j_common_ptr info) {
        std::longjmp(static_cast<RegionDecoder*>(info->client_data)->jump_, 1);
    }

    jpeg_decompress_struct info_{};
    jpeg_error_mgr errors_{};
    jpeg_source_mgr source_{};
    std::jmp_buf jump_;
    std::vector<std::uint32_t> starts_;
    std::vector<std::uint8_t> sliced_;
    Cropper cropper_;
    const bool gray_, fast_dct_;
    bool usable_ = false;
};

}  // namespace fastclips::jpeg
