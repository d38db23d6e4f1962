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

    // Make room for so many bytes; call it before they are put.
    void reserve(std::size_t bytes) {
        if (out_.size() < size_ + bytes + sizeof bits_) out_.resize(2 * (size_ + bytes) + 64);
    }
    void put(std::uint64_t value, std::uint32_t length) {  // at most 32 bits
        bits_ |= value << count_;
        count_ += length;
        store_low64(out_.data() + size_, bits_);
        const std::uint32_t whole = count_ >> 5;
        size_ += 4 * whole;
        bits_ >>= 32 * whole;
        count_ &= 31;
    }
    // Fill up the last byte with zeros.
    void align() {
        size_ += (count_ + 7) / 8;
        bits_ = count_ = 0;
    }
    // Cut the output to what was put.
    void finish() { out_.resize(size_); }
    std::size_t size() const { return size_; }
    std::uint64_t place() const { return 8 * std::uint64_t{size_} + count_; }

  private:
    std::vector<std::uint8_t>& out_;
    std::size_t size_ = 0;  // bytes that are complete
    std::uint64_t bits_ = 0;
    std::uint32_t count_ = 0;  // fewer than 32
};

// A block, ready to be written.
struct Coded {
    std::uint32_t groups = 0, widths = 0, selector = kEscape;
    std::uint32_t dc = 0, dc_class = 0;
    std::uint64_t mask = 0;
    std::array<std::int16_t, 63> values;  // in zigzag order, where the mask is set
};

// How many values each group of a block has.
using Counts = std::array<std::int16_t, kGroups>;

// Finds the cheapest selector of a block, by the costs of all of them, eight at a time.
class Selectors {
  public:
    // The first selector of those that have room for the widths and take the fewest bits for masks
    // and values, if they take fewer than `most`; else kEscape.
    static std::uint32_t find(std::uint32_t widths, std::uint32_t groups, const Counts& counts,
                              std::uint32_t most) {
        if (groups == 0) return 0;
        const Lanes* rows[kGroups];
        std::int16_t times[kGroups];
        std::uint32_t used = 0;
        for (std::uint32_t group = 0; group < groups; ++group) {
            if (counts[group] == 0) continue;
            rows[used] = kPrices.of[group][widths >> (3 * group) & 7];
            times[used++] = counts[group];
        }
        // Selectors are in the order of their groups: none before has as many.
        const std::size_t first = kPrices.first_of[groups] / kLanes;
        Lanes costs[kRow], least = Lanes{} + std::int16_t{INT16_MAX};
        for (std::size_t i = first; i < kRow; ++i) {
            Lanes cost = kPrices.masks[i];
            for (std::uint32_t n = 0; n < used; ++n) cost += rows[n][i] * times[n];
            costs[i] = cost;
            least = cost < least ? cost : least;
        }
        std::int16_t best = least[0];
        for (std::size_t lane = 1; lane < kLanes; ++lane) best = std::min(best, least[lane]);
        if (best - kZero >= static_cast<std::int32_t>(most)) return kEscape;
        for (std::size_t i = first;; ++i)
            for (std::size_t lane = 0; lane < kLanes; ++lane)
                if (costs[i][lane] == best) return static_cast<std::uint32_t>(kLanes * i + lane);
    }

  private:
    static constexpr std::size_t kLanes = 8, kRow = 256 / kLanes;
    typedef std::int16_t Lanes __attribute__((vector_size(2 * kLanes)));
    static constexpr std::int16_t kZero = INT16_MIN;  // of a sum: all of them fit into 16 bits
    // Of a value that a selector has no room for: more than a whole block can cost.
    static constexpr std::int16_t kNoRoom = 63 + 63 * (kLowBits + kHighBits) + 1;
    static_assert(kZero + 63 + 63 * kNoRoom <= INT16_MAX);

    struct Prices {
        Lanes of[kGroups][8][kRow];           // by group and needed width code: bits of a value
        Lanes masks[kRow];                    // bits of the mask
        std::uint32_t first_of[kGroups + 1];  // by number of groups: the first that has as many

        Prices() {
            for (std::uint32_t i = 0; i < kEscape; ++i) {
                const std::uint32_t entry = kSelectors[i];
                masks[i / kLanes][i % kLanes] =
                    static_cast<std::int16_t>(kZero + kGroupBegin[entry >> 27]);
                for (std::uint32_t group = 0; group < kGroups; ++group)
                    for (std::uint32_t code = 0; code < 8; ++code)
                        of[group][code][i / kLanes][i % kLanes] =
                            (entry >> (3 * group) & 7) < code
                                ? kNoRoom
                                : std::int16_t{kWidth[entry >> (3 * group) & 7]};
            }
            masks[kRow - 1][kLanes - 1] = INT16_MAX;  // the escape
            for (auto& group : of)
                for (auto& row : group) row[kRow - 1][kLanes - 1] = 0;
            for (std::uint32_t i = kEscape; i > 0; --i)
                for (std::uint32_t groups = 0; groups <= kSelectors[i - 1] >> 27; ++groups)
                    first_of[groups] = i - 1;
        }
    };
    static const Prices kPrices;
};

inline const Selectors::Prices Selectors::kPrices;

class Writer {
  public:
    // Write the frame of a parsed JPEG to `out`; false if the JPEG is unusual or damaged, or if its
    // coefficients do not fit.
    bool run(Bytes file, const Frame& frame, std::vector<std::uint8_t>& out) {
        is_usual_ = true;
        most_dc_ = 0;
        if (!frame.simple || std::max(frame.height, frame.width) < jpeg::kSmallest) return false;
        if (!write_head(file, frame)) return false;
        if (!jpeg::find_segments(file, frame, starts_) ||
            !scan_.begin(file, frame, starts_, {0, 0, frame.height, frame.width}))
            return false;
        if (!code_rows(frame) || !scan_.finish()) return false;
        assemble(frame, out);
        return true;
    }

    // Whether libjpeg reads the last file without a warning and can write its coefficients again,
    // with restart markers anywhere.
    bool is_usual() const { return is_usual_ && most_dc_ <= kMostDc; }

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
        is_usual_ = is_usual_ && !markers.other_version;
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
                bits.reserve(kReach);
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
            ends_.push_back(bits.size());
            if (bits.size() > kMostRow) return false;
        }
        bits.finish();
        return true;
    }

    // Code a block; `dc` is the DC value of the block before. False if it does not fit.
    bool code(const Block& block, const Table& quantizer, std::int32_t& dc, Coded& out) {
        std::array<std::uint32_t, 8> columns{};
        std::array<std::uint32_t, kGroups> sizes{};  // of each group, the bits of all sizes less 1
        Counts counts{};
        std::uint32_t most = 0;
        for (std::uint64_t left = nonzeros(block) & ~std::uint64_t{1}; left != 0;
             left &= left - 1) {
            const int at = __builtin_ctzll(left);
            const std::uint32_t k = kAcPlaces[static_cast<std::size_t>(at)];
            const std::uint32_t group = detail::kGroupShift[k] / 3u;
            const auto magnitude = static_cast<std::uint32_t>(std::abs(block[at]));
            columns[at & 7] += magnitude * quantizer[static_cast<std::size_t>(at)];
            sizes[group] |= magnitude - 1;
            most = std::max(most, magnitude);
            ++counts[group];
            out.mask |= std::uint64_t{1} << k;
            out.values[k] = block[at];
        }
        columns[0] += static_cast<std::uint32_t>(std::abs(block[0])) * quantizer[0];
        for (const std::uint32_t column : columns)
            if (column > kMostColumn) return false;
        const std::int32_t step = block[0] - dc;
        if (step < -kMostDc || step > kMostDc || most > kMostAc) return false;
        dc = block[0];
        most_dc_ = std::max(most_dc_, std::abs(dc));
        out.dc = step < 0 ? 2u * static_cast<std::uint32_t>(-step) - 1
                          : 2u * static_cast<std::uint32_t>(step);
        while (out.dc >> kDcWidth[out.dc_class] != 0) ++out.dc_class;
        std::uint32_t cost = 4;  // of the escape
        for (std::uint32_t group = 0; group < kGroups; ++group) {
            if (counts[group] == 0) continue;
            std::uint32_t code = 1;
            while (sizes[group] >> (kWidth[code] - 1) != 0) ++code;
            out.widths |= code << (3 * group);
            out.groups = group + 1;
            cost += static_cast<std::uint32_t>(counts[group]) * kWidth[code];
        }
        cost += 3 * out.groups + kGroupBegin[out.groups];
        out.selector = Selectors::find(out.widths, out.groups, counts, cost);
        if (out.selector != kEscape) {
            out.groups = kSelectors[out.selector] >> 27;
            out.widths = kSelectors[out.selector] & 0777777777u;
        }
        return true;
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
        for (std::uint64_t left = block.mask; left != 0;) {
            const std::uint32_t shift = detail::kGroupShift[__builtin_ctzll(left)];
            const std::uint32_t code = block.widths >> shift & 7, width = kFirstWidth[code];
            const std::uint64_t own = left & ((std::uint64_t{1} << kGroupBegin[shift / 3 + 1]) - 1);
            left ^= own;
            constexpr std::uint32_t kSizes = kLowBits - 1;
            for (std::uint64_t rest = own; rest != 0; rest &= rest - 1) {
                const std::int32_t value = block.values[__builtin_ctzll(rest)];
                const auto size = static_cast<std::uint32_t>(std::abs(value) - 1);
                bits.put((size & ((1u << kSizes) - 1)) << 1 | (value < 0 ? 1u : 0u), width);
            }
            if (code != kWide) continue;
            for (std::uint64_t rest = own; rest != 0; rest &= rest - 1) {
                const std::int32_t value = block.values[__builtin_ctzll(rest)];
                bits.put(static_cast<std::uint32_t>(std::abs(value) - 1) >> kSizes, kHighBits);
            }
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
    bool is_usual_ = true;
    std::int32_t most_dc_ = 0;  // the largest absolute value
    Block blocks_[kMostBlocks];
};

}  // namespace fastclips::dct
