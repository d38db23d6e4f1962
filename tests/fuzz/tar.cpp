// The libFuzzer target of what is read in tar files: the headers of members, and how data begin.
// README.md here says how to run it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../native/members.h"

using namespace fastclips;

namespace {

void demand(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// The size in a header, in plain words: blanks, octal digits, blanks; nothing if it is not that.
std::optional<std::uint64_t> size_in(const std::uint8_t* header) {
    std::string text(reinterpret_cast<const char*>(header) + tar::kSizeAt, tar::kSizeBytes);
    for (char& letter : text)
        if (letter == 0) letter = ' ';
    const auto first = text.find_first_not_of(' ');
    if (first == std::string::npos) return std::nullopt;
    const std::string digits = text.substr(first, text.find_last_not_of(' ') - first + 1);
    if (digits.find_first_not_of("01234567") != std::string::npos) return std::nullopt;
    return std::stoull(digits, nullptr, 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Memory of exactly the size that is promised, so that the sanitizer notices one byte too far.
    const std::vector<std::uint8_t> start(data, data + size);
    demand(is_npy(start.data(), start.size()) ==
               (std::string(start.begin(), start.end()).rfind(kNpyMagic, 0) == 0),
           "data of an array begin like data of an array");
    std::vector<std::uint8_t> header(tar::kBlock);
    // What counts comes first in an input, so that it is changed often.
    std::copy_n(data, std::min(size, tar::kSizeBytes), header.begin() + tar::kSizeAt);
    const auto told = size_in(header.data());
    if (told) demand(tar::tells_size(header.data(), *told), "the size that is told");
    for (const std::uint64_t other :
         {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, told.value_or(7) + 1})
        demand(tar::tells_size(header.data(), other) == (told == other), "no other size");
    // The header, and what else there is as the member: all of it, less, or more than there is.
    std::vector<std::uint8_t> whole(header);
    whole.insert(whole.end(), start.begin(), start.end());
    for (const std::size_t length : {start.size(), start.size() / 2, start.size() + 1}) {
        const tar::Run run{0, 0, 0, {{tar::kBlock, length}}};
        const bool right =
            length <= start.size() && told == length && !is_npy(start.data(), length);
        demand(run.matches(whole.data(), whole.size()) == right, "a member in the run's bytes");
    }
    return 0;
}
