// Data compressed by zlib (RFC 1950, 1951), whose size is known. No Python.
//
// What zlib itself refuses is refused, and a little more: bytes behind the checksum, and codes that
// are incomplete but for a single distance.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu.h"

namespace fastclips::zlib {

namespace detail {

// The bits of some bytes, the lowest of each byte first. Behind the last byte come zeros, which
// `overran` tells.
class Bits {
  public:
    Bits(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

    // Hold 56 bits at least.
    void fill() {
        if (end_ - at_ >= 8) {
            std::uint64_t word = 0;
            for (unsigned i = 0; i < 8; ++i) word |= std::uint64_t{at_[i]} << (8 * i);  // one load
            bits_ |= word << held_;
            at_ += (63 - held_) >> 3;
            held_ |= 56;
            return;
        }
        for (; held_ <= 56; held_ += 8) {
            if (at_ < end_)
                bits_ |= std::uint64_t{*at_++} << held_;
            else
                missing_ += 8;
        }
    }

    // Bits that are held, at most 32 of them.
    std::uint32_t peek(unsigned count) const {
        return static_cast<std::uint32_t>(bits_ & ((std::uint64_t{1} << count) - 1));
    }
    void drop(unsigned count) {
        bits_ >>= count;
        held_ -= count;
    }
    std::uint32_t take(unsigned count) {
        const std::uint32_t found = peek(count);
        drop(count);
        return found;
    }

    // Whether more bits were taken than there are.
    bool overran() const { return missing_ > held_; }

    // Go to the next whole byte, and return where it is. Nothing is held any more.
    const std::uint8_t* to_byte() {
        at_ -= (held_ - missing_) >> 3;
        bits_ = 0;
        held_ = missing_ = 0;
        return at_;
    }
    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    void pass(std::size_t bytes) { at_ += bytes; }

  private:
    const std::uint8_t* at_;
    const std::uint8_t* const end_;
    std::uint64_t bits_ = 0;  // above those that are held: what the next bytes will put there
    unsigned held_ = 0, missing_ = 0;
};

constexpr unsigned kLongest = 15;  // bits of a code
constexpr unsigned kNone = 0xffff;

// A prefix code: symbols by their bits.
class Codes {
  public:
    // Take the length of each symbol's code, 0 for none. False if they are no code. `lone`: there
    // may be a single code, of one bit.
    bool make(const std::uint8_t* lengths, unsigned count, bool lone = true) {
        counts_.fill(0);
        for (unsigned i = 0; i < count; ++i) ++counts_[lengths[i]];
        const bool none = counts_[0] == count;
        counts_[0] = 0;
        int left = 1;
        for (unsigned length = 1; length <= kLongest; ++length) {
            left = 2 * left - counts_[length];
            if (left < 0) return false;  // more codes than there can be
        }
        fast_.fill(0);
        if (none) return true;  // of distances, if there are only literals
        if (left > 0 && !(lone && counts_[1] == 1 && count == 1 + zeros(lengths, count)))
            return false;
        std::array<std::uint16_t, kLongest + 2> firsts{}, codes{};
        for (unsigned length = 1; length <= kLongest; ++length) {
            firsts[length + 1] = static_cast<std::uint16_t>(firsts[length] + counts_[length]);
            codes[length + 1] = static_cast<std::uint16_t>((codes[length] + counts_[length]) << 1);
        }
        for (unsigned symbol = 0; symbol < count; ++symbol) {
            const unsigned length = lengths[symbol];
            if (length == 0) continue;
            symbols_[firsts[length]++] = static_cast<std::uint16_t>(symbol);
            const unsigned code = codes[length]++;
            if (length > kFast) continue;
            unsigned reversed = 0;
            for (unsigned bit = 0; bit < length; ++bit)
                reversed |= (code >> bit & 1) << (length - 1 - bit);
            for (unsigned i = reversed; i < fast_.size(); i += 1U << length)
                fast_[i] = static_cast<std::uint16_t>(symbol << 4 | length);
        }
        return true;
    }

    // The next symbol, of at least 15 bits that are held; `kNone` if there is none with these bits.
    unsigned next(Bits& bits) const {
        const unsigned entry = fast_[bits.peek(kFast)];
        if (entry != 0) {
            bits.drop(entry & 15);
            return entry >> 4;
        }
        int code = 0, first = 0, index = 0;
        for (unsigned length = 1; length <= kLongest; ++length) {
            code |= static_cast<int>(bits.take(1));
            const int count = counts_[length];
            if (code - count < first) return symbols_[static_cast<unsigned>(index + code - first)];
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        return kNone;
    }

  private:
    static constexpr unsigned kFast = 10;  // bits that the table looks at

    static unsigned zeros(const std::uint8_t* lengths, unsigned count) {
        return static_cast<unsigned>(std::count(lengths, lengths + count, std::uint8_t{0}));
    }

    std::array<std::uint16_t, 1U << kFast> fast_;  // symbol * 16 + length; 0: a longer code
    std::array<std::uint16_t, kLongest + 1> counts_;
    std::array<std::uint16_t, 288> symbols_;
};

struct Extra {
    std::uint16_t base;
    std::uint8_t bits;
};
constexpr std::array<Extra, 29> kLengths{
    {{3, 0},  {4, 0},  {5, 0},  {6, 0},   {7, 0},   {8, 0},   {9, 0},   {10, 0},  {11, 1}, {13, 1},
     {15, 1}, {17, 1}, {19, 2}, {23, 2},  {27, 2},  {31, 2},  {35, 3},  {43, 3},  {51, 3}, {59, 3},
     {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0}}};
constexpr std::array<Extra, 30> kDistances{
    {{1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
     {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
     {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
     {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
     {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13}}};
constexpr unsigned kEnd = 256;  // of a block

struct BlockCodes {
    Codes literals, distances;

    bool make_fixed() {
        std::array<std::uint8_t, 288> lengths;
        for (unsigned i = 0; i < 288; ++i)
            lengths[i] = static_cast<std::uint8_t>(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
        std::array<std::uint8_t, 32> others;
        others.fill(5);
        return literals.make(lengths.data(), 288) && distances.make(others.data(), 32);
    }

    // Read the codes of a block.
    bool read(Bits& bits) {
        constexpr std::array<std::uint8_t, 19> kOrder{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
        const unsigned first = 257 + bits.take(5), others = 1 + bits.take(5);
        const unsigned of_lengths = 4 + bits.take(4);
        if (first > 286 || others > 30) return false;
        std::array<std::uint8_t, 19> told{};
        for (unsigned i = 0; i < of_lengths; ++i) {
            bits.fill();
            told[kOrder[i]] = static_cast<std::uint8_t>(bits.take(3));
        }
        if (!literals.make(told.data(), 19, false))
            return false;  // this memory is used again below
        std::array<std::uint8_t, 286 + 30> lengths{};
        for (unsigned i = 0; i < first + others;) {
            bits.fill();
            const unsigned symbol = literals.next(bits);
            if (symbol < 16) {
                lengths[i++] = static_cast<std::uint8_t>(symbol);
                continue;
            }
            if (symbol > 18 || (symbol == 16 && i == 0)) return false;
            const std::uint8_t value = symbol == 16 ? lengths[i - 1] : 0;
            const unsigned times = symbol == 16   ? 3 + bits.take(2)
                                   : symbol == 17 ? 3 + bits.take(3)
                                                  : 11 + bits.take(7);
            if (times > first + others - i) return false;
            std::fill_n(lengths.begin() + i, times, value);
            i += times;
        }
        return lengths[kEnd] != 0 && literals.make(lengths.data(), first) &&
               distances.make(lengths.data() + first, others);
    }
};

// Repeat bytes that lie `distance` before `to`. There is room for `room` bytes.
inline void repeat(std::uint8_t* to, std::size_t distance, std::size_t count, std::size_t room) {
    const std::uint8_t* from = to - distance;
    if (distance == 1) {
        std::memset(to, *from, count);
    } else if (distance >= 16 && room >= count + 16) {
        for (std::size_t i = 0; i < count; i += 16) std::memcpy(to + i, from + i, 16);
    } else {
        for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
    }
}

// Write the bytes of a block; return where they end, or null if they cannot be right.
inline std::uint8_t* write_block(Bits& bits, const BlockCodes& codes, const std::uint8_t* begin,
                                 std::uint8_t* to, const std::uint8_t* end) {
    for (;;) {
        bits.fill();
        unsigned symbol = codes.literals.next(bits);
        if (symbol < kEnd) {
            if (to == end) return nullptr;
            *to++ = static_cast<std::uint8_t>(symbol);
            continue;
        }
        if (symbol == kEnd) return to;
        symbol -= kEnd + 1;
        if (symbol >= kLengths.size()) return nullptr;
        const std::size_t count = kLengths[symbol].base + bits.take(kLengths[symbol].bits);
        const unsigned far = codes.distances.next(bits);
        if (far >= kDistances.size()) return nullptr;
        const std::size_t distance = kDistances[far].base + bits.take(kDistances[far].bits);
        const auto room = static_cast<std::size_t>(end - to);
        if (count > room || distance > static_cast<std::size_t>(to - begin)) return nullptr;
        repeat(to, distance, count, room);
        to += count;
    }
}

struct Sums {
    std::uint64_t plain, weighted;
};
constexpr std::size_t kSummed = 256;

// Sums of 256 bytes: plain, and weighted by 256, 255 and so on.
FASTCLIPS_WIDE inline Sums sum(const std::uint8_t* bytes) {
    std::uint32_t plain = 0, weighted = 0;
    for (std::uint32_t i = 0; i < kSummed; ++i) {
        plain += bytes[i];
        weighted += (kSummed - i) * bytes[i];
    }
    return {plain, weighted};
}

inline std::uint32_t adler32(const std::uint8_t* at, std::size_t size) {
    constexpr std::uint64_t kPrime = 65521;
    std::uint64_t low = 1, high = 0;
    for (; size >= kSummed; at += kSummed, size -= kSummed) {
        const Sums found = sum(at);
        high = (high + kSummed * low + found.weighted) % kPrime;
        low = (low + found.plain) % kPrime;
    }
    for (; size > 0; ++at, --size) {
        low += *at;
        high += low;
    }
    return static_cast<std::uint32_t>(high % kPrime << 16 | low % kPrime);
}

}  // namespace detail

// Write the `count` bytes of compressed data. False if the data are damaged, or have not exactly
// so many bytes; the output then holds anything.
inline bool inflate(const std::uint8_t* data, std::size_t size, std::uint8_t* to,
                    std::size_t count) {
    if (size < 6 || (data[0] & 15) != 8 || data[0] >> 4 > 7 || (data[0] * 256U + data[1]) % 31 ||
        (data[1] & 32) != 0)
        return false;
    detail::Bits bits(data + 2, size - 2);
    const std::uint8_t *const begin = to, *const end = to + count;
    detail::BlockCodes codes;
    for (bool last = false; !last;) {
        bits.fill();
        last = bits.take(1) != 0;
        const std::uint32_t kind = bits.take(2);
        if (bits.overran()) return false;
        if (kind == 0) {
            const std::uint8_t* const at = bits.to_byte();
            if (bits.left() < 4) return false;
            const std::size_t length = at[0] | at[1] << 8, inverse = at[2] | at[3] << 8;
            if ((length ^ inverse) != 0xffff || bits.left() - 4 < length ||
                static_cast<std::size_t>(end - to) < length)
                return false;
            std::copy_n(at + 4, length, to);
            bits.pass(4 + length);
            to += length;
            continue;
        }
        if (kind == 3 || !(kind == 1 ? codes.make_fixed() : codes.read(bits))) return false;
        to = detail::write_block(bits, codes, begin, to, end);
        if (to == nullptr) return false;
    }
    if (to != end || bits.overran()) return false;
    const std::uint8_t* const at = bits.to_byte();
    if (bits.left() != 4) return false;
    const std::uint32_t told =
        static_cast<std::uint32_t>(at[0]) << 24 | at[1] << 16 | at[2] << 8 | at[3];
    return told == detail::adler32(begin, count);
}

}  // namespace fastclips::zlib
