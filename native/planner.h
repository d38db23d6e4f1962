// Which frame slot each frame of the plan uses. The plan is known ahead, so slots are given out as
// a compiler gives out registers: the slot is taken whose frame is used again last (Belady's rule).
// A frame that is not used again soon enough to be worth it takes no slot. Filling a slot costs
// more than decoding a part of a frame, so a frame gives way only to one that is used much sooner.
// No Python.
//
// The trainer extends the window of planned tickets at its end, and assigns slots at its start. A
// *use* is a frame of a ticket, numbered from 1 on; each points to the next use of its frame. What
// this says about slots is a plan: workers look what is in them. Workers render several tickets at
// a time, so a slot that was used *rests* for some tickets before another frame can take it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

namespace fastclips {

inline constexpr std::int32_t kNoSlot = -1;

class FramePlanner {
  public:
    struct Counts {
        std::uint64_t uses = 0, hits = 0, fills = 0;
        std::uint64_t lost = 0;  // times that a frame found no slot, or lost it before its next use
    };

    // A frame takes a slot if it has so many uses in the window, this one counted; another frame's
    // slot if the next use of that is `margin` times as far away. A slot rests for so many tickets.
    // The window holds up to `room` uses.
    FramePlanner(std::uint32_t slots, std::uint32_t least_uses, double margin, std::uint64_t rest,
                 std::uint64_t room)
        : least_uses_(std::max<std::uint32_t>(least_uses, 2)),
          margin_(margin),
          rest_(rest),
          room_(room) {
        for (std::uint32_t slot = 0; slot < slots; ++slot) {
            held_.push_back({0, kUnused - slot, 0, false});
            heap_.push_back({kUnused - slot, slot});
        }
        std::make_heap(heap_.begin(), heap_.end());
        table_.resize(1024);
        uses_.resize(1024);
    }

    std::uint64_t ahead() const { return end_ - begin_; }  // uses in the window
    // Slots that were given out.
    std::uint64_t used() const {
        return static_cast<std::uint64_t>(std::count_if(
            held_.begin(), held_.end(), [](const Held& held) { return held.key != 0; }));
    }
    const Counts& counts() const { return counts_; }

    // Empty the window, since the plan goes on elsewhere. Slots still hold their frames.
    void restart() {
        begin_ = end_;
        std::vector<Entry> old(table_.size());
        old.swap(table_);
        entries_ = 0;
        for (const Entry& entry : old) {
            if (entry.slot == kNoSlot) continue;
            find(entry.key) = {entry.key, 0, entry.slot};
            ++entries_;
        }
        for (Held& held : held_)
            if (held.next < kUnused && held.key != 0) held.next = kNoUse - begin_;
        collect_candidates();
    }

    // Add a ticket, whose frames are decoded at a scale, to the window; false if there is no room.
    bool extend(std::uint64_t video, const std::int32_t* frames, std::size_t steps,
                std::uint8_t scale) {
        find_distinct(video, frames, steps, scale);
        if (ahead() + distinct_.size() > room_) return false;
        for (const std::uint64_t key : distinct_) add(key);
        return true;
    }

    // Take the first ticket off the window and give each of its time steps a slot or kNoSlot; false
    // if it is another ticket.
    bool assign(std::uint64_t video, const std::int32_t* frames, std::size_t steps,
                std::int32_t* slots) {
        if (ahead() == 0) return false;
        find_distinct(video, frames, steps, scale_of(use(begin_).key));
        if (ahead() < distinct_.size()) return false;
        for (std::size_t i = 0; i < distinct_.size(); ++i)
            if (use(begin_ + i).key != distinct_[i]) return false;
        ++ticket_;
        end_rests();
        given_.clear();
        for (const std::uint64_t key : distinct_) given_.push_back(give(key));
        for (std::size_t at = 0; at < steps; ++at) slots[at] = given_[which_[at]];
        return true;
    }

  private:
    // In place of a next use, where there is none, so that slots are taken in this order: those
    // whose frames have no use in the window, the one used first before others; then unused slots.
    static constexpr std::uint64_t kUnused = std::uint64_t{1} << 62;
    static constexpr std::uint64_t kNoUse = std::uint64_t{1} << 63;

    struct Use {
        std::uint64_t key, next;  // use; 0 if there is none in the window
    };
    struct Entry {                        // of the table; key 0 is none
        std::uint64_t key = 0, last = 0;  // the last use in the window
        std::int32_t slot = kNoSlot;
    };
    struct Held {                 // by a slot
        std::uint64_t key, next;  // its frame, 0 for none; and the next use of that
        std::uint64_t ticket;     // that used it last
        bool resting;             // in `resting_`, and not in the heap
    };
    struct Resting {
        std::uint64_t ticket;
        std::uint32_t slot;
    };
    struct Candidate {
        std::uint64_t next;
        std::uint32_t slot;
        bool operator<(const Candidate& other) const { return next < other.next; }
    };

    // Of more than 2**24 videos, some frames have one key; they may share slots and then are
    // decoded more often.
    static std::uint64_t key_of(std::uint64_t video, std::int32_t frame, std::uint8_t scale) {
        const std::uint32_t stored = static_cast<std::uint32_t>(frame < 0 ? ~frame : frame);
        return video << 40 | std::uint64_t{stored} << 9 | std::uint64_t{scale} << 1 | 1;
    }
    static std::uint8_t scale_of(std::uint64_t key) { return static_cast<std::uint8_t>(key >> 1); }
    static std::uint64_t hash(std::uint64_t key) {
        key ^= key >> 33;
        key *= 0xff51afd7ed558ccd;
        return key ^ key >> 29;
    }

    // Fill `distinct_` with the frames of a ticket, and `which_` with the one that each time step
    // shows.
    void find_distinct(std::uint64_t video, const std::int32_t* frames, std::size_t steps,
                       std::uint8_t scale) {
        distinct_.clear();
        which_.clear();
        std::uint64_t largest = 0;  // most clips go forward, and repeat nothing
        for (std::size_t at = 0; at < steps; ++at) {
            const std::uint64_t key = key_of(video, frames[at], scale);
            std::size_t found = distinct_.size();
            if (key <= largest)
                found = static_cast<std::size_t>(
                    std::find(distinct_.begin(), distinct_.end(), key) - distinct_.begin());
            if (found == distinct_.size()) distinct_.push_back(key);
            which_.push_back(found);
            largest = std::max(largest, key);
        }
    }

    Use& use(std::uint64_t number) { return uses_[number & (uses_.size() - 1)]; }

    void add(std::uint64_t key) {
        if (ahead() == uses_.size()) grow_uses();
        const std::uint64_t number = end_++;
        use(number) = {key, 0};
        if (2 * (entries_ + 1) > table_.size()) grow_table();
        Entry& entry = find(key);
        if (entry.key == 0) {
            entry.key = key;
            ++entries_;
        }
        if (entry.last != 0) {
            use(entry.last).next = number;
        } else if (entry.slot != kNoSlot) {
            const auto slot = static_cast<std::uint32_t>(entry.slot);
            held_[slot].next = number;
            if (!held_[slot].resting) push(slot);
        }
        entry.last = number;
    }

    // Take the first use off the window, whose frame has this key, and return its slot.
    std::int32_t give(std::uint64_t key) {
        const std::uint64_t number = begin_++, next = use(number).next;
        ++counts_.uses;
        Entry& entry = find(key);
        if (entry.last == number) entry.last = 0;
        if (entry.slot != kNoSlot) {
            ++counts_.hits;
        } else if (is_worth_it(next)) {
            if (!take(key, next)) ++counts_.lost;
        }
        Entry& found = find(key);  // another may have moved it
        const std::int32_t slot = found.slot;
        if (slot != kNoSlot) {
            const auto at = static_cast<std::uint32_t>(slot);
            held_[at] = {key, next != 0 ? next : kNoUse - number, ticket_, true};
            resting_.push_back({ticket_, at});
        } else if (found.last == 0) {
            erase(found);
        }
        return slot;
    }

    bool is_worth_it(std::uint64_t next) {
        std::uint32_t count = 1;
        for (; next != 0 && count < least_uses_; next = use(next).next) ++count;
        return count >= least_uses_;
    }

    // Give a frame the slot whose frame is used again last, if that is much later than its own next
    // use.
    bool take(std::uint64_t key, std::uint64_t next) {
        while (!heap_.empty()) {
            const Candidate top = heap_.front();
            const Held& held = held_[top.slot];
            const bool valid = !held.resting && held.next == top.next;
            if (valid && static_cast<double>(top.next - begin_) <=
                             margin_ * static_cast<double>(next - begin_))
                return false;
            std::pop_heap(heap_.begin(), heap_.end());
            heap_.pop_back();
            if (!valid) continue;  // it was used since
            if (held.key != 0) {
                Entry& old = find(held.key);
                old.slot = kNoSlot;
                if (old.last == 0)
                    erase(old);
                else
                    ++counts_.lost;
            }
            ++counts_.fills;
            find(key).slot = static_cast<std::int32_t>(top.slot);
            return true;
        }
        return false;
    }

    void end_rests() {
        for (; !resting_.empty() && resting_.front().ticket + rest_ < ticket_;
             resting_.pop_front()) {
            const Resting first = resting_.front();
            if (held_[first.slot].ticket != first.ticket) continue;  // it was used again
            held_[first.slot].resting = false;
            push(first.slot);
        }
    }

    // Make a slot a candidate. The heap also has slots as they were before; now and then it is
    // rid of them.
    void push(std::uint32_t slot) {
        if (heap_.size() > 4 * held_.size() + 1024) {
            collect_candidates();
            return;
        }
        heap_.push_back({held_[slot].next, slot});
        std::push_heap(heap_.begin(), heap_.end());
    }

    void collect_candidates() {
        heap_.clear();
        for (std::uint32_t slot = 0; slot < held_.size(); ++slot)
            if (!held_[slot].resting) heap_.push_back({held_[slot].next, slot});
        std::make_heap(heap_.begin(), heap_.end());
    }

    // The entry of a key, or the empty one where it belongs.
    Entry& find(std::uint64_t key) {
        const std::uint64_t mask = table_.size() - 1;
        std::uint64_t at = hash(key) & mask;
        while (table_[at].key != 0 && table_[at].key != key) at = (at + 1) & mask;
        return table_[at];
    }

    // Move later entries up, so that no search ends too early.
    void erase(Entry& entry) {
        const std::uint64_t mask = table_.size() - 1;
        std::uint64_t hole = static_cast<std::uint64_t>(&entry - table_.data());
        for (std::uint64_t at = (hole + 1) & mask; table_[at].key != 0; at = (at + 1) & mask) {
            const std::uint64_t home = hash(table_[at].key) & mask;
            if (((at - home) & mask) >= ((at - hole) & mask)) {
                table_[hole] = table_[at];
                hole = at;
            }
        }
        table_[hole] = Entry{};
        --entries_;
    }

    void grow_table() {
        std::vector<Entry> old(2 * table_.size());
        old.swap(table_);
        for (const Entry& entry : old)
            if (entry.key != 0) find(entry.key) = entry;
    }

    void grow_uses() {
        std::vector<Use> grown(2 * uses_.size());
        for (std::uint64_t number = begin_; number < end_; ++number)
            grown[number & (grown.size() - 1)] = use(number);
        uses_.swap(grown);
    }

    const std::uint32_t least_uses_;
    const double margin_;
    const std::uint64_t rest_, room_;
    std::uint64_t begin_ = 1, end_ = 1, ticket_ = 0;  // the window, and the ticket of `assign`
    std::vector<Use> uses_;                           // a ring; its length is a power of 2
    std::vector<Entry> table_;                        // at most half full
    std::uint64_t entries_ = 0;
    std::vector<Held> held_;       // by slot
    std::vector<Candidate> heap_;  // the slots that do not rest, and some as they were before
    std::deque<Resting> resting_;
    std::vector<std::uint64_t> distinct_;
    std::vector<std::size_t> which_;
    std::vector<std::int32_t> given_;
    Counts counts_;
};

}  // namespace fastclips
