// Decoding of JPEGs, also into frame slots, in Python.
#include <deque>

#include "bindings.h"
#include "crops.h"
#include "png.h"
#include "shared_crops.h"

using fastclips::FrameArea;
using fastclips::FrameKey;
using fastclips::FrameSlots;
using fastclips::jpeg::Crop;
using fastclips::jpeg::RegionDecoder;
using fastclips::jpeg::Rung;
using fastclips::resample::Method;
using fastclips::warp::Fill;
using Rows = nb::ndarray<nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Size = std::tuple<std::uint32_t, std::uint32_t>;
using Box4 = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;

namespace {

// Files that are given as `Files`, or one by one, held while this lives.
class Given {
  public:
    Given(nb::handle files, std::size_t count) {
        if (!nb::try_cast(files, held_)) {
            for (nb::handle file : files) {
                buffers_.emplace_back(file, PyBUF_SIMPLE);
                listed_.push_back(buffers_.back().bytes());
            }
        }
        if (bytes().size() != count) throw nb::value_error("files and rows must have one length");
    }
    const std::vector<fastclips::jpeg::Bytes>& bytes() const {
        return held_ != nullptr ? held_->bytes() : listed_;
    }

  private:
    const Files* held_ = nullptr;
    std::deque<Buffer> buffers_;
    std::vector<fastclips::jpeg::Bytes> listed_;
};

// Bytes of the values of an array of unsigned integers.
template <typename Array>
std::uint32_t item_of(const Array& array) {
    const auto dtype = array.dtype();
    if (dtype.code != static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt) || dtype.bits > 32)
        throw nb::type_error("output and table must be of uint8, uint16 or uint32");
    return dtype.bits / 8u;
}

// A crop, without the size of the output, and the memory of its table.
struct MadeCrop {
    Crop crop;
    std::optional<Table> table;
};

// The crop that rows of an output take.
Crop crop_of(const MadeCrop& made, std::uint32_t channels, const Rows& output,
             const std::vector<std::uint32_t>& rows) {
    Crop crop = made.crop;
    crop.item = item_of(output);
    const int first = crop.planar ? 2 : 1;
    crop.height_out = static_cast<std::uint32_t>(output.shape(first));
    crop.width_out = static_cast<std::uint32_t>(output.shape(first + 1));
    crop.channels = channels;
    if (output.shape(crop.planar ? 1 : 3) != channels)
        throw nb::value_error("output must have as many channels as the decoder");
    if (crop.warp && channels != 1 && channels != 3)
        throw nb::value_error("a warp takes 1 or 3 channels");
    if (made.table) {
        if (made.table->shape(0) != channels)
            throw nb::value_error("table must have as many channels as the decoder");
        if (item_of(*made.table) != crop.item)
            throw nb::type_error("output and table must have one type");
        crop.table = static_cast<const std::uint8_t*>(made.table->data());
    } else if (crop.item != 1) {
        throw nb::type_error("output must be of uint8 without a table");
    }
    for (const std::uint32_t row : rows)
        if (row >= output.shape(0)) throw nb::index_error("no such row");
    return crop;
}

std::uint8_t* bytes_of(const Rows& output) { return static_cast<std::uint8_t*>(output.data()); }

void check_pixels(const FrameArea& area, std::uint32_t channels) {
    if (area.pixel() != channels)
        throw nb::value_error("the area's pixels must have as many bytes as the output's");
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

// The pixels of an array, if it is a frame for a crop at scale 1: (H, W, C), or (H, W) of one
// channel.
std::optional<fastclips::jpeg::Pixels> pixels_of(nb::handle object, const Crop& crop) {
    nb::ndarray<const std::uint8_t, nb::device::cpu> frame;
    if (!nb::try_cast(object, frame, false) || frame.ndim() < 2 || frame.ndim() > 3)
        return std::nullopt;
    const std::size_t channels = frame.ndim() == 3 ? frame.shape(2) : 1;
    const auto together = static_cast<std::int64_t>(channels);
    if (frame.shape(0) != crop.height || frame.shape(1) != crop.width ||
        channels != crop.channels || (frame.shape(1) > 1 && frame.stride(1) != together) ||
        (channels > 1 && frame.stride(2) != 1))
        return std::nullopt;
    return fastclips::jpeg::Pixels{frame.data(), frame.stride(0)};
}

// Why a frame in the dct code cannot be read.
std::string text_of(fastclips::dct::Problem problem, fastclips::jpeg::Bytes file) {
    using fastclips::dct::Problem;
    switch (problem) {
        case Problem::kCutShort:
            return "it ends within its header";
        case Problem::kWrongChecksum:
            return "its checksum is wrong";
        case Problem::kOtherVersion:
            return "its version is " + std::to_string(file.data[fastclips::dct::kVersionAt]) +
                   ", but this fastclips reads version " +
                   std::to_string(fastclips::dct::kVersion) + ": update fastclips, or pack again";
        default:
            return "its header cannot be";
    }
}

}  // namespace

void bind_decoding(nb::module_& m) {
    nb::enum_<Rung>(m, "Rung", nb::is_arithmetic(),
                    "The ways a frame is decoded, cheapest first. All give the same pixels.")
        .value("SLICED", Rung::kSliced,
               "The blocks around the box of a JPEG, from the restart markers before them.")
        .value(
            "CROPPED", Rung::kCropped,
            "The blocks around the box of a JPEG; of the blocks before them, only code lengths and "
            "DC values are read.")
        .value("WHOLE", Rung::kWhole, "A whole JPEG, or usual PNG.")
        .value("PILLOW", Rung::kPillow, "A whole file of another format, by Pillow.")
        .value("ARRAY", Rung::kArray, "Nothing to decode: pixels were given.");

    nb::enum_<Method>(m, "Method", "How pixels are resampled.")
        .value("LINEAR", Method::kLinear, "As cv2.resize does with INTER_LINEAR, bit for bit.")
        .value("NEAREST", Method::kNearest, "The pixel in which the position lies.");

    nb::enum_<Fill>(m, "Fill", "The pixels around a frame abcd.")
        .value("NEAREST", Fill::kNearest, "aa|abcd|dd")
        .value("REFLECT", Fill::kReflect, "ba|abcd|dc")
        .value("WRAP", Fill::kWrap, "cd|abcd|ab");

    m.def(
        "jpeg_size",
        [](nb::object data) -> std::optional<std::tuple<std::uint32_t, std::uint32_t>> {
            const auto frame = fastclips::jpeg::parse(Buffer(data, PyBUF_SIMPLE).bytes());
            if (!frame) return std::nullopt;
            return std::tuple(frame->height, frame->width);
        },
        "data"_a, "Height and width of a JPEG with a usual header; None for other files.");

    m.attr("DCT_MAGIC") = nb::bytes(fastclips::dct::kMagic.data(), fastclips::dct::kMagic.size());
    m.def(
        "dct_size",
        [](nb::object data) {
            const Buffer file(data, PyBUF_SIMPLE);
            fastclips::jpeg::Frame frame;
            const auto problem = fastclips::dct::parse(file.bytes(), frame);
            if (problem != fastclips::dct::Problem::kNone)
                throw nb::value_error(text_of(problem, file.bytes()).c_str());
            return std::tuple(frame.height, frame.width);
        },
        "data"_a,
        "Height and width of a dct frame, once its checksum is verified; ValueError if it is "
        "damaged.");

    nb::class_<MadeCrop>(
        m, "Crop",
        "The same box of frames of one size, and how it is written to rows of an output.")
        .def(
            "__init__",
            [](MadeCrop* self, Size size, Box4 box, std::uint32_t scale, bool mirrored,
               bool flipped, Method method, std::optional<Table> table, bool channels_first,
               bool bypass_cache, std::optional<Map3> warp) {
                if (!fastclips::jpeg::is_scale(scale))
                    throw nb::value_error("scale must be 1, 2, 4 or 8");
                if (table && table->shape(1) != 256)
                    throw nb::value_error("table must have 256 values for each channel");
                const auto [height, width] = size;
                const auto [top, left, bottom, right] = box;
                const Crop crop{height, width,          {top, left, bottom, right},
                                scale,  mirrored,       flipped,
                                method, channels_first, bypass_cache};
                new (self) MadeCrop{crop, std::move(table)};
                if (warp) self->crop.warp = map_of(*warp);
            },
            nb::sig(
                "def __init__(self, size: tuple[int, int], box: tuple[int, int, int, int], "
                "scale: int = 1, *, mirrored: bool = False, flipped: bool = False, method: "
                "Method = ..., table: NDArray[typing.Any] | None = None, channels_first: bool = "
                "False, bypass_cache: bool = False, warp: tuple[tuple[int, int, int], "
                "tuple[int, int, int], Fill] | None = None) -> None"),
            "size"_a, "box"_a, "scale"_a = 1, nb::kw_only(), "mirrored"_a = false,
            "flipped"_a = false, "method"_a = Method::kLinear, "table"_a.noconvert() = nb::none(),
            "channels_first"_a = false, "bypass_cache"_a = false, "warp"_a = nb::none(),
            "A box of another size than the output's rows is resampled by the method. `mirrored` "
            "reverses left and right, `flipped` top and bottom. `table`, (channels, 256), has the "
            "value for each byte of each channel. `warp` has `row`, `column` and `fill` of "
            "`fastclips._native.warp`, from pixels of the box.");

    nb::class_<RegionDecoder>(
        m, "RegionDecoder",
        "Decodes boxes of JPEGs and dct frames, one at a time. Not thread-safe; no file may "
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
            [](RegionDecoder& self, nb::object files, std::vector<std::uint32_t> rows,
               const MadeCrop& made, Rows output) {
                const Crop crop = crop_of(made, self.channels(), output, rows);
                const Given given(files, rows.size());
                const std::vector<fastclips::jpeg::Bytes>& bytes = given.bytes();
                std::string rungs(bytes.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::decode_crops(self, bytes, crop, rows, bytes_of(output),
                                                  rungs.data());
                }
                return nb::bytes(rungs.data(), rungs.size());
            },
            nb::sig(
                "def decode_crops(self, files: Files | list[bytes | bytearray | memoryview], rows: "
                "list[int], crop: Crop, output: NDArray[typing.Any]) -> bytes"),
            "files"_a, "rows"_a, "crop"_a, "output"_a.noconvert(),
            "Decode the same box of several files into rows of an output, (rows, height, width, "
            "channels).\n\n"
            "Returns a byte for each file: the `Rung`, or more than WHOLE if the file has another "
            "size, is unusual or damaged; its row then holds anything.")
        .def(
            "share_crops",
            [](RegionDecoder& self, FrameArea& area, nb::object files, std::uint64_t video,
               std::vector<std::uint64_t> frames, std::vector<std::uint32_t> slots,
               std::vector<std::uint32_t> rows, const MadeCrop& made, Rows output) {
                const Crop crop = crop_of(made, self.channels(), output, rows);
                check_pixels(area, self.channels());
                const auto shared = shared_of(video, frames, slots, rows);
                const Given given(files, rows.size());
                const std::vector<fastclips::jpeg::Bytes>& bytes = given.bytes();
                std::string marks(bytes.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::share_crops(self, area, bytes, shared, crop, bytes_of(output),
                                                 marks.data());
                }
                return nb::bytes(marks.data(), marks.size());
            },
            nb::sig(
                "def share_crops(self, area: FrameArea, files: Files | list[bytes | bytearray | "
                "memoryview], video: int, frames: list[int], slots: list[int], rows: "
                "list[int], crop: Crop, output: NDArray[typing.Any]) -> bytes"),
            "area"_a, "files"_a, "video"_a, "frames"_a, "slots"_a, "rows"_a, "crop"_a,
            "output"_a.noconvert(),
            "Decode files whole into frame slots, and their box into rows of an output.\n\n"
            "Returns a byte for each file: HELD if it was copied from its slot, FILLED, or as "
            "`decode_crops`, where the slot belongs to another frame or worker.");

    nb::class_<fastclips::png::Decoder>(
        m, "PngDecoder", "Decodes usual PNG files into memory that each call uses again.")
        .def(nb::init<>())
        .def(
            "decode",
            [](fastclips::png::Decoder& decoder, nb::object data, Picture output, bool indices) {
                const Buffer file(data, PyBUF_SIMPLE);
                if (output.shape(0) > UINT32_MAX || output.shape(1) > UINT32_MAX ||
                    output.size() == 0 || (output.shape(2) != 1 && output.shape(2) != 3))
                    throw nb::value_error("output must be (H, W, 1) or (H, W, 3), and not empty");
                const auto axis = [&](std::size_t of) {
                    return static_cast<std::uint32_t>(output.shape(of));
                };
                const Unlocked unlocked;
                return decoder.decode(file.data(), file.size(),
                                      {axis(0), axis(1), axis(2), indices}, output.data());
            },
            nb::sig("def decode(self, data: bytes | bytearray | memoryview, output: "
                    "NDArray[numpy.uint8], indices: bool) -> bool"),
            "data"_a, "output"_a.noconvert(), "indices"_a,
            "Write the pixels of a file to an output, (H, W, C), of its size.\n\n"
            "`indices`: those of a palette are taken as pixels, too. Returns False if the file is "
            "unusual or damaged, which is left to Pillow; the output then holds anything.");

    m.def(
        "write_crops",
        [](nb::list frames, std::vector<std::uint32_t> rows, const MadeCrop& made, Rows output) {
            const auto channels = output.shape(made.crop.planar ? 1 : 3);
            const Crop crop = crop_of(made, static_cast<std::uint32_t>(channels), output, rows);
            if (crop.scale != 1) throw nb::value_error("scale must be 1");
            if (frames.size() != rows.size())
                throw nb::value_error("frames and rows must have one length");
            std::vector<std::optional<fastclips::jpeg::Pixels>> pixels;
            for (nb::handle frame : frames)
                pixels.push_back(crop.fits() ? pixels_of(frame, crop) : std::nullopt);
            std::string rungs(rows.size(), static_cast<char>(Rung::kDeclined));
            {
                const Unlocked unlocked;
                fastclips::jpeg::write_crops(pixels, crop, rows, bytes_of(output), rungs.data());
            }
            return nb::bytes(rungs.data(), rungs.size());
        },
        nb::sig("def write_crops(frames: list[NDArray[typing.Any]], rows: list[int], crop: Crop, "
                "output: "
                "NDArray[typing.Any]) -> bytes"),
        "frames"_a, "rows"_a, "crop"_a, "output"_a.noconvert(),
        "Write the same box of frames of pixels into rows of an output.\n\n"
        "Returns a byte for each frame: ARRAY, or another one if it has not the crop's size and "
        "the output's channels, is not of uint8, or the pixels of a row do not lie together.");

    nb::class_<FrameArea>(m, "FrameArea",
                          "One stream's area of all frame slots, as a worker sees it.")
        .def(
            "__init__",
            [](FrameArea* self, FrameSlots& slots, std::uint32_t area, std::uint64_t offset,
               std::uint64_t bytes, std::uint32_t pixel, std::uint32_t format, std::uint16_t worker,
               std::optional<std::uint64_t> loader) {
                new (self)
                    FrameArea(slots.memory(), area, offset, bytes, pixel, format, worker, loader);
            },
            nb::keep_alive<1, 2>(), "slots"_a, nb::kw_only(), "area"_a, "offset"_a, "bytes"_a,
            "pixel"_a, "format"_a, "worker"_a, "loader"_a = nb::none())
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
            "Take a slot to fill it: True; False if it is not to be changed; None if another "
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
               std::vector<std::uint32_t> slots, std::vector<std::uint32_t> rows,
               const MadeCrop& made, Rows output) {
                const Crop crop = crop_of(made, area.pixel(), output, rows);
                const auto shared = shared_of(video, frames, slots, rows);
                std::string marks(shared.size(), 0);
                {
                    const Unlocked unlocked;
                    fastclips::jpeg::copy_crops(area, shared, crop, bytes_of(output), marks.data());
                }
                return nb::bytes(marks.data(), marks.size());
            },
            nb::sig("def copy_crops(self, video: int, frames: list[int], slots: list[int], rows: "
                    "list[int], crop: Crop, output: NDArray[typing.Any]) -> bytes"),
            "video"_a, "frames"_a, "slots"_a, "rows"_a, "crop"_a, "output"_a.noconvert(),
            "Copy a box of frames from their slots into rows of an output.\n\n"
            "Returns a byte for each frame: HELD, or another one if the slot does not hold it; its "
            "row then holds anything.");
}
