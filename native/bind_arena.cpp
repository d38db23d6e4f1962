// The arena and the planner of its frame slots, in Python.
#include <cstring>

#include "arena.h"
#include "bindings.h"
#include "handed.h"
#include "planner.h"

using fastclips::Arena;
using fastclips::FramePlanner;
using fastclips::FrameSlots;
using fastclips::State;
using Counters = nb::ndarray<nb::numpy, double, nb::ndim<2>, nb::c_contig>;
using Ints = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Videos = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Scales = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

namespace {

void check_tickets(const Videos& videos, const Ints& frames, const Scales& scales) {
    if (videos.shape(0) != frames.shape(0) || scales.shape(0) != frames.shape(0))
        throw nb::value_error("videos, frames and scales must be of the same tickets");
}

}  // namespace

void bind_arena(nb::module_& m) {
    m.def(
        "hand_over",
        [](nb::object owner) {
            using Array = nb::ndarray<nb::numpy, nb::ro, nb::c_contig, nb::device::cpu>;
            Array array;
            if (!nb::try_cast<Array>(owner, array, false))  // no copy
                throw nb::type_error("must be a C-contiguous array on the CPU");
            std::vector<std::int64_t> shape(array.ndim());
            for (std::size_t axis = 0; axis < shape.size(); ++axis)
                shape[axis] = static_cast<std::int64_t>(array.shape(axis));
            const nb::dlpack::dtype dtype = array.dtype();
            PyObject* const capsule =
                fastclips::Handed::capsule(owner.ptr(), const_cast<void*>(array.data()),
                                           std::move(shape), dtype.code, dtype.bits);
            if (capsule == nullptr) nb::raise_python_error();
            return nb::steal<nb::capsule>(capsule);
        },
        "array"_a,
        "A DLPack capsule of a C-contiguous array. What takes it keeps the array alive, and may "
        "let "
        "it go in any thread: see native/handed.h.");
    m.def("drop_ended", &fastclips::Handed::drop_ended,
          "Let the arrays go that were handed over, and whose tensors have died since.");

    nb::class_<FrameSlots>(m, "FrameSlots", "Memory for decoded frames: see native/frame_slots.h.",
                           nb::is_weak_referenceable())
        .def(
            "__init__",
            [](FrameSlots* self, std::uint32_t frames, std::uint32_t areas,
               std::uint64_t frame_bytes) {
                if (frames == 0 || areas == 0 || frame_bytes == 0)
                    throw nb::value_error("frame slots must have areas and bytes");
                new (self) FrameSlots(frames, areas, frame_bytes);
            },
            nb::kw_only(), "frames"_a, "areas"_a, "frame_bytes"_a)
        .def_static("nbytes_of", &FrameSlots::nbytes_of, nb::kw_only(), "frames"_a, "areas"_a,
                    "frame_bytes"_a, "Bytes that so many frame slots would take.")
        .def_static(
            "attach", [](int fd) { return FrameSlots::attach(fd); }, "fd"_a,
            "Map the frame slots that another process made.")
        .def_prop_ro("fd", &FrameSlots::fd,
                     "Descriptor of memory of their own; -1 for those of an arena.")
        .def("__len__", [](FrameSlots& self) { return self.memory().frames; })
        .def_prop_ro(
            "stride", [](FrameSlots& self) { return self.memory().stride; },
            "Bytes of a frame slot.")
        .def(
            "mark_held",
            [](FrameSlots& self, Videos videos, Ints frames, Ints slots, std::int32_t first,
               nb::ndarray<bool, nb::ndim<2>, nb::c_contig, nb::device::cpu> held) {
                const std::size_t tickets = videos.shape(0), steps = frames.shape(1);
                for (std::size_t axis = 0; axis < 2; ++axis)
                    if (frames.shape(axis) != slots.shape(axis) ||
                        frames.shape(axis) != held.shape(axis) || frames.shape(0) != tickets)
                        throw nb::value_error("all arrays must be of the same tickets");
                const fastclips::FrameMemory& memory = self.memory();
                for (std::size_t i = 0; i < tickets * steps; ++i) {
                    const auto slot = static_cast<std::uint32_t>(slots.data()[i] - first);
                    if (slots.data()[i] >= first && slot < memory.frames)
                        held.data()[i] =
                            memory.holds(slot, static_cast<std::uint64_t>(videos.data()[i / steps]),
                                         static_cast<std::uint64_t>(frames.data()[i]));
                }
            },
            "videos"_a, "frames"_a, "slots"_a, "first"_a, "held"_a.noconvert(),
            "Mark the frames of tickets that are in their slots, whose numbers begin at `first`.")
        .def_prop_ro(
            "used", [](FrameSlots& self) { return self.memory().used(); },
            "How many slots hold a frame.")
        .def(
            "free",
            [](FrameSlots& self, std::optional<std::uint16_t> worker,
               std::optional<std::uint64_t> loader) { return self.memory().free(worker, loader); },
            "worker"_a = nb::none(), "loader"_a = nb::none(),
            "Free the areas that dead workers were filling: that worker, or all of a loader; "
            "returns how many.");

    nb::enum_<State>(m, "State", "The state of a cell's ticket.")
        .value("EMPTY", State::kEmpty)
        .value("READY", State::kReady)
        .value("CLAIMED", State::kClaimed)
        .value("DONE", State::kDone)
        .value("FAILED", State::kFailed);

    nb::class_<Arena>(m, "Arena",
                      "Shared memory of one loader; states are atomics, waits are futexes.\n\n"
                      "Each row of a slot has a cell: cell = slot * rows + row.",
                      nb::is_weak_referenceable())
        .def(
            "__init__",
            [](Arena* self, std::uint32_t slots, std::uint32_t rows, std::uint32_t workers,
               std::uint32_t ticket_bytes, std::uint64_t slot_bytes, std::uint32_t frames,
               std::uint32_t areas, std::uint64_t frame_bytes, std::uint64_t ahead_bytes) {
                if (slots == 0 || rows == 0 || slot_bytes == 0 || ticket_bytes == 0 ||
                    ticket_bytes % 8 != 0)
                    throw nb::value_error(
                        "slots, rows and bytes must be positive, ticket_bytes a multiple of 8");
                if (frames != 0 && (areas == 0 || frame_bytes == 0))
                    throw nb::value_error("frame slots must have areas and bytes");
                new (self) Arena(fastclips::Geometry{slots, rows, workers, ticket_bytes, slot_bytes,
                                                     frames, areas, frame_bytes, ahead_bytes});
            },
            nb::kw_only(), "slots"_a, "rows"_a, "workers"_a, "ticket_bytes"_a, "slot_bytes"_a,
            "frames"_a = 0, "areas"_a = 0, "frame_bytes"_a = 0, "ahead_bytes"_a = 0)
        .def_static(
            "nbytes_of",
            [](std::uint32_t slots, std::uint32_t rows, std::uint32_t workers,
               std::uint32_t ticket_bytes, std::uint64_t slot_bytes, std::uint32_t frames,
               std::uint32_t areas, std::uint64_t frame_bytes, std::uint64_t ahead_bytes) {
                return fastclips::Offsets(fastclips::Geometry{slots, rows, workers, ticket_bytes,
                                                              slot_bytes, frames, areas,
                                                              frame_bytes, ahead_bytes})
                    .total;
            },
            nb::kw_only(), "slots"_a, "rows"_a, "workers"_a, "ticket_bytes"_a, "slot_bytes"_a,
            "frames"_a = 0, "areas"_a = 0, "frame_bytes"_a = 0, "ahead_bytes"_a = 0,
            "Bytes that an arena would take.")
        .def_static(
            "attach", [](int fd) { return new Arena(fd); }, "fd"_a, nb::rv_policy::take_ownership,
            "Map the arena that another process made.")
        .def_prop_ro("fd", &Arena::fd)
        .def_prop_ro("slots", [](const Arena& a) { return a.geometry().slots; })
        .def_prop_ro("rows", [](const Arena& a) { return a.geometry().rows; })
        .def_prop_ro(
            "frame_slots", [](const Arena& a) { return FrameSlots(a.frame_memory()); },
            nb::keep_alive<0, 1>(), "Its frame slots.")
        .def_prop_ro(
            "ahead_bytes", [](const Arena& a) { return a.geometry().ahead_bytes; },
            "Bytes of the byte slot of each cell; 0 if there are none.")
        .def_prop_ro("nbytes", [](const Arena& a) { return a.offsets().total; })
        .def(
            "slot",
            [](nb::handle_t<Arena> self, std::uint32_t slot) {
                Arena& a = nb::cast<Arena&>(self);
                if (slot >= a.geometry().slots) throw nb::index_error("no such slot");
                return Bytes(a.base() + a.offsets().slots + slot * a.offsets().slot_stride,
                             {static_cast<std::size_t>(a.geometry().slot_bytes)}, self);
            },
            "slot"_a, "The bytes of a slot, page-aligned; the array keeps the arena alive.")
        .def(
            "tickets",
            [](nb::handle_t<Arena> self) {
                Arena& a = nb::cast<Arena&>(self);
                const std::size_t cells = std::size_t{a.geometry().slots} * a.geometry().rows;
                return nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<2>>(
                    a.base() + a.offsets().cells + sizeof(fastclips::CellHead),
                    {cells, a.geometry().ticket_bytes}, self,
                    {static_cast<std::int64_t>(a.offsets().cell_bytes), 1});
            },
            "The tickets of all cells, (cells, ticket_bytes).")
        .def(
            "counters",
            [](nb::handle_t<Arena> self) {
                Arena& a = nb::cast<Arena&>(self);
                return Counters(a.base() + a.offsets().counters,
                                {a.geometry().workers, fastclips::kCounterBytes / sizeof(double)},
                                self);
            },
            "One row of float64 counters per worker, which only that worker writes.")
        .def(
            "publish",
            [](Arena& a, std::uint32_t slot, std::uint64_t number, nb::bytes tickets) {
                a.publish(slot, number, tickets.c_str(), tickets.size());
            },
            "slot"_a, "number"_a, "tickets"_a,
            "Write tickets into the first rows of a settled slot, ready to be claimed.")
        .def("cancel", &Arena::cancel, "slot"_a, "Cancel the tickets that no worker has claimed.")
        .def(
            "settled", [](const Arena& a, std::uint32_t slot) { return a.settled(slot); }, "slot"_a,
            "Whether no row is READY or CLAIMED.")
        .def(
            "wait",
            [](Arena& a, std::uint32_t slot, int timeout_ms) {
                return a.wait(slot, std::chrono::milliseconds(timeout_ms));
            },
            "slot"_a, "timeout_ms"_a, nb::call_guard<Unlocked>(),
            "Wait for a slot to settle; False after a signal or the timeout.")
        .def(
            "claim",
            [](Arena& a, std::uint16_t worker,
               int timeout_ms) -> std::optional<std::tuple<std::uint32_t, std::uint64_t>> {
                std::optional<fastclips::Claim> claim;
                {
                    const Unlocked unlocked;
                    claim = a.claim(worker, std::chrono::milliseconds(timeout_ms));
                }
                if (!claim) return std::nullopt;
                return std::tuple(claim->cell, claim->number);
            },
            "worker"_a, "timeout_ms"_a,
            "Claim the oldest READY ticket: (cell, number); None after the timeout.")
        .def(
            "claim_read",
            [](Arena& a, std::uint16_t fetcher,
               int timeout_ms) -> std::optional<std::tuple<std::uint32_t, std::uint64_t>> {
                std::optional<fastclips::Claim> claim;
                {
                    const Unlocked unlocked;
                    claim = a.claim_read(fetcher, std::chrono::milliseconds(timeout_ms));
                }
                if (!claim) return std::nullopt;
                return std::tuple(claim->cell, claim->number);
            },
            "fetcher"_a, "timeout_ms"_a,
            "Claim the byte slot of the oldest READY ticket that nobody reads for: (cell, number); "
            "None after the timeout.")
        .def(
            "byte_slot",
            [](nb::handle_t<Arena> self, std::uint32_t cell) {
                const fastclips::ByteSlots slots = nb::cast<Arena&>(self).byte_slots();
                return Bytes(slots.memory(cell), {static_cast<std::size_t>(slots.bytes)}, self);
            },
            "cell"_a, "The byte slot of a cell, page-aligned; the array keeps the arena alive.")
        .def(
            "finish_read",
            [](const Arena& a, std::uint32_t cell, std::uint16_t fetcher, bool ok) {
                return a.byte_slots().settle(cell, fetcher, ok);
            },
            "cell"_a, "fetcher"_a, "ok"_a,
            "Publish what was written into a byte slot, or give it up; False if the fetcher does "
            "not hold it.")
        .def(
            "take_bytes",
            [](const Arena& a, std::uint32_t cell, std::uint64_t number, int timeout_ms) {
                const Unlocked unlocked;
                return a.byte_slots().take(
                    cell, number, fastclips::Clock::now() + std::chrono::milliseconds(timeout_ms));
            },
            "cell"_a, "number"_a, "timeout_ms"_a,
            "Whether the byte slot has the bytes of a claimed ticket, after waiting for the "
            "fetcher that reads them; if not, no fetcher begins to read them.")
        .def(
            "free_reads",
            [](const Arena& a, std::uint16_t fetcher) { return a.byte_slots().free(fetcher); },
            "fetcher"_a, "Free the byte slots that a dead fetcher was filling; how many.")
        .def(
            "byte_word",
            [](const Arena& a, std::uint32_t cell) {
                const auto word = fastclips::FrameWord::unpack(
                    a.byte_slots().word(cell).load(std::memory_order_acquire));
                return std::tuple(word.number, word.worker, static_cast<int>(word.state));
            },
            "cell"_a,
            "The (number, fetcher, state) of a byte slot; states are 0 empty, 1 filling, 2 full.")
        .def("finish", &Arena::finish, "cell"_a, "worker"_a, "ok"_a,
             "Settle a claim as DONE or FAILED; False if the worker does not hold it.")
        .def("reissue", &Arena::reissue, "cell"_a, "dead"_a,
             "Make the ticket of a dead worker READY again; False if it does not hold it.")
        .def("claimed_by", &Arena::claimed_by, "worker"_a, "The cells that a worker has claimed.")
        .def("count_death", &Arena::count_death, "cell"_a,
             "Add 1 to the workers that crashed over this ticket, and return the sum.")
        .def("deaths", &Arena::deaths, "cell"_a, "How many workers crashed over this ticket.")
        .def("failed", &Arena::failed, "slot"_a,
             "The first FAILED cell of a settled slot; None if there is none.")
        .def("noted", &Arena::noted, "slot"_a, "The DONE cells of a settled slot that have a note.")
        .def(
            "set_note",
            [](Arena& a, std::uint32_t cell, nb::bytes text) {
                a.set_note(cell, {text.c_str(), text.size()});
            },
            "cell"_a, "text"_a,
            "Note why a ticket failed or which frames were replaced, in up to NOTE_BYTES.")
        .def(
            "note",
            [](const Arena& a, std::uint32_t cell) {
                const std::string text = a.note(cell);
                return nb::bytes(text.data(), text.size());
            },
            "cell"_a, "The note of a cell.")
        .def(
            "word",
            [](const Arena& a, std::uint32_t cell) {
                const fastclips::Word word = a.word_of(cell);
                return std::tuple(word.number, word.worker, word.state);
            },
            "cell"_a, "A cell's (number, worker, state).")
        .def_prop_rw(
            "last_words",
            [](const Arena& a) {
                const char (&note)[sizeof a.header().note] = a.header().note;
                return nb::bytes(note, strnlen(note, sizeof note));
            },
            [](Arena& a, nb::bytes text) {
                char (&note)[sizeof a.header().note] = a.header().note;
                std::strncpy(note, text.c_str(), sizeof note);
            },
            "Why the nursery gave up; empty if it did not.")
        .def("discard", &Arena::discard,
             "Return the memory to the kernel; processes that still map it read zeros.");

    nb::class_<FramePlanner>(m, "FramePlanner",
                             "Assigns frame slots to the frames of tickets, by their next uses.")
        .def(nb::init<std::uint32_t, std::uint32_t, double, std::uint64_t, std::uint64_t>(),
             nb::kw_only(), "slots"_a, "least_uses"_a, "margin"_a, "rest"_a, "room"_a)
        .def_prop_ro("ahead", &FramePlanner::ahead, "Uses of frames in the window.")
        .def_prop_ro(
            "counts",
            [](const FramePlanner& self) {
                const FramePlanner::Counts& counts = self.counts();
                return std::tuple(counts.uses, counts.hits, counts.fills, counts.lost);
            },
            "(uses, hits, fills, lost) that were assigned: lost are frames that are used again, "
            "but "
            "for which no slot was left.")
        .def_prop_ro("used", &FramePlanner::used, "How many slots hold a frame.")
        .def("restart", &FramePlanner::restart,
             "Empty the window, since the plan goes on elsewhere; slots still hold their frames.")
        .def(
            "extend",
            [](FramePlanner& self, Videos videos, Ints frames, Scales scales) {
                check_tickets(videos, frames, scales);
                const std::size_t steps = frames.shape(1);
                for (std::size_t i = 0; i < videos.shape(0); ++i)
                    if (!self.extend(static_cast<std::uint64_t>(videos.data()[i]),
                                     frames.data() + i * steps, steps, scales.data()[i]))
                        return i;
                return videos.shape(0);
            },
            "videos"_a, "frames"_a, "scales"_a,
            "Add tickets at the end of the window; returns how many there was room for.")
        .def(
            "assign",
            [](FramePlanner& self, Videos videos, Ints frames,
               nb::ndarray<std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> slots) {
                if (slots.shape(0) != frames.shape(0) || slots.shape(1) != frames.shape(1) ||
                    videos.shape(0) != frames.shape(0))
                    throw nb::value_error("videos, frames and slots must be of the same tickets");
                const std::size_t steps = frames.shape(1);
                for (std::size_t i = 0; i < videos.shape(0); ++i)
                    if (!self.assign(static_cast<std::uint64_t>(videos.data()[i]),
                                     frames.data() + i * steps, steps, slots.data() + i * steps))
                        return false;
                return true;
            },
            "videos"_a, "frames"_a, "slots"_a.noconvert(),
            "Take tickets off the start of the window and write the slot of each time step, -1 for "
            "none; False if they are not the next ones.");
}
