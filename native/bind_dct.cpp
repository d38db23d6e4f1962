// Frames in the dct code, in Python.
#include "bindings.h"
#include "dct_restore.h"
#include "dct_writer.h"

namespace {

fastclips::jpeg::Bytes bytes_of(const nb::bytes& data) {
    return {reinterpret_cast<const std::uint8_t*>(data.c_str()), data.size()};
}

}  // namespace

void bind_dct(nb::module_& m) {
    m.def(
        "to_dct",
        [](nb::bytes data, bool usual) -> nb::object {
            // One for each thread: the next frame uses its memory again.
            thread_local fastclips::dct::Writer writer;
            thread_local std::vector<std::uint8_t> made;
            const auto file = bytes_of(data);
            bool fits = false;
            {
                const Unlocked unlocked;
                const auto frame = fastclips::jpeg::parse(file);
                fits = frame && writer.run(file, *frame, made) && (!usual || writer.is_usual());
            }
            if (!fits) return nb::none();
            return nb::bytes(made.data(), made.size());
        },
        nb::sig("def to_dct(data: bytes, usual: bool = False) -> bytes | None"), "data"_a,
        "usual"_a = false,
        "A dct frame of the coefficients of a JPEG; None if the JPEG is unusual or damaged, or "
        "they do not fit.\n\n"
        "With `usual`, also None if `transcode` might refuse the JPEG.");

    m.def(
        "from_dct",
        [](nb::bytes data, std::optional<nb::bytes> around) {
            thread_local fastclips::dct::Restorer restorer;
            thread_local std::vector<std::uint8_t> made;
            const auto file = bytes_of(data);
            bool good = false;
            {
                const Unlocked unlocked;
                const auto frame = fastclips::dct::parse(file);
                good = frame && (around ? restorer.run(file, *frame, bytes_of(*around), made)
                                        : restorer.run(file, *frame, made));
            }
            if (!good) throw nb::value_error("the frame is damaged, or does not fit its header");
            return nb::bytes(made.data(), made.size());
        },
        "data"_a, "around"_a = nb::none(),
        "A JPEG of the coefficients of a dct frame.\n\n"
        "`around` is the JPEG without its scan, as `around_scan` returns it; without it, the file "
        "has the standard Huffman tables.");

    m.def(
        "around_scan",
        [](nb::bytes data) -> nb::object {
            const auto file = bytes_of(data);
            const auto frame = fastclips::jpeg::parse(file);
            std::vector<std::uint32_t> starts;
            if (!frame || !frame->simple || !fastclips::jpeg::find_segments(file, *frame, starts))
                return nb::none();
            std::string around(data.c_str(), frame->scan);
            around.append(data.c_str() + starts.back(), file.size - starts.back());
            return nb::bytes(around.data(), around.size());
        },
        nb::sig("def around_scan(data: bytes) -> bytes | None"), "data"_a,
        "What a JPEG has before its scan and behind it; None if it is no usual JPEG.");
}
