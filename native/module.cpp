// The border to Python: argument checks, release of the GIL, docstrings. No logic.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <sys/prctl.h>

#include <cstring>
#include <deque>

#include "arena.h"
#include "crops.h"
#include "filters.h"
#include "frames.h"
#include "planner.h"
#include "shared_crops.h"
#include "transcode.h"
#include "unlocked.h"
#include "warp.h"

namespace nb = nanobind;
using namespace nb::literals;
using fastclips::Arena;
using fastclips::FrameArea;
using fastclips::FrameKey;
using fastclips::FramePlanner;
using fastclips::OpenFiles;
using fastclips::State;
using fastclips::Unlocked;
using fastclips::jpeg::Crop;
using fastclips::jpeg::RegionDecoder;
using fastclips::jpeg::Rung;
using fastclips::warp::Fill;
using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig>;
using Floats = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Videos = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Scales = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Size = std::tuple<std::uint32_t, std::uint32_t>;
using Box4 = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;
using Counters = nb::ndarray<nb::numpy, double, nb::ndim<2>, nb::c_contig>;

namespace {

// The bytes of an object with the buffer protocol, held while this lives.
class Buffer {
  public:
    Buffer(nb::handle object, int flags) {
        if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw nb::python_error();
    }
    ~Buffer() { PyBuffer_Release(&view_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    std::uint8_t* data() const { return static_cast<std::uint8_t*>(view_.buf); }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }
    fastclips::jpeg::Bytes bytes() const { return {data(), size()}; }

  private:
    Py_buffer view_{};
};

// Several files, held while this lives.
class Files {
  public:
    Files(const nb::list& files, std::size_t count) {
        if (files.size() != count) throw nb::value_error("files and rows must have one length");
        for (nb::handle file : files) buffers_.emplace_back(file, PyBUF_SIMPLE);
    }
    std::vector<fastclips::jpeg::Bytes> bytes() const {
        std::vector<fastclips::jpeg::Bytes> all;
        for (const Buffer& buffer : buffers_) all.push_back(buffer.bytes());
        return all;
    }

  private:
    std::deque<Buffer> buffers_;
};

// The crop that rows of an output take.
Crop crop_of(std::uint32_t channels, const Size& size, const Box4& box, std::uint32_t scale,
             bool mirrored, bool bypass_cache, const Rows& output,
             const std::vector<std::uint32_t>& rows) {
    if (!fastclips::jpeg::is_scale(scale)) throw nb::value_error("scale must be 1, 2, 4 or 8");
    if (output.shape(3) != channels)
        throw nb::value_error("output must have as many channels as the decoder");
    for (const std::uint32_t row : rows)
        if (row >= output.shape(0)) throw nb::index_error("no such row");
    const auto [height, width] = size;
    const auto [top, left, bottom, right] = box;
    return {height,
            width,
            {top, left, bottom, right},
            scale,
            static_cast<std::uint32_t>(output.shape(1)),
            static_cast<std::uint32_t>(output.shape(2)),
            channels,
            mirrored,
            bypass_cache};
}

void check_pixels(const FrameArea& area, std::uint32_t channels) {
    if (area.pixel() != channels)
        throw nb::value_error("the area's pixels must have as many bytes as the output's");
}

void check_tickets(const Videos& videos, const Ints& frames, const Scales& scales) {
    if (videos.shape(0) != frames.shape(0) || scales.shape(0) != frames.shape(0))
        throw nb::value_error("videos, frames and scales must be of the same tickets");
}

std::vector<fastclips::jpeg::Shared> shared_of(std::uint64_t video,
                                               const std::vector<std::uint64_t>& frames,
                                               const std::vector<std::uint32_t>& slots,
                                               const std::vector<std::uint32_t>& rows) {
    if (slots.size() != frames.size() || rows.size() != frames.size())
        throw nb::value_error("frames, slots and rows must have one length");
    std::vector<fastclips::jpeg::Shared> shared;
    for (std::size_t i = 0; i < frames.size(); ++i)
        shared.push_back({{video, frames[i]}, slots[i], rows[i]});
    return shared;
}

// A part of a memoryview.
nb::object part(nb::handle view, std::size_t begin, std::size_t end) {
    return view[nb::slice(static_cast<Py_ssize_t>(begin), static_cast<Py_ssize_t>(end))];
}

void check_alike(const Floats& frame, const Floats& output) {
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (frame.shape(axis) != output.shape(axis))
            throw nb::value_error("frame and output must have one shape");
    if (frame.size() == 0) throw nb::value_error("the frame is empty");
    if (frame.data() == output.data()) throw nb::value_error("the frame cannot be the output");
}

nb::object checked(PyObject* made) {
    if (made == nullptr) throw nb::python_error();
    return nb::steal(made);
}

nb::object view_of(nb::handle object) { return checked(PyMemoryView_FromObject(object.ptr())); }

// Call without the GIL, again after each signal, unless the signal's handler raises.
template <typename Work>
std::optional<OpenFiles::Failure> uninterrupted(Work work) {
    while (true) {
        std::optional<OpenFiles::Failure> failure;
        {
            const Unlocked unlocked;
            failure = work();
        }
        if (!failure || failure->error != EINTR) return failure;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
}

// Read files and append a view of each to a list; or return the first failure.
std::optional<OpenFiles::Failure> read_files(const char* folder, const char* const* names,
                                             std::size_t count, nb::list& views) {
    OpenFiles files;
    if (const auto failure = uninterrupted([&] { return files.open(folder, names, count); }))
        return failure;
    // One memory for all files: many small ones would return to the kernel after each clip.
    PyObject* const made =
        PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(files.total()));
    if (made == nullptr) {
        PyErr_Clear();
        return OpenFiles::Failure{0, ENOMEM};
    }
    const nb::object memory = nb::steal(made);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(made));
    if (const auto failure = uninterrupted([&] { return files.read(bytes); })) return failure;
    const nb::object all = view_of(memory);
    for (std::size_t i = 0; i < count; ++i)
        views.append(part(all, files.start(i), files.start(i) + files.size(i)));
    return std::nullopt;
}

}  // namespace

NB_MODULE(_native, m) {
    // At exit, a thread that still iterates keeps its loader alive: not a leak.
    nb::set_leak_warnings(false);
    m.doc() =
        "The native core: the arena in shared memory, decoding of regions of JPEGs, transcoding, "
        "reading of files.";

    // A failed system call is an OSError with its number.
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::system_error& error) {
            const nb::object values = nb::make_tuple(error.code().value(), error.code().message());
            PyErr_SetObject(PyExc_OSError, values.ptr());
        }
    });

    // Constants that Python needs, too.
    m.attr("CACHE_LINE") = fastclips::kLine;
    m.attr("PAGE") = fastclips::kPage;
    m.attr("NOTE_BYTES") = fastclips::kNoteBytes;
    m.attr("TAR_BLOCK") = fastclips::tar::kBlock;
    m.attr("NPY_MAGIC") = nb::bytes(fastclips::kNpyMagic.data(), fastclips::kNpyMagic.size());
    m.attr("JPEG_PIXELS_PER_BYTE") = fastclips::jpeg::kPixelsPerByte;
    m.attr("SMALLEST_JPEG") = fastclips::jpeg::kSmallest;
    m.attr("HELD") = fastclips::jpeg::kHeld;
    m.attr("FILLED") = fastclips::jpeg::kFilled;

    nb::enum_<Rung>(m, "Rung", nb::is_arithmetic(),
                    "The ways a frame is decoded, cheapest first. All give the same pixels.")
        .value("SLICED", Rung::kSliced,
               "The blocks around the box of a JPEG, from the restart markers before them.")
        .value(
            "CROPPED", Rung::kCropped,
            "The blocks around the box of a JPEG; of the blocks before them, only code lengths and "
            "DC values are read.")
        .value("WHOLE", Rung::kWhole, "A whole JPEG.")
        .value("PILLOW", Rung::kPillow, "A whole file of another format, by Pillow.")
        .value("ARRAY", Rung::kArray, "Nothing to decode: pixels were given.");

    nb::enum_<State>(m, "State", "The state of a cell's ticket.")
        .value("EMPTY", State::kEmpty)
        .value("READY", State::kReady)
        .value("CLAIMED", State::kClaimed)
        .value("DONE", State::kDone)
        .value("FAILED", State::kFailed);

    m.def(
        "die_with_parent",
        [](int signal) {
            if (prctl(PR_SET_PDEATHSIG, signal) != 0)
                throw std::system_error(errno, std::generic_category(), "prctl");
        },
        "signal"_a,
        "Ask the kernel to send this process a signal when the thread that forked it ends.");

    m.def("end_threads", &Unlocked::end,
          "Let no other thread of this process return from native code that runs without the GIL.");

    nb::class_<Arena>(m, "Arena",
                      "Shared memory of one loader; states are atomics, waits are futexes.\n\n"
                      "Each row of a slot has a cell: cell = slot * rows + row.",
                      nb::is_weak_referenceable())
        .def(
            "__init__",
            [](Arena* self, std::uint32_t slots, std::uint32_t rows, std::uint32_t workers,
               std::uint32_t ticket_bytes, std::uint64_t slot_bytes, std::uint32_t frames,
               std::uint32_t areas, std::uint64_t frame_bytes) {
                if (slots == 0 || rows == 0 || slot_bytes == 0 || ticket_bytes == 0 ||
                    ticket_bytes % 8 != 0)
                    throw nb::value_error(
                        "slots, rows and bytes must be positive, ticket_bytes a multiple of 8");
                if (frames != 0 && (areas == 0 || frame_bytes == 0))
                    throw nb::value_error("frame slots must have areas and bytes");
                new (self) Arena(fastclips::Geometry{slots, rows, workers, ticket_bytes, slot_bytes,
                                                     frames, areas, frame_bytes});
            },
            nb::kw_only(), "slots"_a, "rows"_a, "workers"_a, "ticket_bytes"_a, "slot_bytes"_a,
            "frames"_a = 0, "areas"_a = 0, "frame_bytes"_a = 0)
        .def_static(
            "nbytes_of",
            [](std::uint32_t slots, std::uint32_t rows, std::uint32_t workers,
               std::uint32_t ticket_bytes, std::uint64_t slot_bytes, std::uint32_t frames,
               std::uint32_t areas, std::uint64_t frame_bytes) {
                return fastclips::Offsets(fastclips::Geometry{slots, rows, workers, ticket_bytes,
                                                              slot_bytes, frames, areas,
                                                              frame_bytes})
                    .total;
            },
            nb::kw_only(), "slots"_a, "rows"_a, "workers"_a, "ticket_bytes"_a, "slot_bytes"_a,
            "frames"_a = 0, "areas"_a = 0, "frame_bytes"_a = 0, "Bytes that an arena would take.")
        .def_static(
            "attach", [](int fd) { return new Arena(fd); }, "fd"_a, nb::rv_policy::take_ownership,
            "Map the arena that another process made.")
        .def_prop_ro("fd", &Arena::fd)
        .def_prop_ro("slots", [](const Arena& a) { return a.geometry().slots; })
        .def_prop_ro("rows", [](const Arena& a) { return a.geometry().rows; })
        .def_prop_ro(
            "frames", [](const Arena& a) { return a.geometry().frames; }, "Number of frame slots.")
        .def_prop_ro(
            "frame_slots_nbytes",
            [](const Arena& a) { return a.geometry().frames * a.offsets().frame_stride; },
            "Bytes of all frame slots.")
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
        .def("finish", &Arena::finish, "cell"_a, "worker"_a, "ok"_a,
             "Settle a claim as DONE or FAILED; False if the worker does not hold it.")
        .def("reissue", &Arena::reissue, "cell"_a, "dead"_a,
             "Make the ticket of a dead worker READY again; False if it does not hold it.")
        .def("free_frames", &Arena::free_frames, "dead"_a,
             "Free the areas of frame slots that a dead worker was filling; returns how many.")
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

    m.def(
        "read_files",
        [](nb::bytes folder, nb::list names) -> nb::object {
            constexpr std::size_t kAtOnce = 16;  // descriptors
            std::vector<const char*> each;
            for (nb::handle name : names) {
                const auto bytes = nb::cast<nb::bytes>(name);
                each.push_back(bytes.c_str());
                if (std::strlen(each.back()) != bytes.size())
                    throw nb::value_error("a name has a zero byte");
            }
            nb::list views;
            for (std::size_t i = 0; i < each.size(); i += kAtOnce)
                if (const auto failure = read_files(folder.c_str(), &each[i],
                                                    std::min(kAtOnce, each.size() - i), views))
                    return nb::make_tuple(i + failure->number, failure->error);
            return views;
        },
        nb::sig(
            "def read_files(folder: bytes, names: list[bytes]) -> list[memoryview] | tuple[int, "
            "int]"),
        "folder"_a, "names"_a,
        "Read files of a folder.\n\n"
        "If one cannot be read, returns its number and errno instead, 0 for an empty file.");

    m.def(
        "find_members",
        [](nb::bytes data, std::vector<std::size_t> starts, std::vector<std::size_t> lengths) {
            if (starts.size() != lengths.size())
                throw nb::value_error("starts and lengths must have one length");
            const auto* const bytes = reinterpret_cast<const std::uint8_t*>(data.c_str());
            const nb::object all = view_of(data);
            nb::list views;
            bool arrays = false;
            for (std::size_t i = 0; i < starts.size(); ++i) {
                const std::size_t start = starts[i], length = lengths[i];
                if (start < fastclips::tar::kBlock || start > data.size() ||
                    length > data.size() - start)
                    throw nb::index_error("no such member");
                const std::uint8_t* const member = bytes + start;
                if (length == 0 ||
                    !fastclips::tar::tells_size(member - fastclips::tar::kBlock, length))
                    break;
                arrays |= fastclips::is_npy(member, length);
                views.append(part(all, start, start + length));
            }
            return std::tuple(views, arrays);
        },
        nb::sig("def find_members(data: bytes, starts: list[int], lengths: list[int]) -> "
                "tuple[list[memoryview], bool]"),
        "data"_a, "starts"_a, "lengths"_a,
        "Views of a tar's members, and whether any of them is a .npy file.\n\n"
        "Ends before the first member that is empty, or whose header gives another size.");

    m.def(
        "jpeg_size",
        [](nb::object data) -> std::optional<std::tuple<std::uint32_t, std::uint32_t>> {
            const auto frame = fastclips::jpeg::parse(Buffer(data, PyBUF_SIMPLE).bytes());
            if (!frame) return std::nullopt;
            return std::tuple(frame->height, frame->width);
        },
        "data"_a, "Height and width of a JPEG with a usual header; None for other files.");

    nb::class_<RegionDecoder>(m, "RegionDecoder",
                              "Decodes boxes of JPEGs, one at a time. Not thread-safe; no file may "
                              "change during a call.")
        .def(nb::init<bool, bool>(), nb::kw_only(), "gray"_a, "fast_dct"_a)
        .def(
            "decode",
            [](RegionDecoder& self, nb::object data, nb::object output,
               std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t> box,
               std::uint32_t scale) -> nb::object {
                if (!fastclips::jpeg::is_scale(scale))
                    throw nb::value_error("scale must be 1, 2, 4 or 8");
                const Buffer file(data, PyBUF_SIMPLE), out(output, PyBUF_WRITABLE);
                const auto [top, left, bottom, right] = box;
                fastclips::jpeg::Region region;
                {
                    const Unlocked unlocked;
                    region = self.decode(file.bytes(), {top, left, bottom, right}, scale,
                                         out.data(), out.size());
                }
                switch (region.rung) {
                    case Rung::kDeclined:
                        return nb::none();
                    case Rung::kNoRoom:
                        return nb::int_(region.needed);
                    default:
                        return nb::make_tuple(static_cast<int>(region.rung), region.top,
                                              region.left, region.bottom - region.top,
                                              region.right - region.left, region.offset,
                                              region.stride);
                }
            },
            nb::sig("def decode(self, data: bytes | bytearray | memoryview, output: object, box: "
                    "tuple[int, int, int, int], scale: int) -> "
                    "tuple[int, int, int, int, int, int, int] | int | None"),
            "data"_a, "output"_a, "box"_a, "scale"_a,
            "Decode the pixels of (top, left, bottom, right), and some around them, to a "
            "buffer.\n\n"
            "Returns (rung, top, left, height, width, offset, stride): the `Rung`, at most WHOLE; "
            "offset and stride of the output in bytes, the rest in pixels of the scaled frame. If "
            "the output is too small, returns the bytes needed; if the file is unusual or "
            "damaged, None.")
        .def(
            "decode_crops",
            [](RegionDecoder& self, nb::list files, std::vector<std::uint32_t> rows, Size size,
               Box4 box, std::uint32_t scale, bool mirrored, bool bypass_cache, Rows output) {
                const Crop crop = crop_of(self.channels(), size, box, scale, mirrored, bypass_cache,
                                          output, rows);
                const Files given(files, rows.size());
                const std::vector<fastclips::jpeg::Bytes> bytes = given.bytes();
                std::string rungs(bytes.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::decode_crops(self, bytes, crop, rows, output.data(),
                                                  rungs.data());
                }
                return nb::bytes(rungs.data(), rungs.size());
            },
            nb::sig("def decode_crops(self, files: list[bytes | bytearray | memoryview], rows: "
                    "list[int], size: tuple[int, int], box: tuple[int, int, int, "
                    "int], scale: int, mirrored: bool, bypass_cache: bool, output: NDArray[numpy."
                    "uint8]) -> bytes"),
            "files"_a, "rows"_a, "size"_a, "box"_a, "scale"_a, "mirrored"_a, "bypass_cache"_a,
            "output"_a.noconvert(),
            "Decode the same box of several files into rows of an output, (rows, height, width, "
            "channels).\n\n"
            "Returns a byte for each file: the `Rung`, or more than WHOLE if the file has another "
            "size, is unusual or damaged; its row then holds anything.")
        .def(
            "share_crops",
            [](RegionDecoder& self, FrameArea& area, nb::list files, std::uint64_t video,
               std::vector<std::uint64_t> frames, std::vector<std::uint32_t> slots,
               std::vector<std::uint32_t> rows, Size size, Box4 box, std::uint32_t scale,
               bool mirrored, bool bypass_cache, Rows output) {
                const Crop crop = crop_of(self.channels(), size, box, scale, mirrored, bypass_cache,
                                          output, rows);
                check_pixels(area, self.channels());
                const auto shared = shared_of(video, frames, slots, rows);
                const Files given(files, rows.size());
                const std::vector<fastclips::jpeg::Bytes> bytes = given.bytes();
                std::string marks(bytes.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::share_crops(self, area, bytes, shared, crop, output.data(),
                                                 marks.data());
                }
                return nb::bytes(marks.data(), marks.size());
            },
            nb::sig("def share_crops(self, area: FrameArea, files: list[bytes | bytearray | "
                    "memoryview], video: int, frames: list[int], slots: list[int], rows: "
                    "list[int], size: tuple[int, int], box: tuple[int, int, int, "
                    "int], scale: int, mirrored: bool, bypass_cache: bool, output: NDArray[numpy."
                    "uint8]) -> bytes"),
            "area"_a, "files"_a, "video"_a, "frames"_a, "slots"_a, "rows"_a, "size"_a, "box"_a,
            "scale"_a, "mirrored"_a, "bypass_cache"_a, "output"_a.noconvert(),
            "Decode files whole into frame slots, and their box into rows of an output.\n\n"
            "Returns a byte for each file: HELD if it was copied from its slot, FILLED, or as "
            "`decode_crops`, where the slot belongs to another frame or worker.");

    nb::class_<FrameArea>(m, "FrameArea",
                          "One stream's area of all frame slots, as a worker sees it.")
        .def(nb::init<Arena&, std::uint32_t, std::uint64_t, std::uint64_t, std::uint32_t,
                      std::uint32_t, std::uint16_t>(),
             nb::keep_alive<1, 2>(), "arena"_a, nb::kw_only(), "area"_a, "offset"_a, "bytes"_a,
             "pixel"_a, "format"_a, "worker"_a)
        .def("set_number", &FrameArea::set_number, "number"_a,
             "Set the number of the ticket that is rendered.")
        .def("fits", &FrameArea::fits, "height"_a, "width"_a, "scale"_a,
             "Whether a frame of a size, decoded at a scale, has room.")
        .def(
            "look",
            [](const FrameArea& area, std::uint32_t slot, std::uint64_t video, std::uint64_t frame)
                -> std::optional<std::tuple<std::uint64_t, std::uint32_t, std::uint32_t,
                                            std::uint32_t, std::uint32_t, std::uint32_t>> {
                const auto kept = area.look(slot, {video, frame});
                if (!kept) return std::nullopt;
                return std::tuple(kept->word, kept->height, kept->width, kept->asked, kept->scale,
                                  kept->rung);
            },
            "slot"_a, "video"_a, "frame"_a,
            "(word, height, width, scale asked for, scale, rung) of a frame in a slot; None if the "
            "slot does not hold it.")
        .def("unchanged", &FrameArea::unchanged, "slot"_a, "word"_a,
             "Whether a slot holds what `look` has returned this word for.")
        .def(
            "pixels",
            [](nb::handle_t<FrameArea> self, std::uint32_t slot) {
                const FrameArea& area = nb::cast<const FrameArea&>(self);
                return Bytes(area.pixels(slot), {static_cast<std::size_t>(area.bytes())}, self);
            },
            "slot"_a, "The memory of a slot; write to it only after `claim`.")
        .def(
            "claim",
            [](FrameArea& area, std::uint32_t slot) -> std::optional<bool> {
                switch (area.claim(slot)) {
                    case FrameArea::Claim::kMine:
                        return true;
                    case FrameArea::Claim::kBusy:
                        return std::nullopt;
                    default:
                        return false;
                }
            },
            "slot"_a,
            "Take a slot to fill it: True; False if a later ticket has filled it; None if another "
            "worker fills it.")
        .def(
            "finish",
            [](FrameArea& area, std::uint32_t slot, std::uint64_t video, std::uint64_t frame,
               Size size, std::uint32_t asked, std::uint32_t scale, std::uint32_t rung) {
                area.finish(slot, {video, frame},
                            {0, std::get<0>(size), std::get<1>(size), asked, scale, rung});
            },
            "slot"_a, "video"_a, "frame"_a, "size"_a, "asked"_a, "scale"_a, "rung"_a,
            "Publish what was written to a claimed slot.")
        .def("abandon", &FrameArea::abandon, "slot"_a, "Give a claimed slot back, empty.")
        .def(
            "wait",
            [](const FrameArea& area, std::uint32_t slot, int timeout_ms) {
                area.wait(slot, fastclips::Clock::now() + std::chrono::milliseconds(timeout_ms));
            },
            "slot"_a, "timeout_ms"_a, nb::call_guard<Unlocked>(),
            "Wait while another worker fills a slot, but not longer.")
        .def(
            "copy_crops",
            [](FrameArea& area, std::uint64_t video, std::vector<std::uint64_t> frames,
               std::vector<std::uint32_t> slots, std::vector<std::uint32_t> rows, Size size,
               Box4 box, std::uint32_t scale, bool mirrored, bool bypass_cache, Rows output) {
                const auto channels = static_cast<std::uint32_t>(output.shape(3));
                const Crop crop =
                    crop_of(channels, size, box, scale, mirrored, bypass_cache, output, rows);
                check_pixels(area, channels);
                const auto shared = shared_of(video, frames, slots, rows);
                std::string marks(shared.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::copy_crops(area, shared, crop, output.data(), marks.data());
                }
                return nb::bytes(marks.data(), marks.size());
            },
            "video"_a, "frames"_a, "slots"_a, "rows"_a, "size"_a, "box"_a, "scale"_a, "mirrored"_a,
            "bypass_cache"_a, "output"_a.noconvert(),
            "Copy a box of frames from their slots into rows of an output.\n\n"
            "Returns a byte for each frame: HELD, or another one if the slot does not hold it; its "
            "row then holds anything.");

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

    m.def(
        "blur",
        [](Floats frame, std::vector<float> weights, Floats output) {
            if (weights.size() % 2 != 1) throw nb::value_error("weights must be odd in number");
            check_alike(frame, output);
            const Unlocked unlocked;
            fastclips::filters::blur(frame.data(), frame.shape(0), frame.shape(1), frame.shape(2),
                                     weights, output.data());
        },
        nb::sig("def blur(frame: NDArray[numpy.float32], weights: list[float], output: "
                "NDArray[numpy.float32]) -> None"),
        "frame"_a.noconvert(), "weights"_a, "output"_a.noconvert(),
        "Convolve a frame, (H, W, C), with symmetric weights, down and across.");
    m.def(
        "mix_channels",
        [](Floats frame, std::vector<float> matrix, Floats output) {
            if (matrix.size() != 9 || frame.shape(2) != 3)
                throw nb::value_error("the matrix must be 3 x 3, and the frame have 3 channels");
            check_alike(frame, output);
            const Unlocked unlocked;
            fastclips::filters::mix(frame.data(), matrix.data(), frame.size() / 3, output.data());
        },
        nb::sig("def mix_channels(frame: NDArray[numpy.float32], matrix: list[float], output: "
                "NDArray[numpy.float32]) -> None"),
        "frame"_a.noconvert(), "matrix"_a, "output"_a.noconvert(),
        "Make each channel a weighted sum of all; the matrix by rows, one for each result.");

    nb::enum_<Fill>(m, "Fill", "The pixels around a frame abcd.")
        .value("NEAREST", Fill::kNearest, "aa|abcd|dd")
        .value("REFLECT", Fill::kReflect, "ba|abcd|dc")
        .value("WRAP", Fill::kWrap, "cd|abcd|ab");

    m.attr("POINT_BITS") = fastclips::warp::kPointBits;
    m.def(
        "warp",
        [](nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::device::cpu> frame,
           std::tuple<std::int64_t, std::int64_t, std::int64_t> row,
           std::tuple<std::int64_t, std::int64_t, std::int64_t> column, Fill fill,
           nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu> output) {
            namespace warp = fastclips::warp;
            const auto size = [&](int axis) {
                return static_cast<std::int64_t>(frame.shape(axis));
            };
            if (output.shape(2) != frame.shape(2) || (size(2) != 1 && size(2) != 3))
                throw nb::value_error("frame and output must both have 1 or 3 channels");
            if (frame.size() == 0) throw nb::value_error("the frame is empty");
            if (frame.stride(1) != size(2) || frame.stride(2) != 1)
                throw nb::value_error("the pixels of a row must lie together");
            const warp::Picture from{frame.data(), size(0), size(1), frame.stride(0)};
            const auto line = [](const auto& given) {
                return warp::Line{std::get<0>(given), std::get<1>(given), std::get<2>(given)};
            };
            const auto height = static_cast<std::int64_t>(output.shape(0));
            const auto width = static_cast<std::int64_t>(output.shape(1));
            const Unlocked unlocked;
            const auto run = size(2) == 1 ? warp::run_rows<1> : warp::run_rows<3>;
            run(from, line(row), line(column), fill, output.data(), height, width);
        },
        nb::sig("def warp(frame: NDArray[numpy.uint8], row: tuple[int, int, int], column: "
                "tuple[int, int, int], fill: Fill, output: NDArray[numpy.uint8]) -> None"),
        "frame"_a.noconvert(), "row"_a, "column"_a, "fill"_a, "output"_a.noconvert(),
        "Resample a frame, (H, W, C), bilinearly into an output, (h, w, C); C is 1 or 3.\n\n"
        "`row` and `column` give the position in the frame of the output's pixels, from centre to "
        "centre, with POINT_BITS bits behind the point: the change with each row and with each "
        "column of the output, and the position of its first pixel.");

    m.def(
        "transcode",
        [](nb::bytes data, unsigned restart) {
            // One for each thread: the next frame uses its memory again.
            thread_local fastclips::Transcoder transcoder;
            fastclips::Transcoder::Result made;
            {
                const Unlocked unlocked;
                made = transcoder.run(reinterpret_cast<const std::uint8_t*>(data.c_str()),
                                      data.size(), restart);
            }
            if (made.data == nullptr) throw nb::value_error(made.error);
            return nb::bytes(reinterpret_cast<const char*>(made.data), made.size);
        },
        "data"_a, "restart"_a,
        "Write a JPEG as a baseline JPEG with a restart marker about every `restart` MCUs.");
}
