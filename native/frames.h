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
#include <optional>
#include <utility>
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
    struct Failure {
        std::size_t place;
        int error;  // as errno; 0 if the file is empty
    };

    std::optional<Failure> open(const char* folder, const char* const* names, std::size_t count) {
        const Descriptor at(::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (at.get() < 0) return Failure{0, errno};
        files_.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            Descriptor file(openat(at.get(), names[i], O_RDONLY | O_CLOEXEC));
            struct stat status;
            if (file.get() < 0 || fstat(file.get(), &status) != 0) return Failure{i, errno};
            const auto size = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
            files_.push_back({std::move(file), total_, size});
            total_ += size;
        }
        return std::nullopt;
    }

    // Into so many bytes as there are in all.
    std::optional<Failure> read(std::uint8_t* to) {
        for (std::size_t i = 0; i < files_.size(); ++i) {
            File& file = files_[i];
            std::size_t got = 0;
            while (got < file.size) {
                const ssize_t more =
                    ::read(file.descriptor.get(), to + file.start + got, file.size - got);
                if (more < 0 && errno == EINTR) continue;
                if (more < 0) return Failure{i, errno};
                if (more == 0) break;  // it has become shorter
                got += static_cast<std::size_t>(more);
            }
            if (got == 0) return Failure{i, 0};
            file.size = got;
        }
        return std::nullopt;
    }

    // Of a file in memory.
    std::size_t start(std::size_t i) const { return files_[i].start; }
    std::size_t size(std::size_t i) const { return files_[i].size; }
    std::size_t total() const { return total_; }

  private:
    struct File {
        Descriptor descriptor;
        std::size_t start, size;
    };

    std::vector<File> files_;
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
