// What the targets that decode share: the request in an input, and decoding into memory of exactly
// the size that is needed.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "../../native/crops.h"

using namespace fastclips::jpeg;

inline void demand(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// The request, from the first bytes of an input; the rest is the file.
struct Question {
    Box box;
    std::uint32_t scale;
    bool gray, fast_dct;
};
constexpr std::size_t kQuestion = 9;

inline Question ask(const std::uint8_t* data) {
    const auto two = [data](int at) {
        return static_cast<std::uint32_t>(data[at] | data[at + 1] << 8);
    };
    return {{two(0), two(2), two(4), two(6)},
            1u << (data[8] & 3),
            (data[8] & 4) != 0,
            (data[8] & 8) != 0};
}

inline constexpr std::uint64_t kMost = 1u << 22;  // pixels; larger files are not decoded

// Decodes whole frames by libjpeg-turbo alone; no pixels if it complains.
class Plain {
  public:
    Plain() {
        info_.err = jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) {
            std::longjmp(static_cast<Plain*>(info->client_data)->jump_, 1);
        };
        errors_.emit_message = [](j_common_ptr info, int level) {
            if (level < 0) info->err->error_exit(info);
        };
        info_.client_data = this;
        jpeg_create_decompress(&info_);
    }
    ~Plain() { jpeg_destroy_decompress(&info_); }

    std::vector<std::uint8_t> decode(Bytes file, const Question& question) {
        pixels_.clear();
        if (setjmp(jump_) != 0) {
            jpeg_abort_decompress(&info_);
            return {};
        }
        jpeg_mem_src(&info_, file.data, file.size);
        jpeg_read_header(&info_, TRUE);
        info_.out_color_space = question.gray ? JCS_GRAYSCALE : JCS_RGB;
        info_.dct_method = question.fast_dct ? JDCT_IFAST : JDCT_ISLOW;
        info_.scale_denom = question.scale;
        info_.scale_num = 1;
        jpeg_start_decompress(&info_);
        const std::size_t row = std::size_t{info_.output_width} * (question.gray ? 1 : 3);
        pixels_.resize(row * info_.output_height);
        while (info_.output_scanline < info_.output_height) {
            JSAMPROW to = pixels_.data() + row * info_.output_scanline;
            jpeg_read_scanlines(&info_, &to, 1);
        }
        jpeg_finish_decompress(&info_);
        return pixels_;
    }

  private:
    jpeg_decompress_struct info_{};
    jpeg_error_mgr errors_{};
    std::jmp_buf jump_;
    std::vector<std::uint8_t> pixels_;
};

// The pixels of a region, one row after the other; none if it is declined.
inline std::vector<std::uint8_t> decode(RegionDecoder& decoder, Bytes file, Box box,
                                        std::uint32_t scale) {
    std::vector<std::uint8_t> out(1), pixels;
    Region region = decoder.decode(file, box, scale, out.data(), out.size());
    if (region.rung == Rung::kNoRoom) {
        out.resize(region.needed);
        region = decoder.decode(file, box, scale, out.data(), out.size());
        demand(region.rung != Rung::kNoRoom, "room is what was asked for");
    }
    if (region.rung == Rung::kDeclined) return {};
    demand(region.top == box.top / scale && region.left == box.left / scale,
           "pixels begin with the box");
    const std::size_t row = (region.right - region.left) * decoder.channels();
    const std::size_t height = region.bottom - region.top;
    demand(region.offset + region.stride * (height - 1) + row <= out.size(),
           "pixels lie in the output");
    for (std::size_t y = 0; y < height; ++y) {
        const auto* from = out.data() + region.offset + y * region.stride;
        pixels.insert(pixels.end(), from, from + row);
    }
    return pixels;
}
