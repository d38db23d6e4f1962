// Write the coefficients of a JPEG as a baseline JPEG with restart markers. No Python, and no pixel
// is decoded.
//
// Of the metadata, only what decides the colours is kept: JFIF's marker, and Adobe's if the colours
// are not those of JFIF. Each warning of libjpeg is an error: the copy of a damaged file would look
// undamaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
// jpeglib.h wants size_t and FILE first.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>

#include "jpeg.h"

namespace fastclips {

// The divisor of a row's MCUs that is nearest to the interval asked for, the larger one of two
// equally near; 0 stays 0.
inline unsigned restart_interval(unsigned row, unsigned asked) {
    if (asked == 0 || row == 0) return 0;
    const auto off = [asked](unsigned to) { return to > asked ? to - asked : asked - to; };
    unsigned best = row;
    for (unsigned small = 1; small * small <= row; ++small) {
        if (row % small != 0) continue;
        for (const unsigned divisor : {small, row / small})
            if (off(divisor) < off(best) || (off(divisor) == off(best) && divisor > best))
                best = divisor;
    }
    return best;
}

// Transcodes files, one at a time, and keeps its buffer between them. libjpeg's structures are made
// anew for each file: otherwise the last file's tables would replace those that a file lacks. Not
// thread-safe.
class Transcoder {
  public:
    struct Result {
        const std::uint8_t*
            data;  // owned by the transcoder, until the next call; null if it failed
        std::size_t size;
        const char* error;
    };

    Transcoder() {
        jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) { self(info).stop(info); };
        errors_.emit_message = [](j_common_ptr info, int level) {
            if (level < 0) self(info).stop(info);
        };
        errors_.output_message = [](j_common_ptr) {};
        reader_.init_source = [](j_decompress_ptr) {};
        reader_.fill_input_buffer = [](j_decompress_ptr info) -> boolean {
            ERREXIT(info, JERR_INPUT_EOF);
            return FALSE;
        };
        reader_.skip_input_data = [](j_decompress_ptr info, long count) {
            if (count <= 0) return;
            if (static_cast<unsigned long>(count) > info->src->bytes_in_buffer)
                ERREXIT(info, JERR_INPUT_EOF);
            info->src->next_input_byte += count;
            info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
        };
        reader_.resync_to_restart = jpeg_resync_to_restart;
        reader_.term_source = [](j_decompress_ptr) {};
        writer_.init_destination = [](j_compress_ptr info) { self(info).begin(); };
        writer_.empty_output_buffer = [](j_compress_ptr info) -> boolean {
            self(info).grow();
            return TRUE;
        };
        writer_.term_destination = [](j_compress_ptr) {};
        watch_.progress_monitor = [](j_common_ptr info) {
            if (info->is_decompressor &&
                reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kScans)
                self(info).stop("too many scans");
        };
    }
    ~Transcoder() { std::free(buffer_); }
    Transcoder(const Transcoder&) = delete;
    Transcoder& operator=(const Transcoder&) = delete;

    // `restart` is the interval asked for in MCUs, see restart_interval(); 0 for no markers.
    Result run(const std::uint8_t* data, std::size_t size, unsigned restart) {
        source_ = {};
        target_ = {};
        done_ = false;
        source_.err = target_.err = &errors_;
        source_.client_data = target_.client_data = this;
        Result result{nullptr, 0, message_};
        if (setjmp(jump_) == 0) {
            transcode(data, size, restart);
            done_ = true;
        }
        jpeg_destroy_decompress(&source_);
        jpeg_destroy_compress(&target_);
        if (done_) result = {buffer_, room_ - writer_.free_in_buffer, nullptr};
        return result;
    }

  private:
    static constexpr std::size_t kHeader = 4096;  // bytes, more than any header takes
    static constexpr int kScans = 100;    // about 10 are usual; each is a pass over all blocks
    static constexpr int kSmoothed = 10;  // the first coefficients, which a decoder may guess

    void transcode(const std::uint8_t* data, std::size_t size, unsigned restart) {
        jpeg_create_decompress(&source_);
        jpeg_create_compress(&target_);
        source_.src = &reader_;
        source_.progress = &watch_;
        reader_.next_input_byte = data;
        reader_.bytes_in_buffer = size;
        jpeg_read_header(&source_, TRUE);
        if (std::uint64_t{source_.image_width} * source_.image_height > jpeg::kPixelsPerByte * size)
            stop("its header has more pixels than the file can hold");
        jvirt_barray_ptr* const blocks = jpeg_read_coefficients(&source_);
        if (is_smoothed()) stop("a progressive JPEG without its last scans");

        target_.dest = &writer_;
        least_ = size + size / 4 + kHeader;
        jpeg_copy_critical_parameters(&source_, &target_);
        // Optimised tables make smaller files, and safe ones: the pass that counts symbols refuses
        // coefficients that no table can hold, which the encoder's fast path would write as
        // garbage.
        target_.optimize_coding = TRUE;
        if (target_.num_components == 1)  // an MCU is one block then, whatever the factors
            target_.comp_info[0].h_samp_factor = target_.comp_info[0].v_samp_factor = 1;
        target_.restart_interval = restart_interval(mcus_per_row(), restart);
        jpeg_write_coefficients(&target_, blocks);
        jpeg_finish_compress(&target_);
        jpeg_finish_decompress(&source_);
    }

    template <typename Info>
    static Transcoder& self(Info* info) {
        return *static_cast<Transcoder*>(info->client_data);
    }
    [[noreturn]] void stop(j_common_ptr info) {
        errors_.format_message(info, message_);
        std::longjmp(jump_, 1);
    }
    [[noreturn]] void stop(const char* why) {
        std::snprintf(message_, sizeof message_, "%s", why);
        std::longjmp(jump_, 1);
    }

    // Whether decoders would smooth the picture: they guess low coefficients whose last bits are
    // missing from a progressive file, and would not in a baseline file.
    bool is_smoothed() const {
        if (!source_.progressive_mode || source_.coef_bits == nullptr) return false;
        for (int c = 0; c < source_.num_components; ++c)
            for (int k = 0; k < kSmoothed; ++k)
                if (source_.coef_bits[c][k] != 0) return true;
        return false;
    }

    unsigned mcus_per_row() const {
        if (source_.num_components == 1) return source_.comp_info[0].width_in_blocks;
        const auto width = static_cast<unsigned>(DCTSIZE * source_.max_h_samp_factor);
        return (source_.image_width + width - 1) / width;
    }

    void begin() {
        if (room_ < least_) resize(least_);
        writer_.next_output_byte = buffer_;
        writer_.free_in_buffer = room_;
    }
    void grow() {  // libjpeg has filled the whole buffer, whatever the counters say
        const std::size_t done = room_;
        resize(2 * room_);
        writer_.next_output_byte = buffer_ + done;
        writer_.free_in_buffer = room_ - done;
    }
    void resize(std::size_t room) {
        void* const more = std::realloc(buffer_, room);
        if (more == nullptr) stop("out of memory");
        buffer_ = static_cast<std::uint8_t*>(more);
        room_ = room;
    }

    jpeg_error_mgr errors_{};
    jpeg_decompress_struct source_{};
    jpeg_compress_struct target_{};
    jpeg_source_mgr reader_{};
    jpeg_destination_mgr writer_{};
    jpeg_progress_mgr watch_{};
    std::jmp_buf jump_{};
    char message_[JMSG_LENGTH_MAX]{};
    std::uint8_t* buffer_ = nullptr;
    std::size_t room_ = 0, least_ = 0;
    bool done_ = false;
};

}  // namespace fastclips
