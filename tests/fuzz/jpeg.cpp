// libFuzzer's target: whatever bytes there are, parsing, scanning, slicing, cropping and decoding
// read and write nothing outside their buffers, and what is made is a JPEG of the size that was
// asked for. README.md here says how to run it.
#include <cstdio>
#include <cstdlib>

#include "../../native/region.h"
#include "../../native/transcode.h"

using namespace fastclips::jpeg;

namespace {

void demand(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// The first bytes of an input choose what is asked for, the rest is the file.
struct Question {
    Box box;
    std::uint32_t scale;
    bool gray, fast_dct;
};
constexpr std::size_t kQuestion = 9;

Question ask(const std::uint8_t* data) {
    const auto two = [data](int at) {
        return static_cast<std::uint32_t>(data[at] | data[at + 1] << 8);
    };
    return {{two(0), two(2), two(4), two(6)},
            1u << (data[8] & 3),
            (data[8] & 4) != 0,
            (data[8] & 8) != 0};
}

// A small JPEG that was made of a large one.
void check_small(Bytes small, const Frame& frame, Box held) {
    const auto again = parse(small);
    demand(again && again->simple, "a part is a JPEG of the same kind");
    demand(again->height == held.bottom - held.top && again->width == held.right - held.left,
           "a part has the size of its box");
    demand(again->mcu_height == frame.mcu_height && again->mcu_width == frame.mcu_width,
           "a part has its file's subsampling");
    std::vector<std::uint32_t> starts;
    demand(find_segments(small, *again, starts), "a part has the markers that it calls for");
}

void check_parts(Bytes file, const Frame& frame, Box box) {
    std::vector<std::uint32_t> starts;
    if (!frame.simple || !find_segments(file, frame, starts)) return;
    for (std::size_t i = 1; i < starts.size(); ++i)
        demand(starts[i] >= starts[i - 1] + 2, "segments follow");
    demand(starts.back() <= file.size, "segments lie in the file");
    box.bottom = std::min(box.bottom, frame.height);
    box.right = std::min(box.right, frame.width);
    if (box.top >= box.bottom || box.left >= box.right) return;
    const auto covers = [&frame, box](Box held) {
        demand(held.top <= box.top && held.left <= box.left && held.bottom >= box.bottom &&
                   held.right >= box.right && held.bottom <= frame.height &&
                   held.right <= frame.width,
               "pieces cover the box");
        return held;
    };
    if (can_slice(frame)) {
        const Box held = covers(Grid(frame).around(frame, box));
        std::vector<std::uint8_t> out(file.size);  // exactly, so that a byte more is found
        const std::size_t size = slice(file, frame, starts, held, out.data());
        demand(size <= out.size(), "a slice is no larger than its file");
        check_small({out.data(), size}, frame, held);
    }
    const Box held = covers(Grid(frame.mcu_height, frame.mcu_width).around(frame, box));
    Cropper cropper;
    if (const auto small = cropper.crop(file, frame, starts, held))
        check_small(*small, frame, held);
}

// The same file as a pack has it: with markers where they belong, and to be sliced if it is simple.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < kQuestion) return 0;
    const Question question = ask(data);
    // A copy that ends where the file does: the sanitizer sees one byte too far.
    const std::vector<std::uint8_t> copy(data + kQuestion, data + size);
    const Bytes file{copy.data(), copy.size()};
    const auto frame = parse(file);
    if (frame) check_parts(file, *frame, question.box);
    check_transcoded(file, question.box.top % 64);
    RegionDecoder decoder(question.gray, question.fast_dct);
    std::vector<std::uint8_t> out(1);
    Region region = decoder.decode(file, question.box, question.scale, out.data(), out.size());
    if (region.way == Way::kNoRoom && region.needed < (1u << 24)) {
        out.resize(region.needed);
        region = decoder.decode(file, question.box, question.scale, out.data(), out.size());
        demand(region.way != Way::kNoRoom, "room is what was asked for");
    }
    if (region.way == Way::kSliced || region.way == Way::kCropped) {
        const std::size_t channels = question.gray ? 1 : 3;
        demand(region.offset + region.stride * (region.height - 1) + region.width * channels <=
                   out.size(),
               "pixels lie in the output");
        demand(region.top == question.box.top / question.scale &&
                   region.left == question.box.left / question.scale,
               "pixels begin with the box");
    }
    return 0;
}
