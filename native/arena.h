// Slots, tickets and their states in one shared memfd, without Python, and without a lock that a
// killed process could hold. README.md in this folder argues why a process may die at any
// instruction.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "byte_slots.h"
#include "frame_memory.h"
#include "layout.h"
#include "mapping.h"

namespace fastclips {

using Clock = std::chrono::steady_clock;

inline void futex_wake(AtomicEvent& event, int most) {
    syscall(SYS_futex, &event, FUTEX_WAKE, most, nullptr, nullptr, 0);
}

// Returns at once if the event is no longer `seen`; otherwise after a wake, a signal or the
// deadline.
inline void futex_wait(AtomicEvent& event, std::uint32_t seen, Clock::time_point deadline) {
    const auto left = deadline - Clock::now();
    if (left.count() <= 0) return;
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec timeout{static_cast<time_t>(ns / 1'000'000'000),
                           static_cast<long>(ns % 1'000'000'000)};
    syscall(SYS_futex, &event, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

struct Claim {
    std::uint32_t cell;
    std::uint64_t number;
};

class Arena {
  public:
    explicit Arena(const Geometry& geometry)
        : geometry_(geometry), offsets_(geometry), mapping_(offsets_.total) {
        for (Scan* scan : {&claims_, &reads_}) scan->progress.resize(geometry.slots);
        header_ = reinterpret_cast<Header*>(base());
        header_->geometry = geometry;
        header_->magic = kMagic;
    }

    // Map an arena that another process made, with a duplicate of the descriptor.
    explicit Arena(int fd)
        : geometry_(read_head<Start>(fd, kMagic).geometry),
          offsets_(geometry_),
          mapping_(fd, offsets_.total) {
        for (Scan* scan : {&claims_, &reads_}) scan->progress.resize(geometry_.slots);
        header_ = reinterpret_cast<Header*>(base());
    }

    int fd() const { return mapping_.fd(); }
    std::uint8_t* base() const { return mapping_.base(); }
    const Offsets& offsets() const { return offsets_; }
    const Geometry& geometry() const { return geometry_; }
    Header& header() const { return *header_; }

    // Trainer: write tickets into the slot's first cells and make them READY, numbered from
    // `number` on. The slot must be settled.
    void publish(std::uint32_t slot, std::uint64_t number, const char* tickets, std::size_t bytes) {
        const std::uint64_t rows = bytes / geometry().ticket_bytes;
        if (rows == 0 || rows > geometry().rows || bytes % geometry().ticket_bytes != 0)
            throw std::invalid_argument("tickets must fill whole rows of the slot");
        if (number + rows > kLastNumber) throw std::overflow_error("ticket numbers are used up");
        if (!settled(slot)) throw std::logic_error("published into a slot that has not settled");
        for (std::uint32_t row = 0; row < geometry().rows; ++row) {
            const std::uint32_t cell = slot * geometry().rows + row;
            head(cell).deaths = 0;
            if (row < rows)
                std::memcpy(&head(cell) + 1, tickets + row * geometry().ticket_bytes,
                            geometry().ticket_bytes);
            // Release: a worker that reads READY also reads the ticket. Rows beyond a short batch
            // become EMPTY.
            const Word word{number + row, kNobody, row < rows ? State::kReady : State::kEmpty};
            word_at(cell).store(word.pack(), std::memory_order_release);
        }
        // All words are stored before the event changes: a worker that read the old event scans
        // again.
        header_->published.fetch_add(1, std::memory_order_seq_cst);
        // No more workers than there is work for. A worker that wakes looks for any ticket, so it
        // does no harm if another one takes a ticket before it.
        futex_wake(header_->published, static_cast<int>(rows));
        if (geometry().ahead_bytes == 0) return;
        header_->readable.fetch_add(1, std::memory_order_seq_cst);
        futex_wake(header_->readable, static_cast<int>(rows));
    }

    // Trainer: cancel the tickets that no worker has claimed. The claimed ones settle by
    // themselves.
    void cancel(std::uint32_t slot) {
        for_each_row(slot, [](AtomicWord& at) {
            std::uint64_t bits = at.load(std::memory_order_acquire);
            Word word = Word::unpack(bits);
            if (word.state != State::kReady) return;
            word.state = State::kEmpty;
            at.compare_exchange_strong(bits, word.pack(), std::memory_order_acq_rel);
        });
    }

    // Whether no row of the slot is READY or CLAIMED. finish() says why the loads are sequentially
    // consistent. Rows are claimed in order, so from a row that was claimed on, the first words
    // read are the likeliest to say no.
    bool settled(std::uint32_t slot, std::uint32_t from = 0) const {
        if (slot >= geometry().slots) throw std::out_of_range("no such slot");
        const std::uint32_t rows = geometry().rows;
        for (std::uint32_t i = 0; i < rows; ++i) {
            const std::uint32_t row = from + i < rows ? from + i : from + i - rows;
            const AtomicWord& word = word_at(slot * rows + row);
            if (!Word::unpack(word.load(std::memory_order_seq_cst)).settled()) return false;
        }
        return true;
    }

    // Trainer: wait until the slot is settled, a signal arrives or the time is over.
    bool wait(std::uint32_t slot, std::chrono::milliseconds limit) {
        const auto deadline = Clock::now() + limit;
        const std::uint32_t seen = header_->settled.load(std::memory_order_acquire);
        if (settled(slot)) return true;
        futex_wait(header_->settled, seen, deadline);
        return settled(slot);
    }

    // Worker: claim the oldest READY ticket. There is no queue whose head a dying process could
    // lose: the worker reads the words, but not again those that it has seen claimed or settled.
    std::optional<Claim> claim(std::uint16_t worker, std::chrono::milliseconds limit) {
        const auto deadline = Clock::now() + limit;
        for (;;) {
            const std::uint32_t seen = header_->published.load(std::memory_order_acquire);
            const std::uint32_t reissued = header_->reissued.load(std::memory_order_acquire);
            const auto ready = [](std::uint32_t, const Word&) { return true; };
            if (const auto oldest = find_oldest(claims_, reissued, ready)) {
                std::uint64_t bits = oldest->bits;
                Word word = Word::unpack(bits);
                word.worker = worker;
                word.state = State::kClaimed;
                if (!word_at(oldest->cell)
                         .compare_exchange_strong(bits, word.pack(), std::memory_order_acq_rel))
                    continue;
                // Remove the note of an earlier ticket, or of a worker that died with this one.
                head(oldest->cell).note_bytes = 0;
                return Claim{oldest->cell, word.number};
            }
            if (Clock::now() >= deadline) return std::nullopt;
            futex_wait(header_->published, seen, deadline);
        }
    }

    // Fetcher: claim the byte slot of the oldest READY ticket that nobody reads for. A ticket that
    // is issued again has a worker's or a fetcher's mark, so it need not be looked for.
    std::optional<Claim> claim_read(std::uint16_t fetcher, std::chrono::milliseconds limit) {
        const auto deadline = Clock::now() + limit;
        const ByteSlots bytes = byte_slots();
        const auto open = [&](std::uint32_t cell, const Word& word) {
            return ByteSlots::open(bytes.word(cell).load(std::memory_order_acquire), word.number);
        };
        for (;;) {
            const std::uint32_t seen = header_->readable.load(std::memory_order_acquire);
            if (const auto oldest = find_oldest(reads_, 0, open)) {
                const std::uint64_t number = Word::unpack(oldest->bits).number;
                if (bytes.claim(oldest->cell, number, fetcher)) return Claim{oldest->cell, number};
                continue;
            }
            if (Clock::now() >= deadline) return std::nullopt;
            futex_wait(header_->readable, seen, deadline);
        }
    }

    // Worker, or the process that reaped it: settle a claim. The last one of a slot wakes the
    // trainer. Two workers may finish the last two rows at the same time: each swaps its own word,
    // then reads the other's, both sequentially consistent, so at least one sees the slot settled.
    bool finish(std::uint32_t cell, std::uint16_t worker, bool ok) {
        if (!release(cell, worker, ok ? State::kDone : State::kFailed)) return false;
        if (settled(cell / geometry().rows, cell % geometry().rows)) {
            header_->settled.fetch_add(1, std::memory_order_seq_cst);
            futex_wake(header_->settled, INT_MAX);
        }
        return true;
    }

    // Nursery: make the ticket of a reaped worker READY again, for any worker.
    bool reissue(std::uint32_t cell, std::uint16_t dead) {
        if (!release(cell, dead, State::kReady)) return false;
        header_->reissued.fetch_add(1, std::memory_order_seq_cst);
        header_->published.fetch_add(1, std::memory_order_seq_cst);
        futex_wake(header_->published, 1);
        return true;
    }

    std::vector<std::uint32_t> claimed_by(std::uint16_t worker) const {
        std::vector<std::uint32_t> cells;
        for (std::uint32_t cell = 0; cell < geometry().slots * geometry().rows; ++cell) {
            const Word word = word_of(cell);
            if (word.state == State::kClaimed && word.worker == worker) cells.push_back(cell);
        }
        return cells;
    }

    FrameMemory frame_memory() const {
        return {reinterpret_cast<FrameHead*>(base() + offsets_.heads),
                base() + offsets_.frames,
                geometry().frames,
                geometry().areas,
                geometry().frame_bytes,
                offsets_.frame_stride};
    }

    ByteSlots byte_slots() const {
        return {reinterpret_cast<AtomicWord*>(base() + offsets_.byte_words),
                base() + offsets_.ahead,
                static_cast<std::uint32_t>(Offsets::byte_slots(geometry())), geometry().ahead_bytes,
                offsets_.ahead_stride};
    }

    std::optional<std::uint32_t> failed(std::uint32_t slot) const {
        for (std::uint32_t row = 0; row < geometry().rows; ++row) {
            const std::uint32_t cell = slot * geometry().rows + row;
            if (word_of(cell).state == State::kFailed) return cell;
        }
        return std::nullopt;
    }

    std::vector<std::uint32_t> noted(std::uint32_t slot) const {
        std::vector<std::uint32_t> cells;
        for (std::uint32_t row = 0; row < geometry().rows; ++row) {
            const std::uint32_t cell = slot * geometry().rows + row;
            if (word_of(cell).state == State::kDone && head(cell).note_bytes) cells.push_back(cell);
        }
        return cells;
    }

    Word word_of(std::uint32_t cell) const {
        return Word::unpack(word_at(cell).load(std::memory_order_acquire));
    }

    void set_note(std::uint32_t cell, const std::string& text) {
        CellHead& at = head(cell);
        at.note_bytes = static_cast<std::uint32_t>(std::min(text.size(), sizeof at.note));
        text.copy(at.note, at.note_bytes);
    }

    std::string note(std::uint32_t cell) const {
        const CellHead& at = head(cell);
        return {at.note, std::min<std::size_t>(at.note_bytes, sizeof at.note)};
    }

    std::uint32_t count_death(std::uint32_t cell) { return ++head(cell).deaths; }
    std::uint32_t deaths(std::uint32_t cell) const { return head(cell).deaths; }

    // Return the memory to the kernel, though other processes may still map it.
    void discard() { mapping_.discard(); }

  private:
    struct Start {  // of the header
        std::uint64_t magic;
        Geometry geometry;
    };

    AtomicWord& word_at(std::uint32_t cell) const {
        return reinterpret_cast<AtomicWord*>(base() + offsets_.words)[checked(cell)];
    }

    CellHead& head(std::uint32_t cell) const {
        return *reinterpret_cast<CellHead*>(base() + offsets_.cells +
                                            checked(cell) * offsets_.cell_bytes);
    }

    std::uint32_t checked(std::uint32_t cell) const {
        if (cell >= geometry().slots * geometry().rows) throw std::out_of_range("no such cell");
        return cell;
    }

    struct Found {
        std::uint32_t cell;
        std::uint64_t bits;  // of its word
    };

    // What this process has read of a slot.
    struct Progress {
        std::uint64_t number = 0;  // of the ticket in the first row; no ticket has number 0
        std::uint32_t row = 0;     // the rows before it were not wanted, nor are to become so
    };

    // Where the looks of this process for tickets ended.
    struct Scan {
        std::mutex scanning;  // of the threads of this process
        std::vector<Progress> progress;
        std::uint32_t reissued = 0;
    };

    // The READY cell of the lowest number, which is the lowest word, since the number is in its
    // high bits. Those that are not `wanted` never will be, unless tickets are issued again.
    template <class Wanted>
    std::optional<Found> find_oldest(Scan& scan, std::uint32_t reissued, Wanted wanted) {
        const std::lock_guard lock(scan.scanning);
        if (reissued != scan.reissued) scan.progress.assign(geometry().slots, Progress{});
        scan.reissued = reissued;
        std::optional<Found> oldest;
        for (std::uint32_t slot = 0; slot < geometry().slots; ++slot) {
            const std::uint32_t first = slot * geometry().rows;
            Progress& at = scan.progress[slot];
            const std::uint64_t number = word_of(first).number;
            if (number != at.number) at = {number, 0};
            for (; at.row < geometry().rows; ++at.row) {
                const std::uint64_t bits = word_at(first + at.row).load(std::memory_order_acquire);
                const Word word = Word::unpack(bits);
                if (word.number != number + at.row) break;  // it is about to be published
                if (word.state != State::kReady || !wanted(first + at.row, word)) continue;
                if (!oldest || bits < oldest->bits) oldest = Found{first + at.row, bits};
                break;
            }
        }
        return oldest;
    }

    template <class Visit>
    void for_each_row(std::uint32_t slot, Visit visit) const {
        if (slot >= geometry().slots) throw std::out_of_range("no such slot");
        for (std::uint32_t row = 0; row < geometry().rows; ++row)
            visit(word_at(slot * geometry().rows + row));
    }

    // Move a word on from CLAIMED: only for the worker that claimed it, or for the nursery once it
    // has reaped that worker.
    bool release(std::uint32_t cell, std::uint16_t worker, State next) {
        std::uint64_t bits = word_at(cell).load(std::memory_order_acquire);
        Word word = Word::unpack(bits);
        if (word.state != State::kClaimed || word.worker != worker) return false;
        word.state = next;
        if (next == State::kReady) word.worker = kNobody;
        return word_at(cell).compare_exchange_strong(bits, word.pack(), std::memory_order_seq_cst);
    }

    Geometry geometry_;  // a copy, since the mapping may be discarded
    Offsets offsets_;
    Mapping mapping_;
    Header* header_ = nullptr;
    Scan claims_, reads_;
};

}  // namespace fastclips
