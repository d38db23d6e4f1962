// Byte slots: the stored bytes of a ticket's frames, read ahead of the worker that will decode
// them. A hint, never a dependency: a worker that does not find the bytes of its ticket reads them
// itself. README.md in this folder argues why a process may die, or stop, at any instruction.
#pragma once

#include <time.h>

#include <chrono>
#include <stdexcept>

#include "frame_memory.h"
#include "layout.h"

namespace fastclips {

// Each cell of an arena has one byte slot.
struct ByteSlots {
    using Time = std::chrono::steady_clock::time_point;

    AtomicWord* words;  // FrameWords; the worker is that of the fetcher
    std::uint8_t* first;
    std::uint32_t slots;
    std::uint64_t bytes;   // of each
    std::uint64_t stride;  // bytes from a slot to the next

    AtomicWord& word(std::uint32_t slot) const {
        if (slot >= slots) throw std::out_of_range("no such byte slot");
        return words[slot];
    }

    std::uint8_t* memory(std::uint32_t slot) const {
        if (slot >= slots) throw std::out_of_range("no such byte slot");
        return first + slot * stride;
    }

    // Whether a fetcher may fill the slot for a ticket: nobody fills it, and it was neither filled
    // for this ticket nor taken by its worker.
    static bool open(std::uint64_t bits, std::uint64_t number) {
        const FrameWord word = FrameWord::unpack(bits);
        return word.state != FrameState::kFilling && word.number < number;
    }

    // Fetcher: take a slot to fill it. From then on it belongs to this fetcher until it calls
    // settle(), or has died and was reaped.
    bool claim(std::uint32_t slot, std::uint64_t number, std::uint16_t fetcher) const {
        std::uint64_t bits = word(slot).load(std::memory_order_acquire);
        const FrameWord mine{number, fetcher, FrameState::kFilling};
        return open(bits, number) &&
               word(slot).compare_exchange_strong(bits, mine.pack(), std::memory_order_acq_rel);
    }

    // The fetcher that claimed a slot: publish what it wrote, or give up.
    bool settle(std::uint32_t slot, std::uint16_t fetcher, bool ok) const {
        std::uint64_t bits = word(slot).load(std::memory_order_acquire);
        FrameWord now = FrameWord::unpack(bits);
        if (now.state != FrameState::kFilling || now.worker != fetcher) return false;
        now.state = ok ? FrameState::kFull : FrameState::kEmpty;
        return word(slot).compare_exchange_strong(bits, now.pack(), std::memory_order_acq_rel);
    }

    // Worker that holds the ticket of this number: whether the slot has its bytes. They stay until
    // the ticket is settled. If not, no fetcher begins to read them any more. Waits while a fetcher
    // reads them, but not past the deadline: it may be stopped.
    bool take(std::uint32_t slot, std::uint64_t number, Time deadline) const {
        const timespec shortly{0, 100'000};
        for (;;) {
            std::uint64_t bits = word(slot).load(std::memory_order_acquire);
            const FrameWord now = FrameWord::unpack(bits);
            if (now.state == FrameState::kFilling) {
                if (now.number != number || std::chrono::steady_clock::now() >= deadline)
                    return false;
                nanosleep(&shortly, nullptr);
                continue;
            }
            if (now.number >= number) return now.number == number && now.state == FrameState::kFull;
            const FrameWord taken{number, kNobody, FrameState::kEmpty};
            if (word(slot).compare_exchange_strong(bits, taken.pack(), std::memory_order_acq_rel))
                return false;
        }
    }

    // Nursery: free the slots that a fetcher was filling which is dead now. They keep their number,
    // so no other fetcher reads for that ticket: the bytes may be what killed this one.
    std::uint32_t free(std::uint16_t fetcher) const {
        std::uint32_t freed = 0;
        for (std::uint32_t slot = 0; slot < slots; ++slot) freed += settle(slot, fetcher, false);
        return freed;
    }
};

}  // namespace fastclips
