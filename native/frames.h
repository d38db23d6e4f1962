// Frames of a video as they are stored: files of a folder, members of a tar. No Python here.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fastclips {

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

// Files of a folder that are open, to be read one behind the other.
class OpenFiles {
  public:
    // False if one cannot be opened, or is empty.
    bool open(const char* folder, const char* const* names, std::size_t count) {
        const Descriptor at(::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (at.get() < 0) return false;
        files_.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            Descriptor file(openat(at.get(), names[i], O_RDONLY | O_CLOEXEC));
            struct stat status;
            if (file.get() < 0 || fstat(file.get(), &status) != 0 || status.st_size <= 0)
                return false;
            files_.push_back(std::move(file));
            sizes_.push_back(static_cast<std::size_t>(status.st_size));
            total_ += sizes_.back();
        }
        return true;
    }

    // False if one cannot be read, or has become shorter.
    bool read(std::uint8_t* to) const {
        for (std::size_t i = 0; i < files_.size(); ++i)
            for (std::size_t left = sizes_[i]; left > 0;) {
                const ssize_t got = ::read(files_[i].get(), to, left);
                if (got < 0 && errno == EINTR) continue;
                if (got <= 0) return false;
                to += got;
                left -= static_cast<std::size_t>(got);
            }
        return true;
    }

    const std::vector<std::size_t>& sizes() const { return sizes_; }
    std::size_t total() const { return total_; }

  private:
    std::vector<Descriptor> files_;
    std::vector<std::size_t> sizes_;
    std::size_t total_ = 0;
};

namespace tar {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kSizeAt = 124, kSizeBytes = 12;  // of a header: octal digits

// Whether a header says that its member has so many bytes. Digits may stand behind blanks or zeros.
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

// Whether this begins as a .npy file does.
inline bool is_npy(const std::uint8_t* data, std::size_t size) {
    return size >= 6 && std::memcmp(data, "\x93NUMPY", 6) == 0;
}

}  // namespace fastclips
