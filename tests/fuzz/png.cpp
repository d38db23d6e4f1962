// The libFuzzer target of the PNG code, and of the decompression that it uses, which zlib checks.
// README.md here says how to run it. An input is a request of 5 bytes, and a file.
#include "../../native/png.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace fastclips;

namespace {

void demand(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// What is accepted is what zlib makes of it. What zlib accepts and we do not is left to Pillow.
void check_inflate(const std::vector<std::uint8_t>& data, std::size_t count) {
    std::vector<std::uint8_t> output(count), expected(count);
    if (!fastclips::zlib::inflate(data.data(), data.size(), output.data(), count)) return;
    uLongf length = count;
    uLong used = data.size();
    // For no bytes at all, zlib wants room for one.
    std::uint8_t room = 0;
    const int result =
        uncompress2(count == 0 ? &room : expected.data(), &length, data.data(), &used);
    demand(result == Z_OK && length == count, "zlib accepts the data, too");
    demand(used == data.size(), "zlib uses all of them");
    demand(output == expected, "zlib makes the same bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kRequest = 5;
    if (size < kRequest) return 0;
    // Memory of exactly the size that is promised, so that the sanitizer notices one byte too far.
    const std::vector<std::uint8_t> file(data + kRequest, data + size);
    const std::uint32_t first = data[0] | data[1] << 8, second = data[2] | data[3] << 8;
    if ((data[4] & 1) != 0) {
        check_inflate(file, first);
        return 0;
    }
    const png::Wanted wanted{first % 512 + 1, second % 512 + 1, (data[4] & 2) != 0 ? 3U : 1U,
                             (data[4] & 4) != 0};
    std::vector<std::uint8_t> pixels(std::size_t{wanted.height} * wanted.width * wanted.channels);
    png::Decoder decoder;
    const bool done = decoder.decode(file.data(), file.size(), wanted, pixels.data());
    std::vector<std::uint8_t> again(pixels.size());
    demand(decoder.decode(file.data(), file.size(), wanted, again.data()) == done,
           "a decoder decides in the same way each time");
    demand(!done || again == pixels, "a decoder makes the same pixels each time");
    return 0;
}
