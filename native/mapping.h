// Memory that processes share: a sealed memfd without a name, mapped.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace fastclips {

[[noreturn]] inline void fail_call(const char* call) {
    throw std::system_error(errno, std::generic_category(), call);
}

class Mapping {
  public:
    // Make a memfd of a size and map it.
    explicit Mapping(std::uint64_t size) : size_(size) {
        fd_ = memfd_create("fastclips", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd_ < 0) fail("memfd_create");
        if (ftruncate(fd_, static_cast<off_t>(size)) != 0) fail("ftruncate");
        // Reading past the end of a file that shrank would kill a process by SIGBUS.
        fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
        map();
    }

    // Map a memfd that another process made, with a duplicate of the descriptor.
    Mapping(int fd, std::uint64_t size) : size_(size) {
        struct stat info;
        if (fstat(fd, &info) != 0) fail("fstat");
        if (static_cast<std::uint64_t>(info.st_size) != size)
            throw std::runtime_error("the size of the shared memory is not what its header says");
        fd_ = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (fd_ < 0) fail("fcntl");
        map();
    }

    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    ~Mapping() { release(); }

    int fd() const { return fd_; }
    std::uint8_t* base() const { return base_; }
    std::uint64_t size() const { return size_; }

    // Return the memory to the kernel, though other processes may still map it: they then read
    // zeros.
    void discard() {
        if (fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                      static_cast<off_t>(size_)))
            fail_call("fallocate");
    }

  private:
    void map() {
        void* at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
        if (at == MAP_FAILED) fail("mmap");
        base_ = static_cast<std::uint8_t*>(at);
    }

    void release() {
        if (base_) munmap(base_, size_);
        if (fd_ >= 0) close(fd_);
    }

    [[noreturn]] void fail(const char* call) {  // a destructor does not run after this
        const int error = errno;
        release();
        errno = error;
        fail_call(call);
    }

    int fd_ = -1;
    std::uint8_t* base_ = nullptr;
    std::uint64_t size_;
};

// Read what begins the memory of a descriptor, which must have that magic number.
template <typename Head>
Head read_head(int fd, std::uint64_t magic) {
    Head head;
    if (pread(fd, static_cast<void*>(&head), sizeof head, 0) != static_cast<ssize_t>(sizeof head) ||
        head.magic != magic)
        throw std::runtime_error("the descriptor is no shared memory of this build of fastclips");
    return head;
}

}  // namespace fastclips
