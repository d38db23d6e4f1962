// Memory of frame slots: part of an arena, or a shared memfd of its own. See frame_slots.h for what
// is in a slot.
#pragma once

#include <cstring>
#include <memory>
#include <optional>

#include "layout.h"
#include "mapping.h"

namespace fastclips {

// Where frame slots are.
struct FrameMemory {
    FrameHead* heads;
    std::uint8_t* pixels;  // of the first slot
    std::uint32_t frames;  // number of slots
    std::uint32_t areas;   // of each slot
    std::uint64_t frame_bytes;
    std::uint64_t stride;  // bytes from a slot to the next

    FrameHead& head(std::uint32_t slot, std::uint32_t area) const {
        if (slot >= frames || area >= areas) throw std::out_of_range("no such frame slot");
        return heads[std::uint64_t{slot} * areas + area];
    }

    std::uint8_t* frame(std::uint32_t slot) const {
        if (slot >= frames) throw std::out_of_range("no such frame slot");
        return pixels + slot * stride;
    }

    // Take pages for a part of a slot from the kernel at once, before it is written for the first
    // time: a quarter cheaper than page by page. Without effect before Linux 5.14.
    void populate(std::uint32_t slot, std::uint64_t offset, std::uint64_t bytes) const {
        const auto begin = reinterpret_cast<std::uintptr_t>(frame(slot) + offset);
        const std::uintptr_t first = begin / kPage * kPage;
        constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE
        madvise(reinterpret_cast<void*>(first), begin + bytes - first, kPopulateWrite);
    }

    // Whether a slot holds a frame of all streams.
    bool holds(std::uint32_t slot, std::uint64_t video, std::uint64_t frame) const {
        for (std::uint32_t area = 0; area < areas; ++area) {
            const FrameHead& at = head(slot, area);
            if (FrameWord::unpack(at.word.load(std::memory_order_acquire)).state !=
                    FrameState::kFull ||
                at.video.load(std::memory_order_relaxed) != video ||
                at.frame.load(std::memory_order_relaxed) != frame)
                return false;
        }
        return true;
    }

    // How many slots hold a frame of at least one stream.
    std::uint32_t used() const {
        std::uint32_t slots = 0;
        for (std::uint32_t slot = 0; slot < frames; ++slot)
            for (std::uint32_t area = 0; area < areas; ++area)
                if (FrameWord::unpack(head(slot, area).word.load(std::memory_order_relaxed))
                        .state == FrameState::kFull) {
                    ++slots;
                    break;
                }
        return slots;
    }

    // Free the areas that a process was filling which is dead now; how many there were. Without
    // `worker`, those of all processes of the loader, which is then `number`.
    std::uint32_t free(std::optional<std::uint16_t> worker, std::optional<std::uint64_t> number) {
        std::uint32_t freed = 0;
        for (std::uint64_t i = 0; i < std::uint64_t{frames} * areas; ++i) {
            std::uint64_t bits = heads[i].word.load(std::memory_order_acquire);
            FrameWord word = FrameWord::unpack(bits);
            if (word.state != FrameState::kFilling || (worker && word.worker != *worker) ||
                (number && word.number != *number))
                continue;
            word.state = FrameState::kEmpty;
            freed +=
                heads[i].word.compare_exchange_strong(bits, word.pack(), std::memory_order_acq_rel);
        }
        return freed;
    }
};

// Frame slots, and the memfd that they have to themselves if they are no part of an arena: it is
// for the workers of several loaders.
class FrameSlots {
  public:
    explicit FrameSlots(const FrameMemory& memory) : memory_(memory) {}

    FrameSlots(std::uint32_t frames, std::uint32_t areas, std::uint64_t frame_bytes)
        : FrameSlots({kFramesMagic, frames, areas, frame_bytes}) {
        std::memcpy(own_->base(), &shape_, sizeof shape_);
    }

    // Map frame slots that another process made, with a duplicate of the descriptor.
    static FrameSlots attach(int fd) { return {read_head<Shape>(fd, kFramesMagic), fd}; }

    static std::uint64_t nbytes_of(std::uint32_t frames, std::uint32_t areas,
                                   std::uint64_t frame_bytes) {
        return size_of({kFramesMagic, frames, areas, frame_bytes});
    }

    FrameMemory& memory() { return memory_; }
    int fd() const { return own_ ? own_->fd() : -1; }

  private:
    struct Shape {
        std::uint64_t magic;
        std::uint32_t frames, areas;
        std::uint64_t frame_bytes;
    };
    static constexpr std::uint64_t kFramesMagic = 0x3150494c43464d46;  // changes with the layout

    explicit FrameSlots(const Shape& shape)
        : shape_(shape), own_(std::make_unique<Mapping>(size_of(shape))), memory_(memory_of()) {}
    FrameSlots(const Shape& shape, int fd)
        : shape_(shape),
          own_(std::make_unique<Mapping>(fd, size_of(shape))),
          memory_(memory_of()) {}

    // Shape | frame heads | frame slots
    static std::uint64_t pixels_at(const Shape& shape) {
        const std::uint64_t heads = std::uint64_t{shape.frames} * shape.areas * sizeof(FrameHead);
        return round_up(kPage + heads, kPage);
    }
    static std::uint64_t size_of(const Shape& shape) {
        return pixels_at(shape) + shape.frames * round_up(shape.frame_bytes, kLine);
    }
    FrameMemory memory_of() const {
        return {reinterpret_cast<FrameHead*>(own_->base() + kPage),
                own_->base() + pixels_at(shape_),
                shape_.frames,
                shape_.areas,
                shape_.frame_bytes,
                round_up(shape_.frame_bytes, kLine)};
    }

    Shape shape_{};
    std::unique_ptr<Mapping> own_;
    FrameMemory memory_;
};

}  // namespace fastclips
