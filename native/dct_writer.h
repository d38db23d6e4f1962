// Write the coefficients of a baseline JPEG as a dct frame.
#pragma once

#include <vector>

#include "dct_blocks.h"
#include "scan.h"

namespace fastclips::dct {

// Collects bits, from the low end of each byte.
class BitWriter {
  public:
    explicit BitWriter(std::vector<std::uint8_t>& out) : out_(out) {}

    void put(std::uint64_t value, std::uint32_t length) {  // at most 32 bits
        bits_ |= value << count_;
        if ((count_ += length) >= 32) flush(4);
    }
    // Fill up the last byte with zeros.
    void align() { flush((count_ + 7) / 8); }
    std::uint64_t place() const { return 8 * std::uint64_t{out_.size()} + count_; }

  private:
    void flush(std::uint32_t bytes) {
        for (std::uint32_t i = 0; i < bytes; ++i, bits_ >>= 8)
            out_.push_back(static_cast<std::uint8_t>(bits_));
        count_ -= std::min(count_, 8 * bytes);
    }

    std::vector<std::uint8_t>& out_;
    std::uint64_t bits_ = 0;
    std::uint32_t count_ = 0;  // fewer than 32
};

// A block, ready to be written.
struct Coded {
    std::uint32_t groups = 0, widths = 0, selector = kEscape;
    std::uint32_t dc = 0, dc_class = 0;
    std::uint64_t mask = 0;
    std::array<std::int16_t, 63> values{};  // in zigzag order
};

class Writer {
  public:
    // Write the frame of a parsed JPEG to `out`; false if the JPEG is unusual or damaged, or if its
    // coefficients do not fit.
    bool run(Bytes file, const Frame& frame, std::vector<std::uint8_t>& out) {
        if (!frame.simple || std::max(frame.height, frame.width) < jpeg::kSmallest) return false;
        if (!write_head(file, frame)) return false;
        if (!jpeg::find_segments(file, frame, starts_) ||
            !scan_.begin(file, frame, starts_, {0, 0, frame.height, frame.width}))
            return false;
        if (!code_rows(frame) || !scan_.finish()) return false;
        assemble(frame, out);
        return true;
    }

  private:
    // The largest sum of |coefficient x quantiser| in a column of a block. No sum of 16 bits in an
    // inverse transform overflows up to it; README.md has the proof. The columns of pictures have
    // at most 2896 and what rounding adds.
    static constexpr std::uint32_t kMostColumn = 2952;

    struct Anchor {
        std::uint32_t place;
        std::array<std::int32_t, 3> dc;
    };

    // Write the fields of the header and the tables; false if they cannot be expressed.
    bool write_head(Bytes file, const Frame& frame) {
        const jpeg::ColorMarkers markers = jpeg::color_markers_of(file, frame);
        const bool jfif = markers.jfif;
        bool rgb = markers.adobe && markers.transform == 0;
        // As libjpeg decides on the colours; where it goes by names of components, the file does
        // not fit.
        if (frame.components == 3 && !jfif && !rgb) return false;
        rgb = rgb && !jfif && frame.components == 3;
        quantizers_ = jpeg::quantizers_of(file, frame);
        const std::uint8_t colors = frame.components == 1 ? kGray : rgb ? kRgb : kYcc;
        const auto sampling =
            static_cast<std::uint8_t>(frame.mcu_width / 8 << 4 | frame.mcu_height / 8);
        head_.assign(kMagic.begin(), kMagic.end());
        head_.insert(head_.end(), {kVersion, sampling, colors,
                                   static_cast<std::uint8_t>(quality(frame.components))});
        add(head_, frame.height, 2);
        add(head_, frame.width, 2);
        add(head_, 0, 4);  // the checksum
        if (head_[kQualityAt] == 0) add_tables(frame.components);
        return true;
    }

    // The quality of which all tables are the standard ones; 0 if there is none.
    std::uint32_t quality(std::uint32_t components) const {
        for (std::uint32_t quality = 100; quality > 0; --quality) {
            bool same = quantizers_[0] == standard_table(quality, false);
            for (std::uint32_t c = 1; c < components && same; ++c)
                same = quantizers_[c] == standard_table(quality, true);
            if (same) return quality;
        }
        return 0;
    }

    void add_tables(std::uint32_t components) {
        std::vector<const Table*> tables;
        std::uint32_t choice = 0;
        bool wide = false;
        for (std::uint32_t c = 0; c < components; ++c) {
            std::uint32_t number = 0;
            while (number < tables.size() && *tables[number] != quantizers_[c]) ++number;
            if (number == tables.size()) tables.push_back(&quantizers_[c]);
            choice |= number << (2 * c);
        }
        for (const Table* table : tables)
            for (const std::uint16_t entry : *table) wide |= entry > 255;
        add(head_, static_cast<std::uint32_t>(tables.size()) | (wide ? kWideEntries : 0u), 1);
        add(head_, choice, 1);
        for (const Table* table : tables)
            for (std::size_t k = 0; k < 64; ++k) add(head_, (*table)[kPositions[k]], wide ? 2 : 1);
    }

    static void add(std::vector<std::uint8_t>& to, std::uint32_t value, std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i, value >>= 8)
            to.push_back(static_cast<std::uint8_t>(value));
    }

    bool code_rows(const Frame& frame) {
        const std::uint32_t luma = frame.mcu_width / 8 * (frame.mcu_height / 8);
        const std::uint32_t blocks = luma + frame.components - 1;
        data_.clear();
        ends_.clear();
        anchors_.clear();
        BitWriter bits(data_);
        for (std::uint32_t y = 0; y < frame.mcu_rows(); ++y) {
            const std::uint64_t begin = bits.place();
            std::array<std::int32_t, 3> dc{};
            for (std::uint32_t x = 0; x < frame.mcus_per_row(); ++x) {
                if (x > 0 && x % kAnchor == 0)
                    anchors_.push_back({static_cast<std::uint32_t>(bits.place() - begin), dc});
                std::memset(blocks_, 0, sizeof blocks_);
                Block* at[kMostBlocks];
                for (std::uint32_t i = 0; i < kMostBlocks; ++i) at[i] = &blocks_[i];
                if (!scan_.read(at)) return false;
                Coded coded[kMostBlocks];
                for (std::uint32_t i = 0; i < blocks; ++i) {
                    const std::uint32_t c = i < luma ? 0 : 1 + i - luma;
                    if (!code(blocks_[i], quantizers_[c], dc[c], coded[i])) return false;
                }
                for (std::uint32_t i = 0; i < blocks; ++i) write_head(bits, coded[i]);
                for (std::uint32_t i = 0; i < blocks; ++i) write_mask(bits, coded[i]);
                for (std::uint32_t i = 0; i < blocks; ++i) write_values(bits, coded[i]);
            }
            bits.align();
            ends_.push_back(data_.size());
            if (data_.size() > kMostRow) return false;
        }
        return true;
    }

    // Code a block; `dc` is the DC value of the block before. False if it does not fit.
    static bool code(const Block& block, const Table& quantizer, std::int32_t& dc, Coded& out) {
        std::array<std::uint32_t, 8> columns{};
        for (std::size_t i = 0; i < 64; ++i)
            columns[i % 8] += static_cast<std::uint32_t>(std::abs(block[i])) * quantizer[i];
        for (const std::uint32_t column : columns)
            if (column > kMostColumn) return false;
        const std::int32_t step = block[0] - dc;
        if (step < -kMostDc || step > kMostDc) return false;
        dc = block[0];
        out.dc = step < 0 ? 2u * static_cast<std::uint32_t>(-step) - 1
                          : 2u * static_cast<std::uint32_t>(step);
        while (out.dc >> kDcWidth[out.dc_class] != 0) ++out.dc_class;
        for (std::uint32_t group = 0; group < kGroups; ++group) {
            std::int32_t most = 0;
            for (std::uint32_t k = kGroupBegin[group]; k < kGroupBegin[group + 1]; ++k) {
                const std::int32_t value = out.values[k] = block[kPositions[k + 1]];
                if (value != 0) out.mask |= std::uint64_t{1} << k;
                most = std::max(most, std::abs(value));
            }
            if (most > kMostAc) return false;
            if (most == 0) continue;
            std::uint32_t code = 1;
            while (most > 1 << (kWidth[code] - 1)) ++code;
            out.widths |= code << (3 * group);
            out.groups = group + 1;
        }
        select(out);
        return true;
    }

    // Widths with a bit of 0 above each; those of selectors, with these bits set; and for each
    // number of groups the first selector that has as many, as they are in this order.
    static constexpr std::uint64_t kGaps = 0x888888888;
    static constexpr std::uint64_t with_gaps(std::uint32_t widths) {
        std::uint64_t spread = 0;
        for (std::uint32_t group = 0; group < kGroups; ++group)
            spread |= std::uint64_t{widths >> (3 * group) & 7} << (4 * group);
        return spread;
    }
    static constexpr std::array<std::uint64_t, kEscape> rooms() {
        std::array<std::uint64_t, kEscape> room{};
        for (std::uint32_t i = 0; i < kEscape; ++i) room[i] = with_gaps(kSelectors[i]) | kGaps;
        return room;
    }
    static constexpr std::array<std::uint32_t, kGroups + 1> firsts() {
        std::array<std::uint32_t, kGroups + 1> first{};
        for (std::uint32_t i = kEscape; i > 0; --i)
            for (std::uint32_t groups = 0; groups <= kSelectors[i - 1] >> 27; ++groups)
                first[groups] = i - 1;
        return first;
    }
    static const std::array<std::uint64_t, kEscape> kRoom;
    static const std::array<std::uint32_t, kGroups + 1> kFirstOf;

    // Choose the cheapest selector that has room for each group, and take its widths.
    static void select(Coded& out) {
        std::array<std::uint32_t, kGroups> values{};  // in each group
        std::uint32_t best = 4 + 3 * out.groups + kGroupBegin[out.groups];
        for (std::uint32_t group = 0; group < out.groups; ++group) {
            values[group] =
                detail::kOnes[out.mask >> kGroupBegin[group] & ((1u << kGroupSize[group]) - 1)];
            best += values[group] * kWidth[out.widths >> (3 * group) & 7];
        }
        const std::uint64_t needed = with_gaps(out.widths);
        for (std::uint32_t selector = kFirstOf[out.groups]; selector < kEscape; ++selector) {
            // No group may borrow from the bit above it.
            if (((kRoom[selector] - needed) & kGaps) != kGaps) continue;
            const std::uint32_t entry = kSelectors[selector];
            std::uint32_t cost = kGroupBegin[entry >> 27];
            for (std::uint32_t group = 0; group < out.groups && cost < best; ++group)
                cost += values[group] * kWidth[entry >> (3 * group) & 7];
            if (cost >= best) continue;
            best = cost;
            out.selector = selector;
        }
        if (out.selector == kEscape) return;
        out.groups = kSelectors[out.selector] >> 27;
        out.widths = kSelectors[out.selector] & 0777777777u;
    }

    static void write_head(BitWriter& bits, const Coded& block) {
        bits.put(block.selector, 8);
        bits.put(block.dc_class, 2);
        if (block.selector == kEscape) {
            bits.put(block.groups, 4);
            bits.put(block.widths, 3 * block.groups);
        }
        bits.put(block.dc, kDcWidth[block.dc_class]);
    }

    static void write_mask(BitWriter& bits, const Coded& block) {
        const std::uint32_t length = kGroupBegin[block.groups], first = std::min(length, 32u);
        bits.put(block.mask & 0xffffffffu & ((std::uint64_t{1} << first) - 1), first);
        bits.put(block.mask >> 32, length - first);
    }

    static void write_values(BitWriter& bits, const Coded& block) {
        for (std::uint32_t group = 0; group < block.groups; ++group) {
            const std::uint32_t code = block.widths >> (3 * group) & 7;
            const auto each = [&](auto put) {
                for (std::uint32_t k = kGroupBegin[group]; k < kGroupBegin[group + 1]; ++k) {
                    const std::int32_t value = block.values[k];
                    if (value != 0)
                        put(static_cast<std::uint32_t>(std::abs(value) - 1), value < 0 ? 1u : 0u);
                }
            };
            constexpr std::uint32_t kSizes = kLowBits - 1;
            each([&](std::uint32_t size, std::uint32_t sign) {
                bits.put((size & ((1u << kSizes) - 1)) << 1 | sign, kFirstWidth[code]);
            });
            if (code == kWide)
                each([&](std::uint32_t size, std::uint32_t) {
                    bits.put(size >> kSizes, kHighBits);
                });
        }
    }

    void assemble(const Frame& frame, std::vector<std::uint8_t>& out) {
        std::uint64_t most = data_.size();
        for (const Anchor& anchor : anchors_) most = std::max<std::uint64_t>(most, anchor.place);
        const bool is_long = most > UINT16_MAX;
        const std::size_t unit = is_long ? 4 : 2;
        if (is_long) head_[kFlagsAt] |= kLong;
        out = head_;
        for (const std::size_t end : ends_) add(out, static_cast<std::uint32_t>(end), unit);
        for (const Anchor& anchor : anchors_) {
            add(out, anchor.place, unit);
            for (std::uint32_t c = 0; c < frame.components; ++c)
                add(out, static_cast<std::uint32_t>(anchor.dc[c]), 2);
        }
        out.insert(out.end(), data_.begin(), data_.end());
        const std::uint32_t sum = checksum({out.data(), out.size()});
        for (std::size_t i = 0; i < 4; ++i)
            out[kChecksumAt + i] = static_cast<std::uint8_t>(sum >> (8 * i));
    }

    jpeg::Scan scan_;
    std::vector<std::uint32_t> starts_;
    std::vector<std::uint8_t> head_, data_;
    std::vector<std::size_t> ends_;
    std::vector<Anchor> anchors_;
    std::array<Table, 3> quantizers_{};
    Block blocks_[kMostBlocks];
};

inline constexpr std::array<std::uint64_t, kEscape> Writer::kRoom = Writer::rooms();
inline constexpr std::array<std::uint32_t, kGroups + 1> Writer::kFirstOf = Writer::firsts();

}  // namespace fastclips::dct
