// Read the stored frames of a video: files of a folder, members of a tar. No Python.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace fastclips {

class Descriptor {
  public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

// Open files of a folder, read into one memory, one after the other. If a signal interrupts a call,
// the caller handles it and calls again.
class OpenFiles {
  public:
    struct Failure {
        std::size_t number;  // of the file
        int error;  // errno; 0 if the file is empty, -1 if it is no file (a FIFO, a device)
    };

    std::optional<Failure> open(const char* folder, const char* const* names, std::size_t count) {
        if (folder_.get() < 0)
            folder_ = Descriptor(::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (folder_.get() < 0) return Failure{0, errno};
        files_.reserve(count);
        while (files_.size() < count) {
            const std::size_t number = files_.size();
            // A FIFO without a writer would keep the call waiting.
            constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
            Descriptor file(openat(folder_.get(), names[number], kFlags));
            struct stat status;
            if (file.get() < 0 || fstat(file.get(), &status) != 0) return Failure{number, errno};
            if (S_ISDIR(status.st_mode)) return Failure{number, EISDIR};
            if (!S_ISREG(status.st_mode)) return Failure{number, -1};
            const auto size = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
            if (size > kMost - total_) return Failure{number, EFBIG};
            files_.push_back({std::move(file), total_, size, 0});
            total_ += size;
        }
        return std::nullopt;
    }

    // Read all files into `to`, which has room for total() bytes, and close each.
    std::optional<Failure> read(std::uint8_t* to) {
        for (; read_ < files_.size(); ++read_) {
            File& file = files_[read_];
            while (file.got < file.size) {
                const ssize_t more =
                    ::read(file.descriptor.get(), to + file.start + file.got, file.size - file.got);
                if (more < 0) return Failure{read_, errno};
                if (more == 0) break;  // the file is shorter than before
                file.got += static_cast<std::size_t>(more);
            }
            if (file.got == 0) return Failure{read_, 0};
            file.descriptor = Descriptor();
        }
        return std::nullopt;
    }

    // Where file i begins in the memory, and its bytes; known after read().
    std::size_t start(std::size_t i) const { return files_[i].start; }
    std::size_t size(std::size_t i) const { return files_[i].got; }
    std::size_t total() const { return total_; }

  private:
    static constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / 2;

    struct File {
        Descriptor descriptor;
        std::size_t start, size, got;
    };

    Descriptor folder_;
    std::vector<File> files_;
    std::size_t total_ = 0, read_ = 0;
};

namespace tar {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kSizeAt = 124, kSizeBytes = 12;  // in a header: octal digits

// Whether a header gives its member this size. Blanks or zeros may precede the digits.
inline bool tells_size(const std::uint8_t* header, std::uint64_t size) {
    const std::uint8_t* at = header + kSizeAt;
    const std::uint8_t* const end = at + kSizeBytes;
    const auto blank = [](std::uint8_t byte) { return byte == ' ' || byte == 0; };
    at = std::find_if_not(at, end, blank);
    if (at == end) return false;
    std::uint64_t found = 0;
    for (; at < end && *at >= '0' && *at <= '7'; ++at) found = 8 * found + (*at - '0');
    return found == size && std::all_of(at, end, blank);
}

}  // namespace tar

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

// Whether data begin like a .npy file.
inline bool is_npy(const std::uint8_t* data, std::size_t size) {
    return size >= kNpyMagic.size() && std::memcmp(data, kNpyMagic.data(), kNpyMagic.size()) == 0;
}

}  // namespace fastclips
