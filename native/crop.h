// A small JPEG out of a large one that has no restart markers where they would help. The Huffman
// codes are read down to the box, but only for their lengths and the DC values; no coefficient is
// stored. Codes in the box are copied as they are, but for the first DC code of each component in a
// row: it counts from the block before, which is another one now. So what comes out holds the same
// coefficients.
#pragma once

#include <algorithm>
#include <memory>

#include "jpeg.h"

namespace fastclips::jpeg {

// A Huffman table of a JPEG's header, as far as lengths go. Codes no longer than kWidth are found
// by the bits that come next, several AC codes at once where they fit; longer ones, which are rare,
// by comparing.
//
// An entry is how many bits there are to pass (6 bits) and, above, for AC how many coefficients
// they are, plus 64 if the block ends; for DC the size of the value, whose bits are not counted. 0
// is no entry.
template <bool kDc>
class Codes {
  public:
    static constexpr unsigned kWidth = kDc ? 9 : 11;

    // Read 16 counts and as many symbols, which parse() has seen to lie in the file; false if they
    // make no code. A table like the last one costs nothing.
    bool read(Bytes file, std::size_t at) {
        std::size_t size = 16;
        for (std::size_t i = 0; i < 16; ++i) size += file.data[at + i];
        if (size > text_.size()) return false;
        if (size == size_ && std::memcmp(text_.data(), file.data + at, size) == 0) return true;
        size_ = 0;
        std::memcpy(text_.data(), file.data + at, size);
        std::uint32_t code = 0, symbol = 16;
        for (std::uint32_t length = 1; length <= 16; ++length) {
            offset_[length] = symbol - code;
            code += text_[length - 1];
            symbol += text_[length - 1];
            if (code >= 1u << length) return false;  // no code is all ones
            limit_[length] = code << (16 - length);
            code <<= 1;
        }
        table_.fill(0);
        std::uint32_t bits = 0;
        symbol = 16;
        for (std::uint32_t length = 1; length <= kWidth; ++length)
            for (std::uint32_t n = text_[length - 1]; n > 0; --n, ++symbol)
                for (std::uint32_t last = bits + (1u << (kWidth - length)); bits < last; ++bits)
                    table_[bits] = entry(length, text_[symbol]);
        if (!kDc) join();
        size_ = size;
        return true;
    }

    // An entry, which for DC may be 0 and for AC bring us too far: then compare() finds the code.
    std::uint32_t look(std::uint64_t next) const { return table_[next >> (64 - kWidth)]; }

    // The entry of one code, of any length; 0 if there is none.
    std::uint16_t compare(std::uint64_t next) const {
        const auto bits = static_cast<std::uint32_t>(next >> 48);
        for (std::uint32_t length = 1; length <= 16; ++length)
            if (bits < limit_[length])
                return entry(length, text_[(bits >> (16 - length)) + offset_[length]]);
        return 0;
    }

  private:
    static constexpr std::uint16_t kNone = 127 << 6;

    static std::uint16_t entry(std::uint32_t length, std::uint32_t symbol) {
        const std::uint32_t run = symbol >> 4, size = symbol & 15;
        if (kDc) return static_cast<std::uint16_t>(symbol <= 11 ? length | symbol << 6 : 0);
        const std::uint32_t passed = size == 0 && run < 15 ? 64 : run + 1;
        return static_cast<std::uint16_t>((length + size) | passed << 6);
    }

    // Add to each code those after it that the same bits hold in full.
    void join() {
        const auto single = table_;
        for (std::uint32_t bits = 0; bits < table_.size(); ++bits) {
            if (single[bits] == 0) {
                table_[bits] = kNone;
                continue;
            }
            std::uint32_t length = single[bits] & 63, passed = single[bits] >> 6;
            while (length < kWidth && passed < 64) {
                const std::uint32_t next = single[(bits << length) % table_.size()];
                if (next == 0 || length + (next & 63) > kWidth || passed + (next >> 6 & 63) > 63)
                    break;
                length += next & 63;
                passed += next >> 6;
            }
            table_[bits] = static_cast<std::uint16_t>(length | passed << 6);
        }
    }

    std::array<std::uint8_t, 16 + 256> text_{};
    std::size_t size_ = 0;
    std::array<std::uint32_t, 17> offset_{}, limit_{};
    std::array<std::uint16_t, 1 << kWidth> table_{};
};

namespace detail {

inline void store32(std::uint8_t* at, std::uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    std::memcpy(at, &value, sizeof value);
}

inline std::uint64_t load64(const std::uint8_t* at) {
    std::uint64_t value;
    std::memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

// Bits of a segment, after bytes of zero have been taken out behind 0xff. Reads up to 8 bytes
// ahead.
struct BitReader {
    const std::uint8_t* base;
    const std::uint8_t* next;
    std::uint64_t bits = 0;  // from the top
    std::uint32_t count = 0;

    void fill() {  // to at least 56
        bits |= load64(next) >> count;
        next += (63 - count) >> 3;
        count |= 56;
    }
    void pass(std::uint32_t length) {
        bits <<= length;
        count -= length;
    }
    std::size_t place() const { return static_cast<std::size_t>(next - base) * 8 - count; }
};

class BitWriter {
  public:
    explicit BitWriter(std::uint8_t* to) : to_(to) {}

    void put(std::uint64_t value, std::uint32_t length) {  // up to 32
        bits_ = bits_ << length | value;
        count_ += length;
        if (count_ < 32) return;
        count_ -= 32;
        const auto word = static_cast<std::uint32_t>(bits_ >> count_);
        if (((~word - 0x01010101u) & word & 0x80808080u) == 0) {  // no byte is 0xff
            store32(to_, word);
            to_ += 4;
        } else {
            for (int shift = 24; shift >= 0; shift -= 8)
                byte(static_cast<std::uint8_t>(word >> shift));
        }
    }
    void copy(const std::uint8_t* base, std::size_t begin, std::size_t end) {
        while (begin < end) {
            const auto length = static_cast<std::uint32_t>(end - begin < 32 ? end - begin : 32);
            put(load64(base + begin / 8) << begin % 8 >> (64 - length), length);
            begin += length;
        }
    }
    std::uint8_t* finish() {
        if (count_ % 8 != 0) put((1u << (8 - count_ % 8)) - 1, 8 - count_ % 8);
        for (; count_ > 0; count_ -= 8) byte(static_cast<std::uint8_t>(bits_ >> (count_ - 8)));
        return to_;
    }

  private:
    void byte(std::uint8_t value) {
        *to_++ = value;
        if (value == 0xff) *to_++ = 0;
    }
    std::uint8_t* to_;
    std::uint64_t bits_ = 0;
    std::uint32_t count_ = 0;
};

// A file's DC table to write with. An optimised one lacks sizes that the file has no use for; they
// are added behind the longest codes, where they change no other.
class DcTable {
  public:
    static constexpr std::size_t kMost = 16 + 12;  // bytes

    // As Codes::read; false too if there is no place for what lacks.
    bool read(Bytes file, std::size_t at) {
        std::memcpy(text_.data(), file.data + at, 16);
        std::uint32_t count = 0, longest = 0;
        for (std::uint32_t length = 1; length <= 16; ++length) {
            count += text_[length - 1];
            if (text_[length - 1] > 0) longest = length;
        }
        if (count == 0 || count > 12) return false;
        std::memcpy(text_.data() + 16, file.data + at + 16, count);
        for (std::uint8_t size = 0; size < 12; ++size) {
            const auto end = text_.begin() + 16 + count;
            if (std::find(text_.begin() + 16, end, size) != end) continue;
            if (longest > 12 || count == 12) return false;
            text_[16 + count++] = size;
            ++text_[longest + 3];  // 15 codes of four bits more fit where one did
        }
        std::uint32_t code = 0, at_symbol = 16;
        for (std::uint8_t length = 1; length <= 16; ++length, code <<= 1)
            for (std::uint32_t n = text_[length - 1]; n > 0; --n, ++code, ++at_symbol) {
                const std::uint8_t size = text_[at_symbol];
                codes_[size] = code;
                lengths_[size] = length;
            }
        return true;
    }

    const std::uint8_t* text() const { return text_.data(); }

    // Write a difference; false if it is none that a JPEG can have.
    bool put(std::int64_t difference, BitWriter& writer) const {
        if (difference < -2047 || difference > 2047) return false;
        const auto magnitude = static_cast<unsigned>(difference < 0 ? -difference : difference);
        const auto size =
            magnitude == 0 ? 0u : 32u - static_cast<std::uint32_t>(__builtin_clz(magnitude));
        const std::int64_t raw = difference < 0 ? difference + (1 << size) - 1 : difference;
        writer.put(codes_[size], lengths_[size]);
        writer.put(static_cast<std::uint64_t>(raw), size);
        return true;
    }

  private:
    std::array<std::uint8_t, kMost> text_{};
    std::array<std::uint32_t, 12> codes_{};
    std::array<std::uint8_t, 12> lengths_{};
};

}  // namespace detail

// Cuts boxes out of one file after the other. Not thread-safe.
class Cropper {
  public:
    // Write a JPEG that holds a box of whole MCUs; `starts` is what find_segments found. Nothing if
    // a code in the way is wrong.
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
        std::uint8_t* const data = write_header(file, frame, box);
        detail::BitWriter writer(data);
        written_ = {};
        // Segments without any wanted MCU are passed over, but for the last: whether it ends where
        // it should shows whether the header tells the truth about the size.
        const std::uint64_t total = std::uint64_t{row} * rows, last = (total - 1) / interval;
        for (std::uint64_t segment = 0; segment <= last; ++segment) {
            const std::uint64_t first = segment * interval;
            const std::uint64_t next = wanted.from(first) / interval;
            if (next > segment) segment = std::min(next, last);
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
    static constexpr std::size_t kAhead =
        512;  // bytes; a block has at most 63 codes of 31 bits, and DC
    // Bytes that a file's own header may lack.
    static constexpr std::size_t kHeader = 3 * (5 + detail::DcTable::kMost) + 6;

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

    // The file's own header with the box's size, no restart markers, and DC codes of ours.
    std::uint8_t* write_header(Bytes file, const Frame& frame, Box box) {
        std::uint8_t* to = write_runs(file, frame, box, frame.sos, out_.get());
        for (std::uint32_t c = 0; c < frame.components; ++c) {
            const std::uint8_t id = file.data[frame.sos + 6 + 2 * c] >> 4;
            const std::uint8_t start[] = {kMark, kDht, 0, 3 + detail::DcTable::kMost, id};
            to = append(to, start, sizeof start);
            to = append(to, component_table_[c]->text(), detail::DcTable::kMost);
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
                      detail::BitWriter& writer) {
        const std::size_t bits = 8 * unstuff(file.data + begin, end - begin);
        detail::BitReader reader{clean_.get(), clean_.get()};
        std::array<std::int64_t, 3> dc{};
        std::uint64_t y = first / wanted.row, x = first % wanted.row;
        for (std::uint64_t number = first; number < stop;) {
            // A stretch of a row that is wanted, or that is not.
            const bool row_wanted = y >= wanted.top && y < wanted.bottom;
            const bool copied = row_wanted && x >= wanted.left && x < wanted.right;
            std::uint64_t until = wanted.row;
            if (row_wanted && x < wanted.right) until = copied ? wanted.right : wanted.left;
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

    bool skip(detail::BitReader& state, std::uint64_t mcus, std::uint32_t components, Dc& dc,
              std::size_t bits) const {
        detail::BitReader reader = state;  // in registers
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

    bool copy(detail::BitReader& reader, std::uint64_t mcus, std::uint32_t components, Dc& dc,
              std::size_t bits, detail::BitWriter& writer) {
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
    [[gnu::always_inline]] bool read_block(detail::BitReader& reader, std::uint32_t component,
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
        // Bits for two codes of the table are there after each filling.
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
    [[gnu::always_inline]] static Step pass_codes(const Codes<false>& codes,
                                                  detail::BitReader& reader,
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
    std::array<detail::DcTable, 4> tables_;
    std::array<const Codes<true>*, 3> component_dc_{};
    std::array<const Codes<false>*, 3> component_ac_{};
    std::array<const detail::DcTable*, 3> component_table_{};
    Dc written_{};            // of each component's last block
    std::uint32_t luma_ = 1;  // blocks of luma in an MCU
    Buffer clean_, out_;
    std::size_t clean_size_ = 0, out_size_ = 0;
};

}  // namespace fastclips::jpeg
