// Reading of files, and transcoding, in Python.
#include <cstring>

#include "bindings.h"
#include "frames.h"
#include "transcode.h"

using fastclips::OpenFiles;

namespace {

// A part of a memoryview.
nb::object part(nb::handle view, std::size_t begin, std::size_t end) {
    return view[nb::slice(static_cast<Py_ssize_t>(begin), static_cast<Py_ssize_t>(end))];
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

void bind_files(nb::module_& m) {
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
        [](nb::object data, std::vector<std::size_t> starts, std::vector<std::size_t> lengths) {
            if (starts.size() != lengths.size())
                throw nb::value_error("starts and lengths must have one length");
            const nb::object all = view_of(data);
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
                views.append(part(all, start, start + length));
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
