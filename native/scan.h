// Read the coefficients of a box from the entropy-coded data of a JPEG. For each row of the box,
// the codes between the restart marker before the row and the box are passed; if rows do not begin
// at markers, the codes of the rows above are passed, too. Passing a code reads its length and DC
// value, and stores no coefficient.
//
// A segment is always read to its end: if its codes end before or after its data, the file is
// damaged. The last segment is always read, since it shows whether the header gives a wrong size.
#pragma once

#include <memory>

#include "huffman.h"
#include "jpeg.h"

namespace fastclips::jpeg {

// Reads boxes of files, one at a time. Not thread-safe.
class Scan {
  public:
    // Begin a box of whole MCUs; `starts` is the result of find_segments(). It and the file must
    // outlive the reading. False if a table is invalid.
    bool begin(Bytes file, const Frame& frame, const std::vector<std::uint32_t>& starts, Box box) {
        file_ = file;
        starts_ = starts.data();
        row_ = frame.mcus_per_row();
        total_ = std::uint64_t{row_} * frame.mcu_rows();
        interval_ = frame.interval == 0 ? total_ : frame.interval;
        next_ = std::uint64_t{box.top / frame.mcu_height} * row_ + box.left / frame.mcu_width;
        columns_ = (box.right + frame.mcu_width - 1) / frame.mcu_width - box.left / frame.mcu_width;
        column_ = 0;
        unread_ =
            std::uint64_t{columns_} *
            ((box.bottom + frame.mcu_height - 1) / frame.mcu_height - box.top / frame.mcu_height);
        segment_ = kNone;
        at_ = stop_ = 0;
        // Memory is allocated only here: an exception must not pass through libjpeg.
        if (clean_size_ < file.size - frame.scan + kAhead) {
            clean_size_ = 0;
            clean_ = std::make_unique<std::uint8_t[]>(file.size - frame.scan + kAhead);
            clean_size_ = file.size - frame.scan + kAhead;
        }
        components_ = frame.components;
        const std::uint8_t first = file.data[frame.sof + 11];
        luma_ = components_ == 1 ? 1 : (first >> 4) * (first & 15u);
        for (std::uint32_t c = 0; c < components_; ++c) {
            const std::uint8_t ids = file.data[frame.sos + 6 + 2 * c];
            const std::uint32_t dc = ids >> 4, ac = ids & 15;
            if (!dc_[dc].read(file, frame.tables[dc]) || !ac_[ac].read(file, frame.tables[4 + ac]))
                return false;
            component_dc_[c] = &dc_[dc];
            component_ac_[c] = &ac_[ac];
        }
        return true;
    }

    // Read the next MCU of the box into blocks of zeros, in natural order or another one; false if
    // a code is invalid.
    template <const Positions& Order = kPositions>
    bool read(Block** blocks) {
        if (unread_ == 0) return false;
        if ((column_ == 0 || at_ == stop_) && !seek(next_)) return false;
        BitReader reader = reader_;  // a copy, kept in registers
        for (std::uint32_t i = 0; i < luma_; ++i)
            if (!read_block<Order>(reader, 0, **blocks++)) return false;
        for (std::uint32_t c = 1; c < components_; ++c)
            if (!read_block<Order>(reader, c, **blocks++)) return false;
        reader_ = reader;
        ++at_;
        ++next_;
        --unread_;
        if (++column_ == columns_) {
            column_ = 0;
            next_ += row_ - columns_;
        }
        return reader.position() <= bits_;
    }

    // Whether the whole box was read, and its segments and the last one end where they should.
    bool finish() {
        if (unread_ != 0 || !drain()) return false;
        const std::uint64_t last = (total_ - 1) / interval_;
        return segment_ == last || (open(last), drain());
    }

  private:
    static constexpr std::uint64_t kNone = UINT64_MAX;
    // Bytes of an MCU, at most: 6 blocks, each of 63 AC codes of 26 bits and one DC code of 27.
    static constexpr std::size_t kAhead = 6 * 256;
    // So few MCUs are read instead of passed, which saves making the tables of runs.
    static constexpr std::uint64_t kFew = 8;

    // Go to an MCU by its number, in this segment or a later one.
    bool seek(std::uint64_t number) {
        const std::uint64_t segment = number / interval_;
        if (segment != segment_) {
            if (segment_ != kNone && !drain()) return false;
            open(segment);
        }
        return pass(number - at_);
    }

    // Go to the begin of a segment.
    void open(std::uint64_t segment) {
        segment_ = segment;
        at_ = segment * interval_;
        stop_ = std::min(total_, at_ + interval_);
        unstuff(file_.data + starts_[segment], starts_[segment + 1] - 2 - starts_[segment]);
        reader_ = {clean_.get(), clean_.get()};
        dc_values_ = {};
    }

    // Go to the end of the segment; false if its codes end elsewhere.
    bool drain() { return pass(stop_ - at_) && bits_ - reader_.position() < 8; }

    // Copy a segment without the zeros stuffed after 0xff.
    void unstuff(const std::uint8_t* from, std::size_t size) {
        std::uint8_t* to = clean_.get();
        const std::uint8_t* const end = from + size;
        while (from < end) {
            const void* mark = std::memchr(from, kMark, static_cast<std::size_t>(end - from));
            const std::uint8_t* stop = mark ? static_cast<const std::uint8_t*>(mark) + 1 : end;
            std::memcpy(to, from, static_cast<std::size_t>(stop - from));
            to += stop - from;
            from = stop + (mark ? 1 : 0);
        }
        bits_ = 8 * static_cast<std::size_t>(to - clean_.get());
    }

    bool pass(std::uint64_t mcus) {
        at_ += mcus;
        if (mcus <= kFew)
            return pass_blocks(mcus, [this](BitReader& reader, std::uint32_t component) {
                Block unused;
                return read_block<kPositions>(reader, component, unused);
            });
        for (std::uint32_t c = 0; c < components_; ++c) component_ac_[c]->make_runs();
        return pass_blocks(mcus, [this](BitReader& reader, std::uint32_t component) {
            return pass_block(reader, component);
        });
    }

    template <typename Pass>
    [[gnu::always_inline]] bool pass_blocks(std::uint64_t mcus, Pass pass_one) {
        BitReader reader = reader_;
        for (; mcus > 0; --mcus) {
            for (std::uint32_t block = luma_; block > 0; --block)
                if (!pass_one(reader, 0)) return false;
            for (std::uint32_t c = 1; c < components_; ++c)
                if (!pass_one(reader, c)) return false;
            if (reader.position() > bits_) return false;
        }
        reader_ = reader;
        return true;
    }

    // Read a DC difference and add it.
    [[gnu::always_inline]] bool read_dc(BitReader& reader, std::uint32_t component) {
        reader.fill();
        const Code found = component_dc_[component]->look(reader.bits);
        dc_values_[component] += static_cast<std::uint32_t>(found.value(reader.bits));
        reader.pass(found);
        return found.bits() != 0;
    }

    template <const Positions& Order>
    [[gnu::always_inline]] bool read_block(BitReader& reader, std::uint32_t component,
                                           Block& block) {
        const AcCodes& codes = *component_ac_[component];
        if (!read_dc(reader, component)) return false;
        std::uint32_t k = 0;
        const auto put = [&](Code found) __attribute__((always_inline)) {
            k += found.advance();
            block[Order[k]] = static_cast<short>(found.value(reader.bits));
            reader.pass(found);
        };
        do {
            reader.fill();
#pragma GCC unroll 3
            for (int looks = 0; looks < 3; ++looks) {
                const Code found = codes.look(reader.bits);
                if (__builtin_expect(found.bits() == 0, 0)) {
                    reader.fill();
                    const Code rare = codes.search(reader.bits);
                    if (rare.bits() == 0) return false;
                    put(rare);
                    break;
                }
                put(found);
                if (k >= 63) break;
            }
        } while (k < 63);
        block[0] = static_cast<short>(dc_values_[component]);
        return k == 63 || k >= AcCodes::kEnd;
    }

    [[gnu::always_inline]] bool pass_block(BitReader& reader, std::uint32_t component) {
        const AcCodes& codes = *component_ac_[component];
        if (!read_dc(reader, component)) return false;
        // After fill() there are at least 56 bits. Two entries take at most 2 x 21, a DC code and
        // an entry 27 + 21. Before a search() there is another fill(), and 30 bits are left after
        // it.
        std::uint32_t passed = 1;
        Passed state = pass_codes(codes, reader, passed);
        while (state == Passed::kMore) {
            reader.fill();
            state = pass_codes(codes, reader, passed);
            if (state == Passed::kMore) state = pass_codes(codes, reader, passed);
        }
        return state == Passed::kEnd;
    }

    enum class Passed { kMore, kEnd, kWrong };

    // Pass the AC codes of one entry.
    [[gnu::always_inline]] static Passed pass_codes(const AcCodes& codes, BitReader& reader,
                                                    std::uint32_t& passed) {
        const std::uint32_t entry = codes.look_run(reader.bits);
        const std::uint32_t after = passed + (entry >> 6);
        if (after < 64) {
            reader.pass(entry & 63);
            passed = after;
            return Passed::kMore;
        }
        // The entry ends the block, unless the block is full before the entry's last codes: these
        // belong to the next block.
        if (entry >> 6 >= 64 ? after < 128 : after == 64) {
            reader.pass(entry & 63);
            return Passed::kEnd;
        }
        reader.fill();
        const Code found = codes.search(reader.bits);
        reader.pass(found);
        if (found.advance() == AcCodes::kEnd) return Passed::kEnd;
        passed += found.advance();
        if (found.bits() == 0 || passed > 64) return Passed::kWrong;
        return passed == 64 ? Passed::kEnd : Passed::kMore;
    }

    Bytes file_{};
    const std::uint32_t* starts_ = nullptr;
    std::uint64_t row_ = 0, total_ = 0, interval_ = 0;   // MCUs
    std::uint64_t next_ = 0, unread_ = 0;                // of the box: its next MCU, MCUs left
    std::uint64_t segment_ = kNone, at_ = 0, stop_ = 0;  // the reader's MCU, the segment's end
    std::uint32_t columns_ = 0, column_ = 0;             // of the box, MCUs
    std::uint32_t components_ = 0, luma_ = 1;            // blocks of luma in an MCU
    BitReader reader_{};
    std::size_t bits_ = 0;  // of the segment
    std::array<std::uint32_t, 3> dc_values_{};
    std::array<DcCodes, 4> dc_;
    std::array<AcCodes, 4> ac_;
    std::array<const DcCodes*, 3> component_dc_{};
    std::array<AcCodes*, 3> component_ac_{};
    std::unique_ptr<std::uint8_t[]> clean_;
    std::size_t clean_size_ = 0;
};

}  // namespace fastclips::jpeg
