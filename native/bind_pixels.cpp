// Filters and warps of pixels, in Python.
#include "bindings.h"
#include "filters.h"
#include "hsv.h"
#include "resample.h"
#include "shrink.h"
#include "stretch_floats.h"
#include "warp.h"

using fastclips::resample::Method;
using fastclips::warp::Fill;
using Table = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

namespace {

using Frame = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::device::cpu>;
using Frame8 = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

void check_rows(const Frame& frame) {
    const auto channels = static_cast<std::int64_t>(frame.shape(2));
    if ((frame.stride(1) != channels && frame.shape(1) > 1) ||
        (frame.stride(2) != 1 && channels > 1))
        throw nb::value_error("the pixels of a row must lie together");
}

void check_alike(const Floats& frame, const Floats& output) {
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (frame.shape(axis) != output.shape(axis))
            throw nb::value_error("frame and output must have one shape");
    if (frame.size() == 0) throw nb::value_error("the frame is empty");
    if (frame.data() == output.data()) throw nb::value_error("the frame cannot be the output");
}

template <typename Output>
fastclips::resample::Sizes sizes_of(const Frame& frame, const Output& output) {
    const auto size = [](const auto& array, std::size_t axis) {
        if (array.shape(axis) > UINT32_MAX) throw nb::value_error("an axis is too long");
        return static_cast<std::uint32_t>(array.shape(axis));
    };
    if (output.shape(2) != frame.shape(2))
        throw nb::value_error("frame and output must have the same channels");
    if (frame.size() == 0 || output.size() == 0)
        throw nb::value_error("the frame or the output is empty");
    check_rows(frame);
    return {size(frame, 0), size(frame, 1), size(output, 0), size(output, 1), size(frame, 2)};
}

void check_colours(const Floats& frame) {
    if (frame.shape(2) != 3) throw nb::value_error("the frame must have 3 channels");
}

template <typename Float>
void raise_to(nb::ndarray<Float, nb::c_contig, nb::device::cpu> values, Float exponent) {
    const Unlocked unlocked;
    fastclips::filters::raise(values.data(), values.size(), exponent);
}

}  // namespace

void bind_pixels(nb::module_& m) {
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
    m.def(
        "rotate_hue",
        [](Floats frame, float degrees) {
            check_colours(frame);
            const Unlocked unlocked;
            fastclips::hsv::rotate_hue(frame.data(), frame.shape(0), frame.shape(1), degrees);
        },
        nb::sig("def rotate_hue(frame: NDArray[numpy.float32], degrees: float) -> None"),
        "frame"_a.noconvert(), "degrees"_a,
        "Turn the hue of a frame, (H, W, 3), in place, by 0 to 360 degrees.");
    m.def(
        "raise_saturation_value",
        [](Floats frame, float saturation, float value) {
            check_colours(frame);
            const Unlocked unlocked;
            fastclips::hsv::raise(frame.data(), frame.shape(0), frame.shape(1), saturation, value);
        },
        nb::sig("def raise_saturation_value(frame: NDArray[numpy.float32], saturation: float, "
                "value: float) -> None"),
        "frame"_a.noconvert(), "saturation"_a, "value"_a,
        "Raise saturation and value of a frame, (H, W, 3) of 0 to 255, to powers, in place.");
    const char* const raised =
        "Raise float32 or float64 values, C-contiguous, to a power by the C library, in place.";
    m.def("raise_to", raise_to<float>,
          nb::sig("def raise_to(values: NDArray[numpy.float32], exponent: float) -> None"),
          "values"_a.noconvert(), "exponent"_a, raised);
    m.def("raise_to", raise_to<double>,
          nb::sig("def raise_to(values: NDArray[numpy.float64], exponent: float) -> None"),
          "values"_a.noconvert(), "exponent"_a, raised);
    m.def(
        "find_moments",
        [](Floats frame) {
            if (frame.size() == 0) throw nb::value_error("the frame is empty");
            const Unlocked unlocked;
            const auto found = fastclips::filters::find_moments(frame.data(), frame.size());
            return std::tuple(found.mean, found.deviation);
        },
        nb::sig("def find_moments(frame: NDArray[numpy.float32]) -> tuple[float, float]"),
        "frame"_a.noconvert(),
        "Return mean and standard deviation of all values of a frame, (H, W, C), summed in order.");
    m.def(
        "multiply",
        [](Table rows, Table matrix, Table output) {
            const std::size_t size = rows.shape(1);
            if (matrix.shape(0) != size || matrix.shape(1) != size)
                throw nb::value_error("the matrix must be square, of the length of a row");
            if (output.shape(0) != rows.shape(0) || output.shape(1) != size)
                throw nb::value_error("rows and output must have one shape");
            if (rows.size() != 0 &&
                (output.data() == rows.data() || output.data() == matrix.data()))
                throw nb::value_error("rows and matrix cannot be the output");
            const Unlocked unlocked;
            fastclips::filters::multiply(rows.data(), matrix.data(), rows.shape(0), size,
                                         output.data());
        },
        nb::sig("def multiply(rows: NDArray[numpy.float32], matrix: NDArray[numpy.float32], "
                "output: NDArray[numpy.float32]) -> None"),
        "rows"_a.noconvert(), "matrix"_a.noconvert(), "output"_a.noconvert(),
        "Multiply rows, (T, n), by a matrix, (n, n), each sum in one order.");

    m.def(
        "shrink",
        [](Frame frame, Frame8 output) {
            const auto sizes = sizes_of(frame, output);
            if (sizes.height_out > sizes.height || sizes.width_out > sizes.width)
                throw nb::value_error("the output is larger than the frame");
            const Unlocked unlocked;
            fastclips::shrinking::shrink(sizes, frame.data(), frame.stride(0), output.data());
        },
        nb::sig("def shrink(frame: NDArray[numpy.uint8], output: NDArray[numpy.uint8]) -> None"),
        "frame"_a.noconvert(), "output"_a.noconvert(),
        "Shrink a frame, (H, W, C), to the size of an output, (h, w, C), by means of areas.");
    m.def(
        "stretch",
        [](Frame frame, bool mirrored, bool flipped, Method method, Frame8 output) {
            const auto sizes = sizes_of(frame, output);
            const std::size_t row = std::size_t{sizes.width_out} * sizes.channels;
            const Unlocked unlocked;
            fastclips::resample::Stretch stretch(sizes, method, mirrored);
            for (std::uint32_t y = 0; y < sizes.height; ++y)
                stretch.take(
                    y, frame.data() + y * frame.stride(0), [&](std::uint32_t to, const auto& make) {
                        make(output.data() + (flipped ? sizes.height_out - 1 - to : to) * row);
                    });
        },
        nb::sig("def stretch(frame: NDArray[numpy.uint8], mirrored: bool, flipped: bool, method: "
                "Method, output: NDArray[numpy.uint8]) -> None"),
        "frame"_a.noconvert(), "mirrored"_a, "flipped"_a, "method"_a, "output"_a.noconvert(),
        "Resample a frame, (H, W, C), to the size of an output, (h, w, C).\n\n"
        "`mirrored` reverses left and right of the output, `flipped` top and bottom.");

    m.def(
        "stretch_floats",
        [](Frame frame, Floats output) {
            const auto sizes = sizes_of(frame, output);
            const Unlocked unlocked;
            fastclips::resample::stretch_floats(sizes, frame.data(), frame.stride(0),
                                                output.data());
        },
        nb::sig("def stretch_floats(frame: NDArray[numpy.uint8], output: NDArray[numpy.float32]) "
                "-> None"),
        "frame"_a.noconvert(), "output"_a.noconvert(),
        "Resample a frame, (H, W, C), bilinearly to the size of an output, (h, w, C), unrounded.");

    m.attr("POINT_BITS") = fastclips::warp::kPointBits;
    m.def(
        "warp",
        [](Frame frame, Line3 row, Line3 column, Fill fill, Frame8 output) {
            namespace warp = fastclips::warp;
            const auto size = [&](int axis) {
                return static_cast<std::int64_t>(frame.shape(axis));
            };
            if (output.shape(2) != frame.shape(2) || (size(2) != 1 && size(2) != 3))
                throw nb::value_error("frame and output must both have 1 or 3 channels");
            if (frame.size() == 0) throw nb::value_error("the frame is empty");
            check_rows(frame);
            const warp::Picture from{frame.data(), size(0), size(1), frame.stride(0)};
            const auto width = static_cast<std::int64_t>(output.shape(1));
            const warp::Map map = map_of({row, column, fill});
            const Unlocked unlocked;
            const auto run = size(2) == 1 ? warp::run_row<1> : warp::run_row<3>;
            for (std::size_t y = 0; y < output.shape(0); ++y)
                run(from, map, static_cast<std::int64_t>(y),
                    output.data() + y * output.shape(1) * output.shape(2), width);
        },
        nb::sig("def warp(frame: NDArray[numpy.uint8], row: tuple[int, int, int], column: "
                "tuple[int, int, int], fill: Fill, output: NDArray[numpy.uint8]) -> None"),
        "frame"_a.noconvert(), "row"_a, "column"_a, "fill"_a, "output"_a.noconvert(),
        "Resample a frame, (H, W, C), bilinearly into an output, (h, w, C); C is 1 or 3.\n\n"
        "`row` and `column` give the position in the frame of the output's pixels, from centre to "
        "centre, with POINT_BITS bits behind the point: the change with each row and with each "
        "column of the output, and the position of its first pixel.");
}
