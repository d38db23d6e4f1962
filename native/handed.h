// Arrays that are handed to another framework without a copy, by DLPack.
//
// A framework frees a tensor in any of its threads, perhaps while it holds a lock of its own, or
// while the interpreter ends. Taking the GIL there could wait for ever. So the deleter only puts
// the array on a list, without the GIL, and `drop_ended` lets the arrays of the list go: the engine
// calls it whenever it looks for free memory.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

namespace fastclips {

// The structures of DLPack, as `dlpack.h` declares them before version 1.
struct DLTensor {
    void* data;
    std::int32_t device_type, device_id;
    std::int32_t ndim;
    std::uint8_t code, bits;
    std::uint16_t lanes;
    std::int64_t *shape, *strides;
    std::uint64_t byte_offset;
};

struct DLManagedTensor {
    DLTensor tensor;
    void* context;
    void (*deleter)(DLManagedTensor*);
};
static_assert(sizeof(DLTensor) == 48 && sizeof(DLManagedTensor) == 64, "DLPack's structures");

class Handed {
  public:
    static constexpr const char* kName = "dltensor";

    // Return a capsule of C-contiguous memory on the CPU, which keeps the owner alive. Needs the
    // GIL.
    static PyObject* capsule(PyObject* owner, void* data, std::vector<std::int64_t> shape,
                             std::uint8_t code, std::uint8_t bits) {
        auto* const handed = new Handed(owner, std::move(shape));
        constexpr std::int32_t kCpu = 1;
        handed->managed_ = {
            {data, kCpu, 0, static_cast<std::int32_t>(handed->shape_.size()), code, bits, 1,
             handed->shape_.data(), nullptr, 0},
            handed,
            [](DLManagedTensor* managed) { static_cast<Handed*>(managed->context)->end(); }};
        PyObject* const made = PyCapsule_New(&handed->managed_, kName, [](PyObject* unused) {
            if (!PyCapsule_IsValid(unused, kName)) return;  // its taker renamed it
            auto* const managed =
                static_cast<DLManagedTensor*>(PyCapsule_GetPointer(unused, kName));
            managed->deleter(managed);
        });
        if (made == nullptr) handed->end();
        return made;
    }

    // Let the arrays go whose tensors have died. Needs the GIL.
    static void drop_ended() {
        if (ended_.load(std::memory_order_relaxed) == nullptr) return;
        Handed* handed = ended_.exchange(nullptr, std::memory_order_acquire);
        while (handed != nullptr) {
            Handed* const next = handed->next_;
            PyObject* const owner = handed->owner_;
            delete handed;
            Py_DECREF(owner);  // may run code that comes here again
            handed = next;
        }
    }

  private:
    Handed(PyObject* owner, std::vector<std::int64_t> shape)
        : owner_(Py_NewRef(owner)), shape_(std::move(shape)) {}

    void end() {  // in any thread, without the GIL
        next_ = ended_.load(std::memory_order_relaxed);
        while (!ended_.compare_exchange_weak(next_, this, std::memory_order_release,
                                             std::memory_order_relaxed)) {
        }
    }

    // Only pushed to and emptied as a whole, so an address that comes back does no harm.
    static inline std::atomic<Handed*> ended_{nullptr};

    DLManagedTensor managed_{};
    PyObject* owner_;
    std::vector<std::int64_t> shape_;
    Handed* next_ = nullptr;
};

}  // namespace fastclips
