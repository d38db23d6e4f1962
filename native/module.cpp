// The module: what concerns all of it. The files bind_*.cpp hold the rest of the border to Python:
// argument checks, release of the GIL, docstrings; and no logic.
#include <sys/prctl.h>

#include "bindings.h"
#include "frames.h"
#include "layout.h"
#include "region.h"
#include "shared_crops.h"

#define FASTCLIPS_QUOTED(text) #text
#define FASTCLIPS_TEXT(macro) FASTCLIPS_QUOTED(macro)

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

    m.def(
        "libjpeg_turbo", [] { return FASTCLIPS_TEXT(LIBJPEG_TURBO_VERSION); },
        "Return the version of the libjpeg-turbo that this module was built with.");

    bind_decoding(m);
    bind_dct(m);
    bind_arena(m);
    bind_files(m);
    bind_pixels(m);
}
