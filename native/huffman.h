// Huffman codes of a JPEG, as far as passing and copying them goes: bits in, bits out, and the
// tables that say how long codes are. No coefficient is decoded.
#pragma once

#include <algorithm>

#include "jpeg.h"

namespace fastclips::jpeg {

// A Huffman table of a JPEG's header, as far as lengths go. Codes no longer than kWidth are found
// by the bits that come next, several AC codes at once where they fit; longer ones, which are rare,
// by comparing.
//
// An entry is how many bits there are to pass (6 bits) and, above, for AC how many coefficients
// they are, plus 64 if the block ends; for DC the size of the value, whose bits are not counted.
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
        if (size > 10) return 0;  // more than 8-bit pictures have, and than a filling may hold
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

// Bits of a segment, its stuffing taken out. Reads up to 8 bytes ahead.
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

}  // namespace fastclips::jpeg
