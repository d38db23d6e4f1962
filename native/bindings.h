// What the files of the border to Python share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "jpeg.h"
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

inline nb::object checked(PyObject* made) {
    if (made == nullptr) throw nb::python_error();
    return nb::steal(made);
}

// Several files, in a few blocks of memory: a view of one is made when Python asks for it.
class Files {
  public:
    // The files of a block, which begin at `starts`, are added next.
    void open_block(nb::handle object) {
        views_.push_back(checked(PyMemoryView_FromObject(object.ptr())));
        block_ =
            static_cast<const std::uint8_t*>(PyMemoryView_GET_BUFFER(views_.back().ptr())->buf);
    }
    void add(std::size_t start, std::size_t size) {
        files_.push_back({block_ + start, size});
        places_.push_back({views_.size() - 1, start});
    }
    const std::vector<fastclips::jpeg::Bytes>& bytes() const { return files_; }
    nb::object view(std::size_t i) const {
        const auto start = static_cast<Py_ssize_t>(places_[i].second);
        const auto end = start + static_cast<Py_ssize_t>(files_[i].size);
        return views_[places_[i].first][nb::slice(start, end)];
    }

  private:
    std::vector<nb::object> views_;
    const std::uint8_t* block_ = nullptr;
    std::vector<fastclips::jpeg::Bytes> files_;
    std::vector<std::pair<std::size_t, std::size_t>> places_;  // block, and offset there
};

// Each adds a part of the module.
void bind_arena(nb::module_& m);
void bind_files(nb::module_& m);
void bind_decoding(nb::module_& m);
void bind_dct(nb::module_& m);
void bind_pixels(nb::module_& m);
