// The libFuzzer target of dct frames. Each input gets a right checksum, so that the readers see its
// bits. Whatever they are, nothing outside buffers is read or written, all readers and the fused
// stage make the same pixels, and a frame that can be read whole can be written as a JPEG with its
// pixels.
#include "../../native/dct_restore.h"
#include "../../native/dct_writer.h"
#include "pixels.h"

namespace dct = fastclips::dct;

namespace {

constexpr const char* kSwitchedOff[] = {"", "PDEP", "FUSED", "AVX2,SSE4_2"};  // a way each
constexpr std::size_t kWays = std::size(kSwitchedOff);

RegionDecoder& decoder_of(std::size_t reader, bool gray, bool fast_dct) {
    static std::vector<std::unique_ptr<RegionDecoder>> decoders;
    for (std::size_t i = decoders.size(); i < 4 * kWays; ++i) {
        setenv("FASTCLIPS_CPU_DISABLE", kSwitchedOff[i / 4], 1);
        decoders.push_back(std::make_unique<RegionDecoder>((i & 1) != 0, (i & 2) != 0));
    }
    return *decoders[4 * reader + gray + 2 * fast_dct];
}

// Decode a box by each reader; no pixels if the frame is damaged there.
std::vector<std::uint8_t> decode_by_all(Bytes file, Box box, const Question& question) {
    std::vector<std::uint8_t> first;
    for (std::size_t reader = 0; reader < kWays; ++reader) {
        auto pixels =
            decode(decoder_of(reader, question.gray, question.fast_dct), file, box, question.scale);
        if (reader == 0)
            first = std::move(pixels);
        else
            demand(pixels == first, "readers agree");
    }
    return first;
}

void check(Bytes file, const Question& question) {
    Frame frame;
    if (dct::parse(file, frame) != dct::Problem::kNone) return;
    if (std::uint64_t{frame.height} * frame.width > kMost) return;
    decode_by_all(file, question.box, question);
    const Box all{0, 0, frame.height, frame.width};
    const auto pixels = decode_by_all(file, all, question);
    static dct::Restorer restorer;
    std::vector<std::uint8_t> plain;
    if (!restorer.run(file, frame, plain)) return;
    const Bytes written{plain.data(), plain.size()};
    const auto header = parse(written);
    demand(
        header && header->simple && header->height == frame.height && header->width == frame.width,
        "what is written is a JPEG");
    if (!pixels.empty())
        demand(Plain().decode(written, question) == pixels, "with the pixels of the frame");
    static dct::Writer writer;
    std::vector<std::uint8_t> again;
    if (!writer.run(written, *header, again)) return;  // its coefficients are beyond any picture's
    demand(decode_by_all({again.data(), again.size()}, all, question) == pixels,
           "and its frame has them, too");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < kQuestion) return 0;
    const Question question = ask(data);
    // A copy that ends where the frame ends, so that the sanitizer notices one byte too far.
    std::vector<std::uint8_t> copy(data + kQuestion, data + size);
    if (copy.size() >= dct::kHeader) {
        const std::uint32_t sum = dct::checksum({copy.data(), copy.size()});
        for (std::size_t i = 0; i < 4; ++i)
            copy[dct::kChecksumAt + i] = static_cast<std::uint8_t>(sum >> (8 * i));
    }
    copy.shrink_to_fit();
    check({copy.data(), copy.size()}, question);
    return 0;
}
