// Write the coefficients of a dct frame as a JPEG: the file that the frame was made of, if its
// header is given, or a baseline JPEG with the standard Huffman tables.
#pragma once

#include "dct_reader.h"

namespace fastclips::dct {

// The standard Huffman tables (T.81, annex K), as segments of a header.
inline constexpr std::array<std::uint8_t, 432> kStandardCodes = {
    0xff, 0xc4, 0x00, 0x1f, 0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
    0x0b, 0xff, 0xc4, 0x00, 0xb5, 0x10, 0x00, 0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03, 0x05, 0x05,
    0x04, 0x04, 0x00, 0x00, 0x01, 0x7d, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31,
    0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42,
    0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
    0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43,
    0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
    0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8,
    0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6,
    0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2,
    0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xff, 0xc4, 0x00, 0x1f, 0x01, 0x00, 0x03, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02,
    0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0xff, 0xc4, 0x00, 0xb5, 0x11, 0x00, 0x02,
    0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00, 0x01, 0x02, 0x77, 0x00, 0x01,
    0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
    0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a,
    0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a,
    0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3,
    0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};

// Writes codes with the stuffing of a JPEG.
class CodeWriter {
  public:
    explicit CodeWriter(std::vector<std::uint8_t>& out) : out_(out), size_(out.size()) {}

    // Make room for so many bits; call it before they are put.
    void reserve(std::size_t bits) {
        const std::size_t most = size_ + bits / 4 + 2 * sizeof bits_;  // all of it stuffed
        if (out_.size() < most) out_.resize(2 * most);
    }
    void put(std::uint32_t bits, std::uint32_t length) {  // at most 32 bits
        bits_ = bits_ << length | (bits & ((std::uint64_t{1} << length) - 1));
        count_ += length;
        if (count_ >= 32) flush();
    }
    // End a segment, and fill its last byte with ones.
    void mark(std::uint8_t marker) {
        put(0x7f, (8 - count_ % 8) % 8);
        for (; count_ > 0; count_ -= 8) add(static_cast<std::uint8_t>(bits_ >> (count_ - 8)));
        out_[size_++] = jpeg::kMark;
        out_[size_++] = marker;
    }
    // Cut the output to what was put.
    void finish() { out_.resize(size_); }

  private:
    void add(std::uint8_t byte) {
        out_[size_++] = byte;
        if (byte == jpeg::kMark) out_[size_++] = 0;
    }
    void flush() {
        const auto word = static_cast<std::uint32_t>(bits_ >> (count_ -= 32));
        // A byte of ones is one that gets 0 in its top bit by adding 1, with or without a carry.
        if ((word & 0x80808080u & ~(word + 0x01010101u)) == 0) {
            for (int shift = 24; shift >= 0; shift -= 8)
                out_[size_++] = static_cast<std::uint8_t>(word >> shift);
            return;
        }
        for (int shift = 24; shift >= 0; shift -= 8) add(static_cast<std::uint8_t>(word >> shift));
    }

    std::vector<std::uint8_t>& out_;
    std::size_t size_;
    std::uint64_t bits_ = 0;
    std::uint32_t count_ = 0;  // fewer than 32
};

// A Huffman table, by symbol.
class SymbolCodes {
  public:
    // Read counts and symbols from a parsed header; false if they are no code.
    bool read(const std::uint8_t* counts) {
        lengths_ = {};
        const std::uint8_t* symbol = counts + 16;
        std::uint32_t code = 0;
        for (std::uint32_t length = 1; length <= 16; ++length, code <<= 1) {
            for (std::uint32_t n = counts[length - 1]; n > 0; --n, ++symbol, ++code) {
                if (code >> length != 0) return false;
                codes_[*symbol] = static_cast<std::uint16_t>(code);
                lengths_[*symbol] = static_cast<std::uint8_t>(length);
            }
        }
        return true;
    }

    // Write a symbol, and the low bits of a value behind it; false if the symbol has no code.
    bool put(CodeWriter& out, std::uint32_t symbol, std::uint32_t value = 0,
             std::uint32_t bits = 0) const {
        out.put(std::uint32_t{codes_[symbol]} << bits | (value & ((1u << bits) - 1)),
                lengths_[symbol] + bits);
        return lengths_[symbol] != 0;
    }

  private:
    std::array<std::uint16_t, 256> codes_{};
    std::array<std::uint8_t, 256> lengths_{};
};

class Restorer {
  public:
    // Write the JPEG of a parsed dct frame. `around` is its header up to the scan's, and whatever
    // follows the scan; false if they do not fit each other.
    bool run(Bytes file, const Frame& frame, Bytes around, std::vector<std::uint8_t>& out) {
        // As long as a file with the scan would be: parse() compares size and pixels.
        header_.assign(around.data, around.data + around.size);
        header_.resize(around.size + file.size);
        const Bytes whole{header_.data(), header_.size()};
        const std::optional<Frame> found = jpeg::parse(whole);
        if (!found || !found->simple || found->scan > around.size ||
            found->height != frame.height || found->width != frame.width ||
            found->components != frame.components || found->mcu_height != frame.mcu_height ||
            found->mcu_width != frame.mcu_width)
            return false;
        for (std::uint32_t c = 0; c < frame.components; ++c) {
            const std::uint8_t ids = whole.data[found->sos + 6 + 2 * c];
            if (!dc_[c].read(whole.data + found->tables[ids >> 4]) ||
                !ac_[c].read(whole.data + found->tables[4u + (ids & 15u)]))
                return false;
        }
        out.assign(header_.data(), header_.data() + found->scan);
        if (!write_scan(file, frame, found->interval, out)) return false;
        out.insert(out.end(), around.data + found->scan, around.data + around.size);
        return true;
    }

    // Write a baseline JPEG with the standard Huffman tables; false if the frame is damaged.
    bool run(Bytes file, const Frame& frame, std::vector<std::uint8_t>& out) {
        std::vector<std::uint8_t> plain(kJpegHeader);
        plain.resize(
            dct::write_header(file, frame, {0, 0, frame.height, frame.width}, plain.data()));
        // The tables stand behind the sizes, in the place of those of a single code.
        const std::size_t scan = 8 + 2 * frame.components;
        const std::size_t codes = plain.size() - scan - jpeg::kHeaderExtra;
        std::vector<std::uint8_t> header(plain.begin(), plain.begin() + codes);
        header.insert(header.end(), kStandardCodes.begin(), kStandardCodes.end());
        header.insert(header.end(), plain.end() - scan, plain.end());
        for (std::uint32_t c = 1; c < frame.components; ++c)
            header[header.size() - scan + 6 + 2 * c] = 0x11;
        return run(file, frame, {header.data(), header.size()}, out);
    }

  private:
    bool write_scan(Bytes file, const Frame& frame, std::uint32_t interval,
                    std::vector<std::uint8_t>& out) {
        const Layout layout = layout_of(file, frame);
        const std::uint32_t luma = layout.blocks + 1 - frame.components;
        reader_.begin(file, frame, {0, 0, frame.height, frame.width});
        CodeWriter codes(out);
        std::array<std::int32_t, 3> dc{};
        const std::uint64_t mcus = std::uint64_t{layout.rows} * layout.columns;
        for (std::uint64_t number = 0; number < mcus; ++number) {
            codes.reserve(kMcuBits);
            if (interval != 0 && number > 0 && number % interval == 0) {
                codes.mark(static_cast<std::uint8_t>(jpeg::kRst0 + (number / interval - 1) % 8));
                dc = {};
            }
            std::memset(blocks_, 0, sizeof blocks_);
            Block* at[kMostBlocks];
            for (std::uint32_t i = 0; i < kMostBlocks; ++i) at[i] = &blocks_[i];
            if (!reader_.read(at)) return false;
            for (std::uint32_t i = 0; i < layout.blocks; ++i) {
                const std::uint32_t c = i < luma ? 0 : 1 + i - luma;
                if (!write_block(codes, c, dc[c], blocks_[i])) return false;
            }
        }
        codes.reserve(0);
        codes.mark(jpeg::kEoi);
        codes.finish();
        return reader_.finish();
    }

    bool write_block(CodeWriter& codes, std::uint32_t component, std::int32_t& dc,
                     const Block& block) const {
        bool good = put(codes, dc_[component], 0, block[0] - dc);
        dc = block[0];
        std::int16_t values[63];
        std::uint64_t mask = 0;
        for (std::uint64_t left = nonzeros(block) & ~std::uint64_t{1}; left != 0;
             left &= left - 1) {
            const int at = __builtin_ctzll(left);
            const std::uint32_t k = kAcPlaces[static_cast<std::size_t>(at)];
            values[k] = block[at];
            mask |= std::uint64_t{1} << k;
        }
        const SymbolCodes& ac = ac_[component];
        std::uint32_t next = 0;
        for (; mask != 0; mask &= mask - 1) {
            const auto k = static_cast<std::uint32_t>(__builtin_ctzll(mask));
            std::uint32_t run = k - next;
            for (; run > 15; run -= 16) good &= ac.put(codes, kZeros);
            good &= put(codes, ac, run << 4, values[k]);
            next = k + 1;
        }
        return (next == 63 || ac.put(codes, kEndOfBlock)) && good;
    }

    // Write a value: its symbol, with its size in the low bits, and its bits.
    static bool put(CodeWriter& codes, const SymbolCodes& table, std::uint32_t symbol,
                    std::int32_t value) {
        const auto magnitude = static_cast<std::uint32_t>(std::abs(value));
        const std::uint32_t size =
            magnitude == 0 ? 0 : 32 - static_cast<std::uint32_t>(__builtin_clz(magnitude));
        return size <= 15 &&
               table.put(codes, symbol | size,
                         static_cast<std::uint32_t>(value < 0 ? value - 1 : value), size);
    }

    static constexpr std::uint32_t kEndOfBlock = 0, kZeros = 0xf0;
    // Bits of an MCU, at most, and a marker: a code has 16, a value 15.
    static constexpr std::size_t kMcuBits = kMostBlocks * 64 * (16 + 15) + 32;

    Reader reader_;
    std::vector<std::uint8_t> header_;
    std::array<SymbolCodes, 3> dc_, ac_;
    Block blocks_[kMostBlocks];
};

}  // namespace fastclips::dct
