// Frame slots: decoded frames in shared memory, for every clip that shows them. A hint, never a
// dependency: a reader compares key and word before and after it reads, and decodes for itself if
// they are not what it wants. README.md in this folder argues why a process may die at any
// instruction.
#pragma once

#include <optional>

#include "arena.h"

namespace fastclips {

// Whose pixels they are.
struct FrameKey {
    std::uint64_t video, frame;  // the storage's numbers
};

// What an area holds.
struct Kept {
    std::uint64_t word;           // to be compared after reading
    std::uint32_t height, width;  // of the frame, at scale 1
    std::uint32_t asked;          // the scale that was asked for
    std::uint32_t scale, rung;    // how it was decoded
};

// One stream's area of all frame slots, as a worker sees it. Not thread-safe.
class FrameArea {
  public:
    enum class Claim : std::uint8_t {
        kMine,   // this worker may write the area
        kBusy,   // another one writes it
        kLater,  // it holds what is to stay, or a later ticket has filled it
    };

    // `format` tells what frames are decoded to; `pixel` is the bytes of a pixel. With `number`,
    // what a slot holds stays there, and this is the number of the loader; else slots are given to
    // other frames, and set_number() tells for which ticket.
    FrameArea(const FrameMemory& memory, std::uint32_t area, std::uint64_t offset,
              std::uint64_t bytes, std::uint32_t pixel, std::uint32_t format, std::uint16_t worker,
              std::optional<std::uint64_t> number)
        : memory_(memory),
          area_(area),
          offset_(offset),
          bytes_(bytes),
          pixel_(pixel),
          format_(std::uint64_t{format} << 32),
          worker_(worker),
          stays_(number.has_value()),
          number_(number.value_or(0)) {
        if (area >= memory.areas || offset > memory.frame_bytes ||
            bytes > memory.frame_bytes - offset || pixel == 0)
            throw std::out_of_range("no such area");
    }

    void set_number(std::uint64_t number) { number_ = number; }  // of the ticket that is rendered
    std::uint64_t bytes() const { return bytes_; }
    std::uint32_t pixel() const { return pixel_; }
    std::uint8_t* pixels(std::uint32_t slot) const { return memory_.frame(slot) + offset_; }

    // Whether the pixels of a frame of a size, decoded at a scale, fit.
    bool fits(std::uint64_t height, std::uint64_t width, std::uint32_t scale) const {
        const std::uint64_t row = (width + scale - 1) / scale * pixel_;
        return (height + scale - 1) / scale <= bytes_ / std::max<std::uint64_t>(row, 1);
    }

    // What a slot holds, if it is that frame, at any scale.
    std::optional<Kept> look(std::uint32_t slot, const FrameKey& key) const {
        const FrameHead& head = memory_.head(slot, area_);
        const std::uint64_t bits = head.word.load(std::memory_order_acquire);
        if (FrameWord::unpack(bits).state != FrameState::kFull) return std::nullopt;
        const auto read = [](const AtomicWord& word) {
            return word.load(std::memory_order_relaxed);
        };
        const std::uint64_t format = read(head.format), size = read(head.size),
                            decoded = read(head.decoded);
        if (read(head.video) != key.video || read(head.frame) != key.frame ||
            format >> 32 << 32 != format_ || !unchanged(slot, bits))
            return std::nullopt;
        const auto low = [](std::uint64_t pair) { return static_cast<std::uint32_t>(pair); };
        return Kept{bits,        low(size >> 32),    low(size),
                    low(format), low(decoded >> 32), low(decoded)};
    }

    // Whether what was read since look() is what it said.
    bool unchanged(std::uint32_t slot, std::uint64_t word) const {
        std::atomic_thread_fence(std::memory_order_acquire);
        return memory_.head(slot, area_).word.load(std::memory_order_relaxed) == word;
    }

    // Take an area to fill it. From then on it belongs to this worker until it calls finish() or
    // abandon(), or has died and was reaped.
    Claim claim(std::uint32_t slot) {
        AtomicWord& at = memory_.head(slot, area_).word;
        std::uint64_t bits = at.load(std::memory_order_acquire);
        const FrameWord word = FrameWord::unpack(bits);
        if (word.state == FrameState::kFilling) return Claim::kBusy;
        if (stays_ ? word.state == FrameState::kFull : word.number > number_) return Claim::kLater;
        const FrameWord mine{number_, worker_, FrameState::kFilling};
        if (!at.compare_exchange_strong(bits, mine.pack(), std::memory_order_acq_rel))
            return Claim::kBusy;
        // A reader that sees any of what is written from here on also sees the word.
        std::atomic_thread_fence(std::memory_order_release);
        if (bits == 0) memory_.populate(slot, offset_, bytes_);
        return Claim::kMine;
    }

    void finish(std::uint32_t slot, const FrameKey& key, const Kept& kept) {
        FrameHead& head = memory_.head(slot, area_);
        const auto pair = [](std::uint64_t high, std::uint64_t low) { return high << 32 | low; };
        head.video.store(key.video, std::memory_order_relaxed);
        head.frame.store(key.frame, std::memory_order_relaxed);
        head.format.store(format_ | kept.asked, std::memory_order_relaxed);
        head.size.store(pair(kept.height, kept.width), std::memory_order_relaxed);
        head.decoded.store(pair(kept.scale, kept.rung), std::memory_order_relaxed);
        settle(head, FrameState::kFull);
    }

    void abandon(std::uint32_t slot) { settle(memory_.head(slot, area_), FrameState::kEmpty); }

    // Wait while another worker fills the area, but not past the deadline: it may be stopped.
    void wait(std::uint32_t slot, Clock::time_point deadline) const {
        const AtomicWord& at = memory_.head(slot, area_).word;
        const timespec shortly{0, 20'000};
        while (FrameWord::unpack(at.load(std::memory_order_acquire)).state ==
                   FrameState::kFilling &&
               Clock::now() < deadline)
            nanosleep(&shortly, nullptr);
    }

  private:
    // Only the worker that claimed the area calls this, so the word is still its own.
    void settle(FrameHead& head, FrameState state) {
        head.word.store(FrameWord{number_, worker_, state}.pack(), std::memory_order_release);
    }

    FrameMemory memory_;
    std::uint32_t area_;
    std::uint64_t offset_, bytes_;
    std::uint32_t pixel_;
    std::uint64_t format_;
    std::uint16_t worker_;
    bool stays_;
    std::uint64_t number_;
};

}  // namespace fastclips
