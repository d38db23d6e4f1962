// Read or pass the Huffman codes of a JPEG.
#pragma once

#include <algorithm>

#include "jpeg.h"

namespace fastclips::jpeg {

inline std::uint64_t load64(const std::uint8_t* at) {
    std::uint64_t value;
    std::memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

// A code with the bits of its value, in one word: the next code depends on both lengths.
class Code {
  public:
    Code() = default;
    // Bits of the code, bits of its value, and the AC coefficients it advances by.
    Code(std::uint32_t length, std::uint32_t size, std::uint32_t advance)
        : word_(std::uint64_t{(1u << size) - 1} << 32 | (64 - length - size) << 16 | advance << 8 |
                (length + size)) {}

    // Bits of code and value; 0 if there is no such code.
    std::uint32_t bits() const { return word_ & 0xff; }
    std::uint32_t advance() const { return word_ >> 8 & 0xff; }
    // The value in the next bits. It is negative below half its range, which no branch predictor
    // could foresee.
    std::int32_t value(std::uint64_t next) const {
        const auto mask = static_cast<std::int32_t>(word_ >> 32);
        const auto raw = static_cast<std::int32_t>(next >> (word_ >> 16 & 63)) & mask;
        return raw - (raw <= mask >> 1 ? mask : 0);
    }

  private:
    std::uint64_t word_ = 0;
};

// The bits of a segment without stuffing. Reads up to 8 bytes ahead.
struct BitReader {
    const std::uint8_t* base;
    const std::uint8_t* next;
    std::uint64_t bits = 0;  // the next bits, from the top
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
    void pass(Code code) {
        bits <<= code.bits();
        count -= code.bits();
    }
    std::size_t position() const { return static_cast<std::size_t>(next - base) * 8 - count; }
};

// A Huffman table from a JPEG's header: codes of up to 16 bits, in order.
class Codes {
  public:
    // Read 16 counts and their symbols, which lie in the file by parse(); false if they are no
    // valid code. A table equal to the last one is not read again.
    bool read(Bytes file, std::size_t at, bool& changed) {
        std::size_t size = 16;
        for (std::size_t i = 0; i < 16; ++i) size += file.data[at + i];
        if (size > text_.size() || size > file.size - at) return false;
        changed = size != size_ || std::memcmp(text_.data(), file.data + at, size) != 0;
        if (!changed) return true;
        size_ = 0;
        std::memcpy(text_.data(), file.data + at, size);
        std::uint32_t code = 0, symbol = 16;
        for (std::uint32_t length = 1; length <= 16; ++length) {
            offset_[length] = symbol - code;
            code += text_[length - 1];
            symbol += text_[length - 1];
            if (code >= 1u << length) return false;  // no code may be all ones
            limit_[length] = code << (16 - length);
            code <<= 1;
        }
        size_ = size;
        return true;
    }

    // Forget the table, so that the next one counts as changed.
    void forget() { size_ = 0; }

    std::size_t symbols() const { return size_ - 16; }
    std::uint8_t symbol(std::size_t number) const { return text_[16 + number]; }

    // Find the next code: returns its length and sets its symbol; 0 if there is none.
    std::uint32_t find(std::uint64_t next, std::uint32_t& symbol) const {
        const auto bits = static_cast<std::uint32_t>(next >> 48);
        for (std::uint32_t length = 1; length <= 16; ++length) {
            if (bits >= limit_[length]) continue;
            symbol = text_[(bits >> (16 - length)) + offset_[length]];
            return length;
        }
        return 0;
    }

    // Visit each code of up to `width` bits: its length, its symbol, and the first and the number
    // of the entries that begin with it, in a table of 2^width.
    template <typename Visit>
    void each(std::uint32_t width, Visit visit) const {
        std::uint32_t first = 0, symbol = 16;
        for (std::uint32_t length = 1; length <= width; ++length)
            for (std::uint32_t n = text_[length - 1]; n > 0; --n, ++symbol) {
                const std::uint32_t entries = 1u << (width - length);
                visit(length, text_[symbol], first, entries);
                first += entries;
            }
    }

  private:
    std::array<std::uint8_t, 16 + 256> text_{};
    std::size_t size_ = 0;
    std::array<std::uint32_t, 17> offset_{}, limit_{};
};

// The codes of DC values.
class DcCodes {
  public:
    // As Codes::read(); also false if a value may be larger than in 8-bit pictures.
    bool read(Bytes file, std::size_t at) {
        bool changed;
        if (!codes_.read(file, at, changed)) return false;
        if (!changed) return true;
        for (std::size_t i = 0; i < codes_.symbols(); ++i)
            if (codes_.symbol(i) > kLargest) {
                codes_.forget();
                return false;
            }
        table_.fill(Code());
        codes_.each(kWidth, [this](std::uint32_t length, std::uint32_t symbol, std::uint32_t first,
                                   std::uint32_t entries) {
            std::fill_n(table_.begin() + first, entries, code(length, symbol));
        });
        return true;
    }

    // Return the next code, of at most 27 bits with its value.
    Code look(std::uint64_t next) const {
        const Code found = table_[next >> (64 - kWidth)];
        return found.bits() != 0 ? found : search(next);
    }

  private:
    static constexpr std::uint32_t kWidth = 9, kLargest = 11;

    static Code code(std::uint32_t length, std::uint32_t size) { return {length, size, 0}; }
    [[gnu::noinline]] Code search(std::uint64_t next) const {
        std::uint32_t symbol = 0;
        const std::uint32_t length = codes_.find(next, symbol);
        return length == 0 ? Code() : code(length, symbol);
    }

    Codes codes_;
    std::array<Code, 1 << kWidth> table_{};
};

// The codes of AC values. Short ones are found by one look into a table, at the next bits.
class AcCodes {
  public:
    static constexpr std::uint32_t kWidth = 10;
    // Bits of a code and its value that look() finds, at most: fill() provides for three.
    static constexpr std::uint32_t kMost = 18;
    static constexpr std::uint32_t kEnd = 128;  // advance() of the code that ends a block

    bool read(Bytes file, std::size_t at) {
        bool changed;
        if (!codes_.read(file, at, changed)) return false;
        if (!changed) return true;
        runs_made_ = false;
        table_.fill(Code());
        codes_.each(kWidth, [this](std::uint32_t length, std::uint32_t symbol, std::uint32_t first,
                                   std::uint32_t entries) {
            const Code found = code(length, symbol);
            if (found.bits() <= kMost) std::fill_n(table_.begin() + first, entries, found);
        });
        return true;
    }

    // Return the next code; its bits() are 0 if it is long or there is none.
    Code look(std::uint64_t next) const { return table_[next >> (64 - kWidth)]; }

    // Return the next code, of at most 26 bits with its value; its bits() are 0 if there is none.
    [[gnu::noinline]] Code search(std::uint64_t next) const {
        std::uint32_t symbol = 0;
        const std::uint32_t length = codes_.find(next, symbol);
        return length == 0 ? Code() : code(length, symbol);
    }

    // Make the table for passing several codes at once. An entry holds the bits to pass, at most 21
    // (in 6 bits), and above them the coefficients passed, plus 64 if the block ends. Passing an
    // entry may go beyond the block, and without an entry always does: then search() finds the
    // code.
    void make_runs() {
        if (runs_made_) return;
        runs_made_ = true;
        std::array<std::uint16_t, 1 << kRunWidth> single{};
        codes_.each(kRunWidth, [&single](std::uint32_t length, std::uint32_t symbol,
                                         std::uint32_t first, std::uint32_t entries) {
            const Code found = code(length, symbol);
            const std::uint32_t passed = found.advance() == kEnd ? 64u : found.advance();
            std::fill_n(single.begin() + first, entries,
                        static_cast<std::uint16_t>(found.bits() | passed << 6));
        });
        for (std::uint32_t bits = 0; bits < single.size(); ++bits) {
            if (single[bits] == 0) {
                runs_[bits] = kNoRun;
                continue;
            }
            std::uint32_t length = single[bits] & 63, passed = single[bits] >> 6;
            while (length < kRunWidth && passed < 64) {
                const std::uint32_t next = single[(bits << length) % single.size()];
                if (next == 0 || length + (next & 63) > kRunWidth || passed + (next >> 6 & 63) > 63)
                    break;
                length += next & 63;
                passed += next >> 6;
            }
            runs_[bits] = static_cast<std::uint16_t>(length | passed << 6);
        }
    }
    std::uint32_t look_run(std::uint64_t next) const { return runs_[next >> (64 - kRunWidth)]; }

  private:
    static constexpr std::uint32_t kRunWidth = 11, kLargest = 10;
    static constexpr std::uint16_t kNoRun = 127 << 6;

    static Code code(std::uint32_t length, std::uint32_t symbol) {
        const std::uint32_t run = symbol >> 4, size = symbol & 15;
        if (size > kLargest) return {};  // larger than in 8-bit pictures
        return {length, size, size == 0 && run < 15 ? kEnd : run + 1};
    }

    Codes codes_;
    std::array<Code, 1 << kWidth> table_{};
    std::array<std::uint16_t, 1 << kRunWidth> runs_{};
    bool runs_made_ = false;
};

}  // namespace fastclips::jpeg
