// Read the coefficients of a box from a dct frame. In each row of MCUs, reading begins at the
// anchor before the box, so at most 15 MCUs are passed.
//
// Nothing outside the frame is read: an MCU must begin within its row, and rows so near to the end
// that their last MCU could reach beyond it are read from a copy with zeros behind it.
#pragma once

#include <vector>

#include "dct_avx2.h"
#include "dct_blocks.h"

namespace fastclips::dct {

// The fastest reader of this CPU. All read the same coefficients.
inline ReadMcu fastest_reader() {
#ifdef __x86_64__
    if (cpu_has_avx2())
        return cpu_has_fast_pdep() ? read_mcu_by<spread_mcu_by_pdep>
                                   : read_mcu_by<spread_mcu_by_shuffles>;
#endif
    return read_mcu;
}

// Reads boxes of frames, one at a time. Not thread-safe.
class Reader {
  public:
#ifdef __x86_64__
    // The function for read_by() that only spreads an MCU; needs AVX2.
    ReadSpread spread() const { return spread_; }
#endif

    // Begin a box of whole MCUs of a parsed frame, which must outlive the reading.
    void begin(Bytes file, const Frame& frame, Box box) {
        file_ = file;
        layout_ = layout_of(file, frame);
        components_ = frame.components;
        luma_ = layout_.blocks + 1 - components_;
        row_ = box.top / frame.mcu_height;
        first_ = box.left / frame.mcu_width;
        columns_ = (box.right + frame.mcu_width - 1) / frame.mcu_width - first_;
        rows_ = (box.bottom + frame.mcu_height - 1) / frame.mcu_height - row_;
        column_ = 0;
        // Memory is allocated only here: an exception must not pass through libjpeg.
        std::size_t longest = 0;
        for (std::uint32_t i = rows_; i > 0; --i) {
            const auto [from, to] = row(row_ + i - 1);
            if (from > to || to > file.size || is_inside(to)) break;
            longest = std::max(longest, to - from);
        }
        if (copy_.size() < longest + kReach) copy_.resize(longest + kReach);
    }

    // Read the next MCU of the box into blocks of zeros; false if the frame is damaged.
    bool read(Block** blocks) { return read_by(read_, blocks); }

    // The same, by a function that is given where the MCU is, and `out`.
    template <typename Read, typename Out>
    bool read_by(Read read_mcu_to, Out&& out) {
        if (rows_ == 0 || (column_ == 0 && !seek())) return false;
        place_ = read_mcu_to(base_, place_, dc_.data(), luma_, layout_.blocks, out);
        if (place_ > end_) return false;
        if (++column_ == columns_) {
            // What remains after the last MCU of a row fills up its last byte.
            if (first_ + columns_ == layout_.columns && end_ - place_ >= 8) return false;
            column_ = 0;
            ++row_;
            --rows_;
        }
        return true;
    }

    // Whether the whole box was read.
    bool finish() const { return rows_ == 0; }

  private:
    // Offsets of a row's first byte and of its end, in the file.
    std::pair<std::size_t, std::size_t> row(std::uint32_t number) const {
        const std::uint8_t* const end = file_.data + layout_.ends + layout_.unit * number;
        return {layout_.data + (number == 0 ? 0 : load_offset(end - layout_.unit, layout_.unit)),
                layout_.data + load_offset(end, layout_.unit)};
    }
    bool is_inside(std::size_t end) const { return file_.size - end >= kReach; }

    // Go to the first MCU of the box in the next row.
    bool seek() {
        const auto [from, to] = row(row_);
        if (from > to || to > file_.size) return false;
        base_ = file_.data + from;
        end_ = 8 * std::uint64_t{to - from};
        if (!is_inside(to)) {
            if (copy_.size() < to - from + kReach) return false;
            std::memcpy(copy_.data(), base_, to - from);
            std::memset(copy_.data() + (to - from), 0, kReach);
            base_ = copy_.data();
        }
        place_ = 0;
        dc_ = {};
        const std::uint32_t anchor = first_ / kAnchor;
        if (anchor > 0) {
            const std::size_t number = std::size_t{row_} * layout_.per_row + anchor - 1;
            const std::uint8_t* at = file_.data + layout_.anchors + layout_.anchor * number;
            place_ = load_offset(at, layout_.unit);
            at += layout_.unit;
            for (std::uint32_t c = 0; c < components_; ++c, at += 2)
                dc_[c] = static_cast<std::int16_t>(load16(at));
        }
        for (std::uint32_t left = first_ - anchor * kAnchor; left > 0; --left) {
            if (place_ > end_) return false;
            place_ = pass_mcu(base_, place_, dc_.data(), luma_, layout_.blocks);
        }
        return place_ <= end_;
    }

    Bytes file_{};
    Layout layout_{};
    std::uint32_t components_ = 0, luma_ = 0;
    std::uint32_t row_ = 0, rows_ = 0;                    // the next row of MCUs, rows left
    std::uint32_t first_ = 0, columns_ = 0, column_ = 0;  // MCUs of the box in a row
    const std::uint8_t* base_ = nullptr;                  // the row's first byte
    std::uint64_t place_ = 0, end_ = 0;                   // bits
    std::array<std::int32_t, 3> dc_{};
    std::vector<std::uint8_t> copy_;
    const ReadMcu read_ = fastest_reader();
#ifdef __x86_64__
    const ReadSpread spread_ = cpu_has_fast_pdep() ? spread_mcu_by_pdep : spread_mcu_by_shuffles;
#endif
};

}  // namespace fastclips::dct
