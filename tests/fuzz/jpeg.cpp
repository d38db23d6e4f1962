// The libFuzzer target. For arbitrary bytes, parsing, scanning, reading and decoding read and write
// nothing outside their buffers; decoded pixels are those that libjpeg-turbo alone makes of the
// file without a complaint; and a part equals the whole. README.md here says how to run it.
#include "../../native/dct_restore.h"
#include "../../native/dct_writer.h"
#include "../../native/shared_crops.h"
#include "../../native/transcode.h"
#include "pixels.h"

using fastclips::resample::Method;
using fastclips::resample::Stretch;

namespace {

void check_segments(Bytes file, const Frame& frame) {
    std::vector<std::uint32_t> starts;
    if (!find_segments(file, frame, starts)) return;
    for (std::size_t i = 1; i < starts.size(); ++i)
        demand(starts[i] >= starts[i - 1] + 2, "segments follow");
    demand(starts.back() <= file.size, "segments lie in the file");
    const Box all{0, 0, frame.height, frame.width};
    std::vector<std::uint8_t> header(frame.scan +
                                     kHeaderExtra);  // exactly, so that one byte more is found
    if (frame.simple)
        demand(write_header(file, frame, all, header.data()) <= header.size(), "a header has room");
}

// Crops, in memory of exactly their size, have the pixels of the region: mirrored or not, through
// the caches or past them. They are declined if the region is.
void check_crops(RegionDecoder& decoder, Bytes file, Crop crop,
                 const std::vector<std::uint8_t>& part) {
    const std::size_t pixel = crop.channels, row = crop.width_out * pixel;
    for (int mode = 0; mode < 4; ++mode) {
        crop.mirrored = (mode & 1) != 0;
        crop.bypass_cache = (mode & 2) != 0;
        std::vector<std::uint8_t> out(row * crop.height_out);
        char rung = 0;
        decode_crops(decoder, {file}, crop, {0}, out.data(), &rung);
        demand((rung == static_cast<char>(Rung::kDeclined)) == part.empty(), "crops are regions");
        for (std::size_t i = 0; i < part.size(); i += pixel) {
            const std::size_t x = i % row;
            const std::size_t from = crop.mirrored ? i - x + (row - pixel - x) : i;
            demand(std::equal(part.begin() + from, part.begin() + from + pixel, out.begin() + i),
                   "crops have a region's pixels");
        }
    }
}

// Crops that are stretched while they are decoded have the pixels of a region that is stretched
// afterwards; also those that are mirrored, with values of a table, and with channels first.
void check_stretched(RegionDecoder& decoder, Bytes file, Crop crop,
                     const std::vector<std::uint8_t>& part) {
    const std::size_t channels = crop.channels, row = crop.width_out * channels;
    const std::uint32_t height = 1 + crop.height_out * 7 % 61, width = 1 + crop.width_out * 5 % 83;
    Stretch stretch({crop.height_out, crop.width_out, height, width, crop.channels},
                    Method::kLinear, false);
    std::vector<std::uint8_t> plain(height * width * channels);
    for (std::uint32_t y = 0; y * row < part.size(); ++y) {
        const std::vector<std::uint8_t> from(part.begin() + y * row, part.begin() + (y + 1) * row);
        stretch.take(y, from.data(), [&](std::uint32_t to, auto make) {
            make(plain.data() + to * width * channels);
        });
    }
    std::vector<std::uint16_t> table(256 * channels);
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint16_t>(257 * i);
    crop.height_out = height, crop.width_out = width;
    for (int mode = 0; mode < 16; ++mode) {
        crop.mirrored = (mode & 1) != 0, crop.flipped = (mode & 2) != 0;
        crop.bypass_cache = (mode & 4) != 0;
        crop.planar = (mode & 8) != 0;
        const bool looks_up = mode % 3 == 0;
        crop.table = looks_up ? reinterpret_cast<const std::uint8_t*>(table.data()) : nullptr;
        crop.item = looks_up ? 2 : 1;
        std::vector<std::uint8_t> out(crop.bytes());
        char rung = 0;
        decode_crops(decoder, {file}, crop, {0}, out.data(), &rung);
        demand((rung == static_cast<char>(Rung::kDeclined)) == part.empty(), "as of crops");
        for (std::size_t i = 0; !part.empty() && i < plain.size(); ++i) {
            const std::size_t c = i % channels;
            std::size_t x = i / channels % width, y = i / channels / width;
            const std::uint8_t value = plain[i];
            if (crop.mirrored) x = width - 1 - x;
            if (crop.flipped) y = height - 1 - y;
            const std::size_t at =
                crop.planar ? (c * height + y) * width + x : (y * width + x) * channels + c;
            std::uint16_t found = out[at];
            if (looks_up) std::memcpy(&found, out.data() + 2 * at, 2);
            demand(found == (looks_up ? table[256 * c + value] : value), "stretched pixels");
        }
    }
}

// Crops that are warped have the pixels of a region that is warped afterwards.
void check_warped(RegionDecoder& decoder, Bytes file, Crop crop,
                  const std::vector<std::uint8_t>& part) {
    namespace warp = fastclips::warp;
    const std::int64_t one = std::int64_t{1} << warp::kPointBits;
    const std::int64_t height = crop.height_out, width = crop.width_out, channels = crop.channels;
    const warp::Picture picture{part.data(), height, width, width * channels};
    crop.warp =
        warp::Map{{one * 7 / 8, one / 5, -one * 2}, {-one / 5, one, one}, warp::Fill::kReflect};
    crop.height_out = 1 + crop.height_out * 7 % 61, crop.width_out = 1 + crop.width_out * 5 % 83;
    std::vector<std::uint8_t> out(crop.bytes()), expected(crop.bytes());
    char rung = 0;
    decode_crops(decoder, {file}, crop, {0}, out.data(), &rung);
    demand((rung == static_cast<char>(Rung::kDeclined)) == part.empty(), "warps are of regions");
    const auto run = channels == 1 ? warp::run_row<1> : warp::run_row<3>;
    for (std::uint32_t y = 0; !part.empty() && y < crop.height_out; ++y)
        run(picture, *crop.warp, y, expected.data() + y * crop.row(), crop.width_out);
    demand(part.empty() || out == expected, "warped pixels");
}

// Crops by way of a frame slot, whose memory is exactly that of a frame, have the same pixels.
void check_shared(RegionDecoder& decoder, Bytes file, const Crop& crop, std::size_t frame_bytes,
                  const std::vector<std::uint8_t>& part, const std::vector<std::uint8_t>& whole) {
    using fastclips::FrameArea;
    std::vector<fastclips::FrameHead> heads(1);
    std::vector<std::uint8_t> pixels(frame_bytes), out(2 * part.size());
    FrameArea area({heads.data(), pixels.data(), 1, 1, frame_bytes, frame_bytes}, 0, 0, frame_bytes,
                   crop.channels, 0, 1, std::nullopt);
    area.set_number(1);
    char marks[2];
    share_crops(decoder, area, {file, file}, {{{1, 2}, 0, 0}, {{1, 2}, 0, 1}}, crop, out.data(),
                marks);
    demand(marks[0] == (whole.empty() ? static_cast<char>(Rung::kDeclined) : kFilled),
           "a frame that decodes fills its slot");
    demand(marks[1] == (whole.empty() ? marks[0] : kHeld), "a frame in a slot is copied");
    if (whole.empty()) return;
    demand(pixels == whole, "a slot has the frame's pixels");
    for (std::size_t row = 0; row < 2; ++row)
        demand(std::equal(part.begin(), part.end(), out.begin() + row * part.size()),
               "shared crops have a region's pixels");
}

void check_pixels(Bytes file, const Frame& frame, const Question& question) {
    // Kept from file to file, as a worker does.
    static RegionDecoder decoders[] = {{false, false}, {false, true}, {true, false}, {true, true}};
    RegionDecoder& decoder = decoders[2 * question.gray + question.fast_dct];
    const std::uint32_t scale = question.scale;
    const auto up = [scale](std::uint32_t value) { return (value + scale - 1) / scale; };
    const Box box{question.box.top, question.box.left, std::min(question.box.bottom, frame.height),
                  std::min(question.box.right, frame.width)};
    const auto part = decode(decoder, file, question.box, scale);
    if (box.top >= box.bottom || box.left >= box.right) return demand(part.empty(), "no pixels");
    const std::uint32_t left = box.left / scale, right = up(box.right), top = box.top / scale;
    const std::size_t row = (right - left) * std::size_t{decoder.channels()};
    const std::uint32_t height = up(box.bottom) - top;
    Crop crop{frame.height, frame.width, box, scale, false, false, Method::kLinear, false, false};
    crop.height_out = height, crop.width_out = right - left, crop.channels = decoder.channels();
    check_crops(decoder, file, crop, part);
    check_stretched(decoder, file, crop, part);
    check_warped(decoder, file, crop, part);
    const auto whole = decode(decoder, file, {0, 0, frame.height, frame.width}, scale);
    if (!part.empty())
        check_shared(decoder, file, crop,
                     std::size_t{up(frame.height)} * up(frame.width) * decoder.channels(), part,
                     whole);
    if (whole.empty()) return;
    demand(whole == Plain().decode(file, question), "pixels are libjpeg-turbo's");
    const std::size_t width = up(frame.width) * std::size_t{decoder.channels()};
    for (std::size_t y = 0; y * row < part.size(); ++y)
        demand(std::equal(part.begin() + y * row, part.begin() + (y + 1) * row,
                          whole.begin() + (top + y) * width + left * decoder.channels()),
               "a part equals the whole");
}

// The file as a pack stores it has its markers in order, and can be sliced if it is simple.
void check_transcoded(Bytes file, std::uint32_t restart) {
    fastclips::Transcoder transcoder;
    const auto made = transcoder.run(file.data, file.size, restart);
    if (made.data == nullptr) return;
    std::vector<std::uint8_t> first(made.data, made.data + made.size);
    const auto frame = parse({first.data(), first.size()});
    demand(first[1] == kSoi && first[first.size() - 1] == kEoi, "what is made is a JPEG");
    if (frame && frame->simple) {
        demand(frame->interval == fastclips::restart_interval(frame->mcus_per_row(), restart),
               "the interval divides a row");
        std::vector<std::uint32_t> starts;
        demand(find_segments({first.data(), first.size()}, *frame, starts), "markers are in order");
    }
    const auto again = transcoder.run(first.data(), first.size(), restart);
    demand(again.data != nullptr && again.size == first.size() &&
               std::equal(first.begin(), first.end(), again.data),
           "transcoding again changes nothing");
}

// The dct frame of a file has its pixels and its coefficients.
void check_dct(Bytes file, const Frame& frame, const Question& question) {
    namespace dct = fastclips::dct;
    static dct::Writer writer;
    static dct::Restorer restorer;
    std::vector<std::uint8_t> made, plain, again;
    if (!writer.run(file, frame, made)) return;
    const Bytes packed{made.data(), made.size()};
    const auto header = dct::parse(packed);
    demand(header.has_value(), "what is made is a dct frame");
    RegionDecoder decoder(question.gray, question.fast_dct);
    const Box all{0, 0, frame.height, frame.width};
    // libjpeg-turbo complains of some headers, such as an odd version of JFIF's marker.
    const auto pixels = decode(decoder, file, all, question.scale);
    if (!pixels.empty()) {
        demand(pixels == decode(decoder, packed, all, question.scale),
               "a dct frame has the pixels of its file");
        demand(decode(decoder, file, question.box, question.scale) ==
                   decode(decoder, packed, question.box, question.scale),
               "so has a part of it");
    }
    demand(restorer.run(packed, *header, plain), "it can be written as a JPEG");
    const auto standard = parse({plain.data(), plain.size()});
    demand(standard && writer.run({plain.data(), plain.size()}, *standard, again) && again == made,
           "with the same coefficients");
    std::vector<std::uint32_t> starts;
    find_segments(file, frame, starts);
    std::vector<std::uint8_t> around(file.data, file.data + frame.scan);
    around.insert(around.end(), file.data + starts.back(), file.data + file.size);
    if (restorer.run(packed, *header, {around.data(), around.size()}, plain)) {
        const auto restored = parse({plain.data(), plain.size()});
        demand(
            restored && writer.run({plain.data(), plain.size()}, *restored, again) && again == made,
            "also with its own header");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < kQuestion) return 0;
    const Question question = ask(data);
    // A copy that ends where the file ends, so that the sanitizer notices one byte too far.
    const std::vector<std::uint8_t> copy(data + kQuestion, data + size);
    const Bytes file{copy.data(), copy.size()};
    const auto frame = parse(file);
    if (frame) {
        check_segments(file, *frame);
        if (std::uint64_t{frame->height} * frame->width <= kMost) {
            check_pixels(file, *frame, question);
            check_dct(file, *frame, question);
        }
    }
    check_transcoded(file, question.box.top % 64);
    return 0;
}
