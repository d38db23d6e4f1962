// What the files of the border to Python share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "unlocked.h"

namespace nb = nanobind;
using namespace nb::literals;
using fastclips::Unlocked;
using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig>;

// Each adds a part of the module.
void bind_arena(nb::module_& m);
void bind_files(nb::module_& m);
void bind_decoding(nb::module_& m);
void bind_dct(nb::module_& m);
void bind_pixels(nb::module_& m);
