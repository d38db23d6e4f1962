// Scopes without the GIL, which threads can be in while the interpreter ends.
#pragma once

#include <Python.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace fastclips {

// Releases the GIL, and takes it back at the end of the scope.
//
// Up to CPython 3.13, a daemon thread that asks for the GIL while the interpreter ends is unwound
// by pthread_exit, and a C++ destructor on its way ends the process by SIGABRT. So `end` is called
// first: from then on, other threads that leave a scope sleep instead, until the process is gone.
class Unlocked {
  public:
    Unlocked() : state_(PyEval_SaveThread()) {}

    ~Unlocked() {
        taking_.fetch_add(1);
        if (ended_.load() && !pthread_equal(ender_, pthread_self())) {
            taking_.fetch_sub(1);
            for (;;) pause();
        }
        PyEval_RestoreThread(state_);
        taking_.fetch_sub(1);
    }

    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

    // Let no other thread take the GIL back any more. The caller holds the GIL, and may take it.
    static void end() {
        ender_ = pthread_self();
        ended_.store(true);
        while (taking_.load() != 0) {  // they read `ended_` too early, and wait for the GIL
            PyThreadState* const state = PyEval_SaveThread();
            const timespec shortly{0, 1'000'000};
            nanosleep(&shortly, nullptr);
            PyEval_RestoreThread(state);
        }
    }

  private:
    // Sequentially consistent: either a thread sees `ended_`, or `end` sees the thread in
    // `taking_`.
    static inline std::atomic<bool> ended_{false};
    static inline std::atomic<int> taking_{0};
    static inline pthread_t ender_{};

    PyThreadState* state_;
};

}  // namespace fastclips
