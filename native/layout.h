// The byte layout of the arena, defined nowhere else. README.md in this folder draws it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fastclips {

inline constexpr std::uint64_t kMagic = 0x3550494c43464d45;  // changes whenever the layout does
inline constexpr std::size_t kLine = 64;                     // bytes of a cache line
inline constexpr std::size_t kPage = 4096;                   // slots start on a page

// The state of a cell's ticket. EMPTY, DONE and FAILED are settled: no worker writes the row.
enum class State : std::uint8_t {
    kEmpty = 0,    // no ticket, or cancelled before a worker claimed it
    kReady = 1,    // published, to be claimed
    kClaimed = 2,  // one worker is writing the row
    kDone = 3,     // the row is written
    kFailed = 4,   // the row cannot be written; the cell's note says why
};

// The state of an area of a frame slot, and of a byte slot.
enum class FrameState : std::uint8_t {
    kEmpty = 0,    // holds nothing
    kFilling = 1,  // one worker is writing key and pixels, or one fetcher bytes
    kFull = 2,     // they are written
};

// A word has 64 bits, so that one compare-and-swap moves ticket, worker and state at once:
// ticket number (40 bits) | worker (16 bits) | state (8 bits). Ticket numbers never repeat while a
// loader lives, so the number also tells a new ticket from an old one in the same cell.
template <typename States>
struct WordOf {
    std::uint64_t number;
    std::uint16_t worker;
    States state;

    static constexpr WordOf unpack(std::uint64_t bits) {
        return {bits >> 24, static_cast<std::uint16_t>(bits >> 8),
                static_cast<States>(bits & 0xff)};
    }
    constexpr std::uint64_t pack() const {
        return number << 24 | static_cast<std::uint64_t>(worker) << 8 |
               static_cast<std::uint64_t>(state);
    }
    constexpr bool settled() const { return state != States::kReady && state != States::kClaimed; }
};
using Word = WordOf<State>;
using FrameWord = WordOf<FrameState>;
inline constexpr std::uint64_t kLastNumber = (std::uint64_t{1} << 40) - 1;
inline constexpr std::uint16_t kNobody = 0;

struct Geometry {
    std::uint32_t slots;
    std::uint32_t rows;          // per slot: the batch size
    std::uint32_t workers;       // number of blocks of counters: of workers, then fetchers
    std::uint32_t ticket_bytes;  // a multiple of 8
    std::uint64_t slot_bytes;
    std::uint32_t frames = 0;       // frame slots
    std::uint32_t areas = 0;        // of each frame slot: the streams
    std::uint64_t frame_bytes = 0;  // of all areas of a frame slot
    std::uint64_t ahead_bytes = 0;  // of the byte slot of each row; 0 for none
};

using AtomicEvent = std::atomic<std::uint32_t>;  // a futex
using AtomicWord = std::atomic<std::uint64_t>;
static_assert(AtomicEvent::is_always_lock_free && sizeof(AtomicEvent) == 4);
static_assert(AtomicWord::is_always_lock_free && sizeof(AtomicWord) == 8);

struct Header {
    std::uint64_t magic;
    Geometry geometry;
    alignas(kLine) AtomicEvent published;         // the trainer adds 1 for new tickets
    AtomicEvent reissued;                         // the nursery adds 1 for tickets of the dead
    AtomicEvent readable;                         // as `published`, for fetchers
    alignas(kLine) AtomicEvent settled;           // workers add 1 when a slot settles
    alignas(kLine) char note[kPage - 3 * kLine];  // the nursery's last words
};
static_assert(sizeof(Header) == kPage);
static_assert(offsetof(Header, published) == kLine);
static_assert(offsetof(Header, settled) == 2 * kLine);
static_assert(offsetof(Header, note) == 3 * kLine);

inline constexpr std::size_t kNoteBytes = 1016;

// Before each ticket in its cell.
struct CellHead {
    std::uint32_t deaths;  // workers that crashed over this ticket
    std::uint32_t note_bytes;
    char note[kNoteBytes];  // why the ticket failed, or which frames were replaced; UTF-8
};
static_assert(sizeof(CellHead) == 1024);
static_assert(offsetof(CellHead, note) == 8);

// What an area of a frame slot holds. The words are atomic, since a reader may read what a filler
// writes; it then finds that `word` has changed.
struct FrameHead {
    AtomicWord word;     // a FrameWord; its ticket is the last one that filled the area
    AtomicWord video;    // the storage's numbers of
    AtomicWord frame;    // video and frame
    AtomicWord format;   // how it was to be decoded
    AtomicWord size;     // height and width of the frame, 32 bits each
    AtomicWord decoded;  // how it was decoded: scale and rung, 32 bits each
    AtomicWord unused[2];
};
static_assert(sizeof(FrameHead) == kLine);

// Each worker has one block of doubles and writes it alone, except its pid and number,
// which the nursery writes.
inline constexpr std::size_t kCounterBytes = 4 * kLine;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

// Header | words | cells | counters | frame heads | byte words | slots | frame slots | byte slots
struct Offsets {
    std::uint64_t words, cells, cell_bytes, counters, heads, byte_words, slots, slot_stride, frames,
        frame_stride, ahead, ahead_stride, total;

    explicit constexpr Offsets(const Geometry& g)
        : words(sizeof(Header)),
          cells(round_up(words + std::uint64_t{g.slots} * g.rows * sizeof(AtomicWord), kLine)),
          cell_bytes(round_up(sizeof(CellHead) + g.ticket_bytes, kLine)),
          counters(cells + std::uint64_t{g.slots} * g.rows * cell_bytes),
          heads(counters + g.workers * kCounterBytes),
          byte_words(heads + std::uint64_t{g.frames} * g.areas * sizeof(FrameHead)),
          slots(round_up(byte_words + byte_slots(g) * sizeof(AtomicWord), kPage)),
          slot_stride(round_up(g.slot_bytes, kPage)),
          frames(slots + g.slots * slot_stride),
          frame_stride(round_up(g.frame_bytes, kPage)),
          ahead(frames + g.frames * frame_stride),
          ahead_stride(round_up(g.ahead_bytes, kPage)),
          total(ahead + byte_slots(g) * ahead_stride) {}

    static constexpr std::uint64_t byte_slots(const Geometry& g) {
        return g.ahead_bytes ? std::uint64_t{g.slots} * g.rows : 0;
    }
};

}  // namespace fastclips
