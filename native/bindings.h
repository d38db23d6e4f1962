// What the files of the border to Python share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "unlocked.h"
#include "warp.h"

namespace nb = nanobind;
using namespace nb::literals;
using fastclips::Unlocked;
using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig>;

// The map of a warp: the lines of the row and of the column, and the pixels outside the frame.
using Line3 = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
using Map3 = std::tuple<Line3, Line3, fastclips::warp::Fill>;

inline fastclips::warp::Map map_of(const Map3& given) {
    const auto line = [](const Line3& of) {
        return fastclips::warp::Line{std::get<0>(of), std::get<1>(of), std::get<2>(of)};
    };
    const auto& [row, column, fill] = given;
    return {line(row), line(column), fill};
}

// Each adds a part of the module.
void bind_arena(nb::module_& m);
void bind_files(nb::module_& m);
void bind_decoding(nb::module_& m);
void bind_dct(nb::module_& m);
void bind_pixels(nb::module_& m);
