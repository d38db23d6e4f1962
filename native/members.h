// Where the members of a stream lie in tars. No Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "frames.h"

namespace fastclips::tar {

// A part of a block of bytes.
struct Part {
    std::size_t start, size;
};

// Members that are read in one call: from `begin` to `end`, counted through all tars, of the tar
// `shard`. The parts count from `begin`; before each lies its header.
struct Run {
    std::size_t shard;
    std::int64_t begin, end;
    std::vector<Part> parts;

    // Whether all headers in a run's bytes give their members these sizes, and no member is a .npy
    // file.
    bool matches(const std::uint8_t* data, std::size_t size) const {
        for (const Part& part : parts) {
            if (part.start < kBlock || part.start > size || part.size > size - part.start)
                return false;
            const std::uint8_t* const member = data + part.start;
            if (!tells_size(member - kBlock, part.size) || is_npy(member, part.size)) return false;
        }
        return true;
    }
};

template <typename Item>
struct Column {
    const Item* data;
    std::size_t size;
};

// The columns of `fastclips.data.pack_storage`.
struct MemberTable {
    std::vector<std::int64_t> ends;  // of the tars
    Column<std::int64_t> firsts, counts, begins, bases;
    Column<std::uint32_t> blocks, lengths;

    // The run of frames of a video. Nothing if a frame has no member, lies far from the others, or
    // does not exist.
    std::optional<Run> find(std::uint64_t video, const std::vector<std::int64_t>& frames) const {
        if (frames.empty() || video >= firsts.size || video >= counts.size ||
            video >= begins.size || video >= bases.size)
            return std::nullopt;
        const std::int64_t first = firsts.data[video], base = bases.data[video];
        Run run{0, std::numeric_limits<std::int64_t>::max(), 0, {}};
        run.parts.reserve(frames.size());
        std::int64_t wanted = 0;
        for (const std::int64_t frame : frames) {
            if (frame < first || frame - first >= counts.data[video]) return std::nullopt;
            const auto row = static_cast<std::uint64_t>(begins.data[video] + frame - first);
            if (row >= blocks.size || row >= lengths.size || lengths.data[row] == 0)
                return std::nullopt;
            const std::int64_t start = base + std::int64_t{kBlock} * blocks.data[row];
            run.begin = std::min(run.begin, start - std::int64_t{kBlock});
            run.end = std::max(run.end, start + lengths.data[row]);
            run.parts.push_back({static_cast<std::size_t>(start), lengths.data[row]});
            wanted += lengths.data[row] + std::int64_t{kBlock};
        }
        const auto shard = std::upper_bound(ends.begin(), ends.end(), run.begin);
        if (run.begin < 0 || run.end - run.begin > kSpread * wanted || shard == ends.end() ||
            run.end > *shard)
            return std::nullopt;
        run.shard = static_cast<std::size_t>(shard - ends.begin());
        for (Part& part : run.parts) part.start -= static_cast<std::size_t>(run.begin);
        return run;
    }

    static constexpr std::int64_t kSpread = 2;  // a range has at most so many bytes per wanted byte
};

}  // namespace fastclips::tar
