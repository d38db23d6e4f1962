// A small JPEG out of a large one that has no restart markers where they would help. Its Huffman
// codes are all passed, but only for their lengths and the DC values; no coefficient is stored.
// Codes in the box are copied as they are, but for the first DC code of each component in a row:
// it counts from the block before, which is another one now. So what comes out holds the same
// coefficients.
//
// The codes after the box are passed too, a seventh of the whole work: if they end where the file
// does, the header has told the truth about the size.
#pragma once

#include <memory>

#include "huffman.h"
#include "jpeg.h"

namespace fastclips::jpeg {

// Cuts boxes out of one file after the other. Not thread-safe.
class Cropper {
  public:
    // Write a JPEG that holds a box of whole MCUs; `starts` is what find_segments found. Nothing if
    // a code in the way is wrong, or there are more or fewer MCUs than the header says.
    std::optional<Bytes> crop(Bytes file, const Frame& frame,
                              const std::vector<std::uint32_t>& starts, Box box) {
        if (!read_tables(file, frame)) return std::nullopt;
        const std::uint32_t row = frame.mcus_per_row(), rows = frame.mcu_rows();
        const std::uint64_t interval =
            frame.interval == 0 ? std::uint64_t{row} * rows : frame.interval;
        const Mcus wanted{row, box.top / frame.mcu_height, box.left / frame.mcu_width,
                          (box.bottom + frame.mcu_height - 1) / frame.mcu_height,
                          (box.right + frame.mcu_width - 1) / frame.mcu_width};
        // Each byte may need another behind it; a DC code has at most 4.
        const std::size_t starts_of_rows = 2 * (rows + starts.size());
        reserve(out_, out_size_, 2 * (file.size + 3 * 4 * starts_of_rows + kAhead) + kHeader);
        BitWriter writer(write_header(file, frame, box));
        written_ = {};
        // Segments without any wanted MCU are passed over, but for the last: whether it ends where
        // it should shows whether the header tells the truth about the size.
        const std::uint64_t total = std::uint64_t{row} * rows, last = (total - 1) / interval;
        for (std::uint64_t segment = 0; segment <= last; ++segment) {
            segment = std::min(wanted.from(segment * interval) / interval, last);
            if (!read_segment(file, starts[segment], starts[segment + 1] - 2, frame, wanted,
                              segment * interval, std::min(total, (segment + 1) * interval),
                              writer))
                return std::nullopt;
        }
        std::uint8_t* to = writer.finish();
        *to++ = kMark;
        *to++ = kEoi;
        return Bytes{out_.get(), static_cast<std::size_t>(to - out_.get())};
    }

  private:
    // Bytes: an MCU has at most 6 blocks, of 63 AC codes of 26 bits and one DC code of 27.
    static constexpr std::size_t kAhead = 6 * 256;
    // Bytes that a file's own header may lack.
    static constexpr std::size_t kHeader = 3 * (5 + DcTable::kMost) + 6;

    // MCUs by number, row after row.
    struct Mcus {
        std::uint64_t row;
        std::uint32_t top, left, bottom, right;

        // The first that is wanted, from one on; beyond all if there is none.
        std::uint64_t from(std::uint64_t number) const {
            const std::uint64_t y = number / row, x = number % row;
            if (y < top) return top * row + left;
            const std::uint64_t next =
                x < left ? y * row + left : (x < right ? number : (y + 1) * row + left);
            return next < bottom * row ? next : UINT64_MAX;
        }
    };

    using Buffer = std::unique_ptr<std::uint8_t[]>;
    static void reserve(Buffer& buffer, std::size_t& size, std::size_t needed) {
        if (size >= needed) return;
        buffer.reset(new std::uint8_t[needed]);
        size = needed;
    }

    bool read_tables(Bytes file, const Frame& frame) {
        const std::uint8_t first = file.data[frame.sof + 11];
        luma_ = frame.components == 1 ? 1 : (first >> 4) * (first & 15u);
        for (std::uint32_t c = 0; c < frame.components; ++c) {
            const std::uint8_t ids = file.data[frame.sos + 6 + 2 * c];
            const std::uint32_t dc = ids >> 4, ac = ids & 15;
            if (!dc_[dc].read(file, frame.tables[dc]) || !ac_[ac].read(file, frame.tables[4 + ac]))
                return false;
            if (!tables_[dc].read(file, frame.tables[dc])) return false;
            component_table_[c] = &tables_[dc];
            component_dc_[c] = &dc_[dc];
            component_ac_[c] = &ac_[ac];
        }
        return true;
    }

    // The file's own header with the box's size, no restart markers, and every DC code there may
    // be.
    std::uint8_t* write_header(Bytes file, const Frame& frame, Box box) {
        std::uint8_t* to = write_runs(file, frame, box, frame.sos, out_.get());
        for (std::uint32_t c = 0; c < frame.components; ++c) {
            const std::uint8_t id = file.data[frame.sos + 6 + 2 * c] >> 4;
            const std::uint8_t start[] = {kMark, kDht, 0, 3 + DcTable::kMost, id};
            to = append(to, start, sizeof start);
            to = append(to, component_table_[c]->text(), DcTable::kMost);
        }
        const std::uint8_t unmarked[] = {kMark, kDri, 0, 4, 0, 0};
        if (frame.interval > 0) to = append(to, unmarked, sizeof unmarked);
        return append(to, file.data + frame.sos, frame.scan - frame.sos);
    }

    static std::uint8_t* append(std::uint8_t* to, const std::uint8_t* bytes, std::size_t size) {
        std::memcpy(to, bytes, size);
        return to + size;
    }

    // Read the MCUs of one segment, and write those that are wanted. False if a code is wrong, or
    // if they are not all that the segment holds.
    bool read_segment(Bytes file, std::size_t begin, std::size_t end, const Frame& frame,
                      const Mcus& wanted, std::uint64_t first, std::uint64_t stop,
                      BitWriter& writer) {
        const std::size_t bits = 8 * unstuff(file.data + begin, end - begin);
        BitReader reader{clean_.get(), clean_.get()};
        std::array<std::int64_t, 3> dc{};
        std::uint64_t y = first / wanted.row, x = first % wanted.row;
        for (std::uint64_t number = first; number < stop;) {
            // A stretch of a row that is wanted, or that is not.
            const bool before_right = y >= wanted.top && y < wanted.bottom && x < wanted.right;
            const bool copied = before_right && x >= wanted.left;
            const std::uint64_t until = copied         ? wanted.right
                                        : before_right ? wanted.left
                                                       : wanted.row;
            const std::uint64_t count = std::min(until - x, stop - number);
            if (!(copied ? copy(reader, count, frame.components, dc, bits, writer)
                         : skip(reader, count, frame.components, dc, bits)))
                return false;
            number += count;
            x += count;
            if (x == wanted.row) {
                x = 0;
                ++y;
            }
        }
        return bits - reader.place() < 8;  // what fills the last byte
    }

    using Dc = std::array<std::int64_t, 3>;

    bool skip(BitReader& state, std::uint64_t mcus, std::uint32_t components, Dc& dc,
              std::size_t bits) const {
        BitReader reader = state;  // in registers
        for (; mcus > 0; --mcus) {
            for (std::uint32_t block = luma_; block > 0; --block)
                if (!read_block(reader, 0, dc[0], nullptr)) return false;
            for (std::uint32_t c = 1; c < components; ++c)
                if (!read_block(reader, c, dc[c], nullptr)) return false;
            if (reader.place() > bits) return false;
        }
        state = reader;
        return true;
    }

    bool copy(BitReader& reader, std::uint64_t mcus, std::uint32_t components, Dc& dc,
              std::size_t bits, BitWriter& writer) {
        std::size_t copied = reader.place();
        for (std::uint32_t c = 0; c < components; ++c) {
            const std::size_t begin = reader.place();
            std::size_t after_dc = 0;
            if (!read_block(reader, c, dc[c], &after_dc)) return false;
            writer.copy(reader.base, copied, begin);
            if (!component_table_[c]->put(dc[c] - written_[c], writer)) return false;
            copied = after_dc;
            for (std::uint32_t block = c == 0 ? luma_ : 1; block > 1; --block)
                if (!read_block(reader, c, dc[c], nullptr)) return false;
        }
        if (reader.place() > bits) return false;
        if (!skip(reader, mcus - 1, components, dc, bits)) return false;
        writer.copy(reader.base, copied, reader.place());
        written_ = dc;
        return true;
    }

    // Copy a segment without the zeros that stand behind 0xff; returns its size. Zeros follow it.
    std::size_t unstuff(const std::uint8_t* from, std::size_t size) {
        reserve(clean_, clean_size_, size + kAhead);
        std::uint8_t* to = clean_.get();
        const std::uint8_t* const end = from + size;
        while (from < end) {
            const void* mark = std::memchr(from, kMark, static_cast<std::size_t>(end - from));
            const std::uint8_t* stop = mark ? static_cast<const std::uint8_t*>(mark) + 1 : end;
            to = append(to, from, static_cast<std::size_t>(stop - from));
            from = stop + (mark ? 1 : 0);
        }
        std::memset(to, 0, kAhead);
        return static_cast<std::size_t>(to - clean_.get());
    }

    // Pass a block; `dc` becomes its DC value, `after_dc` where its AC codes begin, if that
    // matters.
    [[gnu::always_inline]] bool read_block(BitReader& reader, std::uint32_t component,
                                           std::int64_t& dc, std::size_t* after_dc) const {
        const Codes<true>& dc_codes = *component_dc_[component];
        const Codes<false>& ac_codes = *component_ac_[component];
        reader.fill();
        std::uint32_t entry = dc_codes.look(reader.bits);
        if (entry == 0) entry = dc_codes.compare(reader.bits);
        if (entry == 0) return false;
        const std::uint32_t size = entry >> 6;
        reader.pass(entry & 63);
        const auto raw = static_cast<std::int64_t>(reader.bits >> 1 >> (63 - size));
        // Below half its range a value is negative; a branch on that could not be foreseen.
        const std::int64_t range = std::int64_t{1} << size;
        dc += raw + (((2 * raw - range) >> 63) & (1 - range));
        reader.pass(size);
        if (after_dc != nullptr) *after_dc = reader.place();
        // A filling of 56 bits or more holds two entries: one is 26 bits at most, the other 21, or
        // 27 for DC; a code that is compared is filled up for and leaves 30.
        std::uint32_t passed = 1;
        Step step = pass_codes(ac_codes, reader, passed);
        while (step == Step::kMore) {
            reader.fill();
            step = pass_codes(ac_codes, reader, passed);
            if (step == Step::kMore) step = pass_codes(ac_codes, reader, passed);
        }
        return step == Step::kEnd;
    }

    enum class Step { kMore, kEnd, kWrong };

    // Pass one entry of AC codes.
    [[gnu::always_inline]] static Step pass_codes(const Codes<false>& codes, BitReader& reader,
                                                  std::uint32_t& passed) {
        std::uint32_t entry = codes.look(reader.bits);
        std::uint32_t after = passed + (entry >> 6);
        if (after < 64) {
            reader.pass(entry & 63);
            passed = after;
            return Step::kMore;
        }
        // The block's end; unless the block is full before its last codes, which then are not its
        // own.
        if (entry >> 6 >= 64 ? after >= 128 : after > 64) {
            reader.fill();
            entry = codes.compare(reader.bits);
            after = passed + (entry >> 6);
            if (entry == 0 || (entry >> 6 < 64 && after > 64)) return Step::kWrong;
        }
        reader.pass(entry & 63);
        passed = after;
        return after < 64 ? Step::kMore : Step::kEnd;
    }

    std::array<Codes<true>, 4> dc_;
    std::array<Codes<false>, 4> ac_;
    std::array<DcTable, 4> tables_;
    std::array<const Codes<true>*, 3> component_dc_{};
    std::array<const Codes<false>*, 3> component_ac_{};
    std::array<const DcTable*, 3> component_table_{};
    Dc written_{};            // of each component's last block
    std::uint32_t luma_ = 1;  // blocks of luma in an MCU
    Buffer clean_, out_;
    std::size_t clean_size_ = 0, out_size_ = 0;
};

}  // namespace fastclips::jpeg
