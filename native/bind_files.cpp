// Reading of files, and transcoding, in Python.
#include <cstring>

#include "bindings.h"
#include "frames.h"
#include "members.h"
#include "transcode.h"

using fastclips::OpenFiles;

namespace {

template <typename Item>
using Items = nb::ndarray<const Item, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A table of members, and the arrays that it refers to.
struct HeldTable {
    fastclips::tar::MemberTable table;
    std::vector<nb::object> arrays;
};

template <typename Item>
fastclips::tar::Column<Item> column_of(HeldTable& held, nb::handle array) {
    const auto items = nb::cast<Items<Item>>(array);
    held.arrays.push_back(nb::borrow(array));
    return {items.data(), items.shape(0)};
}

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

// Read files and add them to others; or return the first failure.
std::optional<OpenFiles::Failure> read_files(const char* folder, const char* const* names,
                                             std::size_t count, Files& read) {
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
    read.open_block(memory);
    for (std::size_t i = 0; i < count; ++i) read.add(files.start(i), files.size(i));
    return std::nullopt;
}

}  // namespace

void bind_files(nb::module_& m) {
    nb::class_<Files>(m, "Files", "The bytes of several files, read together: a sequence.")
        .def("__len__", [](const Files& files) { return files.bytes().size(); })
        .def(
            "__getitem__",
            [](const Files& files, std::size_t number) {
                if (number >= files.bytes().size()) throw nb::index_error("no such file");
                return files.view(number);
            },
            nb::sig("def __getitem__(self, number: int) -> memoryview"))
        .def(
            "__iter__",
            [](const Files& files) {
                nb::list views;
                for (std::size_t i = 0; i < files.bytes().size(); ++i) views.append(files.view(i));
                return nb::iter(views);
            },
            nb::sig("def __iter__(self) -> collections.abc.Iterator[memoryview]"))
        .def_prop_ro(
            "nbytes",
            [](const Files& files) {
                std::size_t all = 0;
                for (const auto& file : files.bytes()) all += file.size;
                return all;
            },
            "Bytes of all files.");

    nb::class_<fastclips::tar::Run>(
        m, "MemberRun", "Members of one tar that lie close together, and are read in one call.")
        .def_ro("shard", &fastclips::tar::Run::shard, "Number of the tar.")
        .def_ro("begin", &fastclips::tar::Run::begin,
                "First byte, of the first header, counted through all tars.")
        .def_ro("end", &fastclips::tar::Run::end, "End of the last member.")
        .def_prop_ro(
            "first", [](const fastclips::tar::Run& run) { return run.parts.front().start; },
            "Offset of the first member that was asked for, from `begin`.")
        .def(
            "cut",
            [](const fastclips::tar::Run& run, nb::object data) -> std::optional<Files> {
                const Buffer bytes(data, PyBUF_SIMPLE);
                if (!run.matches(bytes.data(), bytes.size())) return std::nullopt;
                Files files;
                files.open_block(data);
                for (const auto& part : run.parts) files.add(part.start, part.size);
                return files;
            },
            nb::sig("def cut(self, data: bytes | memoryview) -> Files | None"), "data"_a,
            "The members, in the run's bytes; None if a header gives another size, or a member is "
            "a .npy file.");

    nb::class_<HeldTable>(
        m, "MemberTable",
        "Where the members of one stream lie: the columns of `fastclips.data.pack_storage`.")
        .def(
            "__init__",
            [](HeldTable* self, std::vector<std::int64_t> ends, nb::object firsts,
               nb::object counts, nb::object begins, nb::object bases, nb::object blocks,
               nb::object lengths) {
                new (self) HeldTable{};
                self->table.ends = std::move(ends);
                self->table.firsts = column_of<std::int64_t>(*self, firsts);
                self->table.counts = column_of<std::int64_t>(*self, counts);
                self->table.begins = column_of<std::int64_t>(*self, begins);
                self->table.bases = column_of<std::int64_t>(*self, bases);
                self->table.blocks = column_of<std::uint32_t>(*self, blocks);
                self->table.lengths = column_of<std::uint32_t>(*self, lengths);
            },
            nb::sig("def __init__(self, ends: list[int], firsts: NDArray[numpy.int64], counts: "
                    "NDArray[numpy.int64], begins: NDArray[numpy.int64], bases: "
                    "NDArray[numpy.int64], blocks: NDArray[numpy.uint32], lengths: "
                    "NDArray[numpy.uint32]) -> None"),
            "ends"_a, "firsts"_a, "counts"_a, "begins"_a, "bases"_a, "blocks"_a, "lengths"_a)
        .def(
            "find",
            [](const HeldTable& held, std::uint64_t video, std::vector<std::int64_t> frames) {
                return held.table.find(video, frames);
            },
            nb::sig("def find(self, video: int, frames: list[int]) -> MemberRun | None"), "video"_a,
            "frames"_a,
            "The run of some frames of a video. None if they are not read in one call, a frame has "
            "no member, or there is no such frame.");

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
            Files files;
            for (std::size_t i = 0; i < each.size(); i += kAtOnce)
                if (const auto failure = read_files(folder.c_str(), &each[i],
                                                    std::min(kAtOnce, each.size() - i), files))
                    return nb::make_tuple(i + failure->number, failure->error);
            return nb::cast(std::move(files));
        },
        nb::sig("def read_files(folder: bytes, names: list[bytes]) -> Files | tuple[int, "
                "int]"),
        "folder"_a, "names"_a,
        "Read files of a folder.\n\n"
        "If one cannot be read, returns its number and errno instead, 0 for an empty file.");

    m.def(
        "find_members",
        [](nb::object data, std::vector<std::size_t> starts, std::vector<std::size_t> lengths) {
            if (starts.size() != lengths.size())
                throw nb::value_error("starts and lengths must have one length");
            const nb::object all = checked(PyMemoryView_FromObject(data.ptr()));
            const Py_buffer& memory = *PyMemoryView_GET_BUFFER(all.ptr());
            if (memory.ndim != 1 || memory.itemsize != 1 || !PyBuffer_IsContiguous(&memory, 'C'))
                throw nb::value_error("data must be contiguous bytes");
            const auto* const bytes = static_cast<const std::uint8_t*>(memory.buf);
            const auto size = static_cast<std::size_t>(memory.len);
            nb::list views;
            bool arrays = false;
            for (std::size_t i = 0; i < starts.size(); ++i) {
                const std::size_t start = starts[i], length = lengths[i];
                if (start < fastclips::tar::kBlock || start > size || length > size - start)
                    throw nb::index_error("no such member");
                const std::uint8_t* const member = bytes + start;
                if (length == 0 ||
                    !fastclips::tar::tells_size(member - fastclips::tar::kBlock, length))
                    break;
                arrays |= fastclips::is_npy(member, length);
                views.append(all[nb::slice(static_cast<Py_ssize_t>(start),
                                           static_cast<Py_ssize_t>(start + length))]);
            }
            return std::tuple(views, arrays);
        },
        nb::sig("def find_members(data: bytes | memoryview, starts: list[int], "
                "lengths: list[int]) -> tuple[list[memoryview], bool]"),
        "data"_a, "starts"_a, "lengths"_a,
        "Views of a tar's members, and whether any of them is a .npy file.\n\n"
        "Ends before the first member that is empty, or whose header gives another size.");

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
