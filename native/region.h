// A box of a JPEG -> pixels, by whichever way reads least: cut out restart segments (jpeg.h), let
// libjpeg-turbo crop and skip, or both. No Python here.
//
// What comes out equals the same area of the whole frame, bit for bit. What makes it so:
// - libjpeg's fancy upsampling mixes subsampled colour with the sample next to it: that of the
// pixel before or
//   after. At an edge it takes the outermost sample twice. So a region begins and ends a pixel
//   outside the box (kMargin), unless that is the frame's own edge.
// - A component that is at most two samples wide is upsampled plainly. No region is that narrow
// unless its
//   frame is (kNarrowest).
// - Scaled inverse transforms work block by block, and regions begin with a block.
#pragma once

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include "jpeg.h"

namespace fastclips::jpeg {

inline constexpr std::uint32_t kMargin = 1;     // pixels of the scaled frame
inline constexpr std::uint32_t kNarrowest = 6;  // pixels of the scaled frame
inline constexpr std::uint32_t kSmallest = 8;   // pixels; smaller frames are not worth the thought
// libjpeg-turbo's colour conversion writes rows that start on 32 bytes past the caches, where it
// does a fifth worse. So no row does: they start 16 bytes after.
inline constexpr std::size_t kRowStep = 32, kRowStart = 16;

enum class Way : std::uint8_t {
    kCut,      // restart segments
    kCropped,  // rows skipped and columns left out by libjpeg-turbo
    kWhole,    // nothing decoded: this frame or box is not for regions, or there is something wrong
    kNoRoom,   // nothing decoded: the output is too small
};

struct Region {
    Way way = Way::kWhole;
    std::uint32_t top = 0, left = 0;  // of the first pixel, in the scaled frame
    std::uint32_t height = 0, width = 0;
    std::size_t offset = 0, stride = 0;  // bytes, into and in the output
    std::size_t needed = 0;              // bytes of output, if there is no room
};

inline std::uint32_t ceil_div(std::uint32_t value, std::uint32_t by) {
    return (value + by - 1) / by;
}

// Decodes regions of one frame after the other. Not thread-safe.
class RegionDecoder {
  public:
    // Gray output is the luma.
    RegionDecoder(bool gray, bool fast_dct) : gray_(gray), fast_dct_(fast_dct) {
        info_.err = jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) { stop(info); };
        errors_.output_message = [](j_common_ptr) {};
        // A warning is damage: whoever decodes the whole frame says what it is.
        errors_.emit_message = [](j_common_ptr info, int level) {
            if (level < 0) stop(info);
        };
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

    // Decode a box, in pixels of the full frame, at 1 / scale (1, 2, 4 or 8) of its size.
    Region decode(Bytes file, Box box, std::uint32_t scale, std::uint8_t* out, std::size_t room) {
        const std::optional<Frame> frame = parse(file);
        if (!usable_ || !frame || !frame->simple) return {};
        if (std::max(frame->height, frame->width) < kSmallest) return {};
        box.bottom = std::min(box.bottom, frame->height);
        box.right = std::min(box.right, frame->width);
        if (box.top >= box.bottom || box.left >= box.right) return {};
        const Box wanted = widened(*frame, box, scale);
        const bool cutting = can_cut(*frame);
        const Box held =
            cutting ? Grid(*frame).around(*frame, wanted) : Box{0, 0, frame->height, frame->width};
        const Box within{wanted.top - held.top, wanted.left - held.left, wanted.bottom - held.top,
                         wanted.right - held.left};
        const bool cropping = worth_cropping(*frame, held, within);
        const bool less =
            held.bottom - held.top < frame->height || held.right - held.left < frame->width;
        if (!cropping && !less) return {};
        if (!find_segments(file, *frame, starts_)) return {};
        Bytes source = file;
        if (less) {
            if (cut_.size() < file.size) cut_.resize(file.size);
            source = {cut_.data(), cut(file, *frame, starts_, held, cut_.data())};
        }
        Region region = run(source, held, within, scale, cropping, out, room);
        if (region.way != Way::kCut) return region;
        if (!less) region.way = Way::kCropped;
        region.top += held.top / scale;
        region.left += held.left / scale;
        return trimmed(region, box, scale);
    }

  private:
    // The box with what its pixels depend on, on whole pixels of the scaled frame.
    Box widened(const Frame& frame, Box box, std::uint32_t scale) const {
        // Colour that has all samples is not upsampled, and that of 4:1:1 plainly.
        const std::uint32_t across = frame.mcu_width == 16 ? kMargin : 0;
        const std::uint32_t down = frame.mcu_height == 16 ? kMargin : 0;
        const std::uint32_t height = ceil_div(frame.height, scale),
                            width = ceil_div(frame.width, scale);
        box = {box.top / scale, box.left / scale, ceil_div(box.bottom, scale),
               ceil_div(box.right, scale)};
        box = {box.top - std::min(box.top, down), box.left - std::min(box.left, across),
               std::min(box.bottom + down, height), std::min(box.right + across, width)};
        if (box.right - box.left < kNarrowest) {
            box.left -= std::min(box.left, kNarrowest);
            box.right = std::min(box.right + kNarrowest, width);
        }
        return {box.top * scale, box.left * scale, std::min(box.bottom * scale, frame.height),
                std::min(box.right * scale, frame.width)};
    }

    // What of a region is right to the last bit: the box, without margins.
    Region trimmed(Region region, Box box, std::uint32_t scale) const {
        const std::uint32_t top = box.top / scale, left = box.left / scale;
        const std::size_t channels = gray_ ? 1 : 3;
        region.offset += (top - region.top) * region.stride + (left - region.left) * channels;
        region.top = top;
        region.left = left;
        region.height = ceil_div(box.bottom, scale) - top;
        region.width = ceil_div(box.right, scale) - left;
        return region;
    }

    // Rows above a box must still be Huffman-decoded, which is half of the work; rows below are not
    // read.
    static bool worth_cropping(const Frame& frame, Box held, Box within) {
        const double rows = held.bottom - held.top, columns = held.right - held.left;
        const double read = within.bottom / rows;
        const std::uint32_t mcu_top = within.top / frame.mcu_height * frame.mcu_height;
        const std::uint32_t mcu_left = within.left / frame.mcu_width * frame.mcu_width;
        const double shown = (within.bottom - mcu_top) / rows * (within.right - mcu_left) / columns;
        return (read + shown) / 2 < 0.9;
    }

    Region run(Bytes source, Box held, Box within, std::uint32_t scale, bool cropping,
               std::uint8_t* out, std::size_t room) {
        // Nothing here may need destroying: a jump passes it by.
        if (setjmp(jump_) != 0) {
            jpeg_abort_decompress(&info_);
            return {};
        }
        source_.next_input_byte = source.data;
        source_.bytes_in_buffer = source.size;
        info_.src = &source_;
        jpeg_read_header(&info_, TRUE);
        if (info_.image_height != held.bottom - held.top ||
            info_.image_width != held.right - held.left)
            stop(reinterpret_cast<j_common_ptr>(&info_));
        info_.out_color_space = gray_ ? JCS_GRAYSCALE : JCS_RGB;
        info_.dct_method = fast_dct_ ? JDCT_IFAST : JDCT_ISLOW;
        info_.scale_num = 1;
        info_.scale_denom = scale;
        jpeg_start_decompress(&info_);
        JDIMENSION top = 0, left = 0, bottom = info_.output_height, width = info_.output_width;
        if (cropping) {
            top = within.top / scale;
            bottom = ceil_div(within.bottom, scale);
            left = within.left / scale;
            width = ceil_div(within.right, scale) - left;
            jpeg_crop_scanline(&info_, &left, &width);
        }
        const std::size_t stride =
            (width * static_cast<std::size_t>(info_.output_components) + kRowStep - 1) / kRowStep *
            kRowStep;
        const std::size_t offset =
            (kRowStep + kRowStart - reinterpret_cast<std::uintptr_t>(out) % kRowStep) % kRowStep;
        const std::size_t needed = kRowStep + stride * (bottom - top);
        if (needed > room) {
            jpeg_abort_decompress(&info_);
            Region full;
            full.way = Way::kNoRoom;
            full.needed = needed;
            return full;
        }
        if (top > 0 && jpeg_skip_scanlines(&info_, top) != top)
            stop(reinterpret_cast<j_common_ptr>(&info_));
        JSAMPROW rows[64];
        while (info_.output_scanline < bottom) {
            std::uint8_t* at = out + offset + stride * (info_.output_scanline - top);
            const JDIMENSION count = std::min<JDIMENSION>(64, bottom - info_.output_scanline);
            for (JDIMENSION i = 0; i < count; ++i) rows[i] = at + stride * i;
            jpeg_read_scanlines(&info_, rows, count);
        }
        if (cropping)
            jpeg_abort_decompress(&info_);
        else
            jpeg_finish_decompress(&info_);
        Region region;
        region.way = Way::kCut;
        region.top = top;
        region.left = left;
        region.height = bottom - top;
        region.width = width;
        region.offset = offset;
        region.stride = stride;
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
    std::vector<std::uint8_t> cut_;
    const bool gray_, fast_dct_;
    bool usable_ = false;
};

}  // namespace fastclips::jpeg
