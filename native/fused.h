// The fused pixel stage: blocks of coefficients become the rows of a box in one pass, without
// libjpeg-turbo. A row of MCUs is read and transformed, no block or pixel but those that the box
// needs; then the rows of pixels that are complete are upsampled, converted and written, while
// their samples are in the nearest cache.
//
// The pixels are those of libjpeg-turbo's accurate transform and fancy upsampling. A region of
// whole MCUs stands for the frame: at the frame's own edges, colour repeats its outermost sample
// as libjpeg does, and at the region's other edges the box needs no sample beyond.
#pragma once

#include <vector>

#include "color_avx2.h"
#include "cpu.h"
#include "dct_reader.h"
#include "idct_avx2.h"
#include "scan.h"

namespace fastclips::jpeg {

#ifdef __x86_64__

// The blocks of a dct frame, MCU by MCU, for the stage.
class DctBlocks {
  public:
    explicit DctBlocks(dct::Reader& reader) : reader_(reader) {}
    // Read the next MCU; false if the frame is damaged.
    bool next() { return reader_.read_by(reader_.spread(), mcu_); }
    // Whether a block has coefficients in its first four rows and columns only; such a block; any.
    FASTCLIPS_AVX2 FASTCLIPS_INLINE bool is_few(std::uint32_t number) const {
        return mcu_.is_few(number);
    }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients few(std::uint32_t number) const {
        return mcu_.few(dct::detail::kPairedOrder, number);
    }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients block(std::uint32_t number) const {
        return mcu_.block(dct::detail::kPairedOrder, number);
    }

  private:
    dct::Reader& reader_;
    dct::SpreadMcu mcu_;
};

// The same, of a JPEG.
class ScanBlocks {
  public:
    explicit ScanBlocks(Scan& scan, std::uint32_t blocks) : scan_(scan), blocks_(blocks) {
        for (std::uint32_t i = 0; i < dct::kMostBlocks; ++i) at_[i] = &block_[i];
    }
    bool next() {
        std::memset(block_, 0, blocks_ * sizeof block_[0]);
        return scan_.read<kPairedPositions>(at_);
    }
    static constexpr bool is_few(std::uint32_t) { return false; }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients few(std::uint32_t number) const {
        return block(number);
    }
    FASTCLIPS_AVX2 FASTCLIPS_INLINE Coefficients block(std::uint32_t number) const {
        const auto* const from = reinterpret_cast<const __m256i*>(block_[number]);
        return {{_mm256_load_si256(from), _mm256_load_si256(from + 1), _mm256_load_si256(from + 2),
                 _mm256_load_si256(from + 3)}};
    }

  private:
    Scan& scan_;
    std::uint32_t blocks_;
    alignas(32) Block block_[dct::kMostBlocks];
    Block* at_[dct::kMostBlocks];
};

// Makes the pixels of boxes, one at a time. Not thread-safe.
class FusedStage {
  public:
    static bool is_usable() { return cpu_has_avx2() && !switched_off("FUSED"); }

    // Prepare for a box, in pixels of the scaled frame, within a region of whole MCUs, in pixels of
    // the frame. The frame's colours are YCbCr or gray. False if the stage does not decode such
    // frames at that scale.
    bool begin(const Frame& frame, Box region, Box box, std::uint32_t scale, bool gray) {
        const std::uint32_t across = frame.mcu_width / 8, down = frame.mcu_height / 8;
        const bool colored = !gray && frame.components == 3;
        if (scale > 2 || (colored && (across > 2 || across < down))) return false;
        luma_side_ = color_side_ = 8 / scale;
        bool upsampled_across = across == 2, upsampled_down = down == 2;
        if (scale == 2 && across == 2 && down == 2) {
            // Instead of being upsampled, colour is not made smaller.
            color_side_ = 8;
            upsampled_across = upsampled_down = false;
        }
        const std::uint32_t width = (frame.width + scale - 1) / scale;
        const std::uint32_t height = (frame.height + scale - 1) / scale;
        if (colored && upsampled_across && (width + 1) / 2 <= 2) return false;  // as libjpeg does
        finish_ = gray               ? Finish::kCopy
                  : !colored         ? Finish::kRepeat
                  : upsampled_down   ? Finish::kBoth
                  : upsampled_across ? Finish::kAcross
                                     : Finish::kConvert;
        mcu_width_ = luma_side_ * across;
        mcu_height_ = luma_side_ * down;
        across_ = across;
        luma_ = across * down;
        blocks_ = luma_ + frame.components - 1;
        const std::uint32_t first = region.left / frame.mcu_width;
        const std::uint32_t above = region.top / frame.mcu_height;
        columns_ = (region.right + frame.mcu_width - 1) / frame.mcu_width - first;
        rows_ = (region.bottom + frame.mcu_height - 1) / frame.mcu_height - above;
        const std::uint32_t left = first * mcu_width_, top = above * mcu_height_;
        box_ = {box.top - top, box.left - left, box.bottom - top, box.right - left};
        color_width_ = std::min(columns_ * color_side_,
                                (width - left + upsampled_across) >> (upsampled_across ? 1 : 0));
        color_height_ = std::min(rows_ * color_side_,
                                 (height - top + upsampled_down) >> (upsampled_down ? 1 : 0));
        // Rows that wait for the colour below them are kept while the next MCUs are read.
        luma_rows_ = mcu_height_ << (finish_ == Finish::kBoth ? 1 : 0);
        color_rows_ = color_side_ << (finish_ == Finish::kBoth ? 1 : 0);
        luma_stride_ = std::size_t{columns_} * mcu_width_ + kSlack;
        color_stride_ = std::size_t{columns_} * color_side_ + kSlack;
        const std::size_t colors = colored ? 2 * color_stride_ * color_rows_ : 0;
        grow(samples_, luma_stride_ * luma_rows_ + colors);
        if (colored) grow(mixed_, 2 * (color_stride_ + kSlack));
        grow(pixels_, 3 * luma_stride_);
        return true;
    }

    std::uint32_t blocks() const { return blocks_; }  // of an MCU

    // The quantisers of a component, in natural order.
    void quantise(std::uint32_t component, const Table& table) {
        for (std::size_t i = 0; i < 64; ++i) quantisers_[component][kPaired[i]] = table[i];
    }

    // Make the rows of the box. rows.place(y) is asked for the memory of each row, which may be
    // none, and rows.put(y, pixels) is given the row. False if the frame is damaged.
    template <typename Source, typename Rows>
    FASTCLIPS_AVX2 bool run(Source& source, Rows& rows) {
        Coefficients quantisers[3];
        static_assert(sizeof quantisers == sizeof quantisers_);
        std::memcpy(quantisers, quantisers_, sizeof quantisers);
        const std::uint32_t columns = columns_, blocks = blocks_;
        std::uint32_t y = box_.top;
        for (std::uint32_t row = 0; row < rows_; ++row) {
            Target targets[dct::kMostBlocks];
            find_targets(row, targets);
            for (std::uint32_t column = 0; column < columns; ++column) {
                if (!source.next()) return false;
                for (std::uint32_t i = 0; i < blocks; ++i) {
                    const Target& target = targets[i];
                    if (column - target.first >= target.count) continue;  // wraps before the first
                    const std::uint32_t side = target.side;
                    std::uint8_t* const to = target.to + std::size_t{column} * target.step;
                    const Coefficients& by = quantisers[target.component];
                    if (side == 8 && source.is_few(i)) {
                        idct::to_8x8<true>(source.few(i), by, to, target.stride);
                        continue;
                    }
                    const Coefficients block = source.block(i);
                    if (side == 8) {
                        idct::to_8x8<false>(block, by, to, target.stride);
                    } else {
                        idct::to_4x4(block, by, to, target.stride);
                    }
                }
            }
            std::uint32_t known = box_.bottom;
            if (row + 1 < rows_)
                known = std::min(known, (row + 1) * mcu_height_ - (finish_ == Finish::kBoth));
            for (; y < known; ++y) write(y, rows);
        }
        return true;
    }

  private:
    // How samples become pixels: in gray; of a gray frame; of colour that is not subsampled,
    // subsampled across, and in both directions.
    enum class Finish : std::uint8_t { kCopy, kRepeat, kConvert, kAcross, kBoth };

    // Where the samples of a block go, in a row of MCUs: the first MCU that the box needs it of,
    // the number of such MCUs, and bytes from one MCU to the next.
    struct Target {
        std::uint8_t* to;
        std::size_t stride;
        std::uint32_t first, count, step, side, component;
    };

    static constexpr std::size_t kSlack = 64;  // samples that steps may read beyond a row
    static constexpr std::size_t kBefore = 16;

    template <typename Item>
    static void grow(std::vector<Item>& memory, std::size_t size) {
        if (memory.size() < size) memory.resize(size);
    }

    void find_targets(std::uint32_t row, Target* targets) {
        for (std::uint32_t i = 0; i < luma_; ++i) {
            const std::uint32_t x = luma_side_ * (i % across_);
            const std::uint32_t y = mcu_height_ * row + luma_side_ * (i / across_);
            const bool needed = y < box_.bottom && y + luma_side_ > box_.top;
            const std::uint32_t end = x + luma_side_;  // of the block in its MCU
            const std::uint32_t first = box_.left < end ? 0 : (box_.left - end) / mcu_width_ + 1;
            const std::uint32_t last =
                box_.right <= x ? 0 : std::min(columns_, (box_.right - x - 1) / mcu_width_ + 1);
            targets[i] = {samples_.data() + luma_stride_ * (y % luma_rows_) + x,
                          luma_stride_,
                          first,
                          needed && first < last ? last - first : 0,
                          mcu_width_,
                          luma_side_,
                          0};
        }
        const bool colored = finish_ >= Finish::kConvert;
        for (std::uint32_t i = luma_; i < blocks_; ++i) {
            const std::uint32_t component = i - luma_ + 1;
            targets[i] = {colored ? color_row(component, row * color_side_) : nullptr,
                          color_stride_,
                          0,
                          colored ? columns_ : 0,
                          color_side_,
                          color_side_,
                          component};
        }
    }

    std::uint8_t* color_row(std::uint32_t component, std::uint32_t y) {
        return samples_.data() + luma_stride_ * luma_rows_ +
               color_stride_ * ((component - 1) * color_rows_ + y % color_rows_);
    }

    // Make row y of the region's pixels.
    template <typename Rows>
    FASTCLIPS_AVX2 void write(std::uint32_t y, Rows& rows) {
        std::uint8_t* to = rows.place(y - box_.top);
        if (to == nullptr) to = pixels_.data();
        const std::uint8_t* const luma = samples_.data() + luma_stride_ * (y % luma_rows_);
        const std::size_t left = box_.left, right = box_.right;
        switch (finish_) {
            case Finish::kCopy:
                color::write_row(color::Copy{luma}, left, right, to);
                break;
            case Finish::kRepeat:
                color::write_row(color::Repeat{luma}, left, right, to);
                break;
            case Finish::kConvert:
                color::write_row(color::Convert{luma, color_row(1, y), color_row(2, y)}, left,
                                 right, to);
                break;
            case Finish::kAcross:
                color::write_row(color::Upsample<false>{luma, mixed(1, y, y), mixed(2, y, y)}, left,
                                 right, to);
                break;
            case Finish::kBoth: {
                const std::uint32_t near = y / 2;
                const std::uint32_t other =
                    y % 2 != 0 ? std::min(near + 1, color_height_ - 1) : near - (near > 0);
                color::write_row(
                    color::Upsample<true>{luma, mixed(1, near, other), mixed(2, near, other)}, left,
                    right, to);
                break;
            }
        }
        rows.put(y - box_.top, to);
    }

    // Mix two rows of a colour, or widen one; with a sample more on either side.
    FASTCLIPS_AVX2 const std::int16_t* mixed(std::uint32_t component, std::uint32_t near,
                                             std::uint32_t other) {
        std::int16_t* const to =
            mixed_.data() + (component - 1) * (color_stride_ + kSlack) + kBefore;
        const std::size_t width = color_width_;
        if (near == other && finish_ == Finish::kAcross) {
            color::widen_row(color_row(component, near), width, to);
        } else {
            color::mix_rows(color_row(component, near), color_row(component, other), width, to);
        }
        to[-1] = to[0];
        to[width] = to[width - 1];
        return to;
    }

    Finish finish_ = Finish::kCopy;
    std::uint32_t luma_side_ = 8, color_side_ = 8;      // samples of a block's side
    std::uint32_t mcu_width_ = 8, mcu_height_ = 8;      // pixels
    std::uint32_t across_ = 1, luma_ = 1, blocks_ = 1;  // blocks of an MCU
    std::uint32_t columns_ = 0, rows_ = 0;              // MCUs
    std::uint32_t color_width_ = 0, color_height_ = 0;  // samples of the region
    std::uint32_t luma_rows_ = 0, color_rows_ = 0;      // that are kept
    std::size_t luma_stride_ = 0, color_stride_ = 0;
    Box box_{};                             // in the region, scaled
    std::uint16_t quantisers_[3][64] = {};  // in paired order
    std::vector<std::uint8_t> samples_, pixels_;
    std::vector<std::int16_t> mixed_;
};

#endif

}  // namespace fastclips::jpeg
