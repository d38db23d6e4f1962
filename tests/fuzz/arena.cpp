// A stress test of the arena for ThreadSanitizer: threads play the trainer, the workers, the
// fetchers and the nursery. Each row must be read as it was written last, and a byte slot as it was
// filled for that ticket. `arena SECONDS [SEED]`. README.md here says how to run it.
//
// ThreadSanitizer knows memory by its address, so all of them must map the arena at the same place,
// though each has an Arena of its own, as processes do.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <thread>

namespace {

void* first_map = nullptr;

void* map_once(void*, std::size_t size, int protection, int flags, int fd, off_t at) {
    if (first_map == nullptr) first_map = mmap(nullptr, size, protection, flags, fd, at);
    return first_map;
}
int keep_map(void*, std::size_t) { return 0; }

}  // namespace

#define mmap map_once
#define munmap keep_map
#include "../../native/arena.h"
#undef mmap
#undef munmap

using namespace fastclips;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kSlots = 3, kRows = 4, kWorkers = 4, kFetchers = 2, kTicketBytes = 16;
constexpr std::size_t kRowBytes = 256, kAheadBytes = 512;

std::atomic<bool> over{false};
std::atomic<std::uint64_t> served{0}, deaths{0}, cancelled{0}, ahead{0};

void demand(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

std::uint8_t* row_at(const Arena& arena, std::uint32_t cell) {
    return arena.base() + arena.offsets().slots + cell / kRows * arena.offsets().slot_stride +
           cell % kRows * kRowBytes;
}

std::uint64_t ticket_at(const Arena& arena, std::uint32_t cell) {
    std::uint64_t value;
    std::memcpy(
        &value,
        arena.base() + arena.offsets().cells + cell * arena.offsets().cell_bytes + sizeof(CellHead),
        sizeof value);
    return value;
}

std::uint8_t byte_of(std::uint64_t ticket) { return static_cast<std::uint8_t>(ticket * 37 + 11); }

// Claims and renders tickets until it dies, in a claim, with the row half written or done.
void work(int fd, std::uint16_t worker, unsigned seed) {
    Arena arena(fd);
    std::mt19937 random(seed);
    while (!over) {
        const auto claim = arena.claim(worker, 1ms);
        if (!claim) continue;
        const bool dies = random() % 50 == 0;
        if (arena.byte_slots().take(claim->cell, claim->number, Clock::now() + 50us)) {
            const std::uint8_t* const bytes = arena.byte_slots().memory(claim->cell);
            for (std::size_t i = 0; i < kAheadBytes; ++i)
                demand(bytes[i] == byte_of(claim->number), "bytes are those of the ticket");
            ++ahead;
        }
        const std::uint8_t byte = byte_of(ticket_at(arena, claim->cell));
        if (dies && random() % 2 == 0) return;
        std::memset(row_at(arena, claim->cell), byte, dies ? kRowBytes / 2 : kRowBytes);
        if (dies && random() % 2 == 0) return;
        std::memset(row_at(arena, claim->cell), byte, kRowBytes);
        if (random() % 8 == 0) arena.set_note(claim->cell, "replaced");
        if (!arena.finish(claim->cell, worker, random() % 16 != 0))
            demand(false, "a claim is its worker's");
        if (dies) return;
    }
}

// Fills byte slots until it dies, in a claim or with the slot half written; or stops for a while.
void fetch(int fd, std::uint16_t fetcher, unsigned seed) {
    Arena arena(fd);
    std::mt19937 random(seed);
    while (!over) {
        const auto claim = arena.claim_read(fetcher, 1ms);
        if (!claim) continue;
        const bool dies = random() % 50 == 0;
        if (dies && random() % 2 == 0) return;
        std::uint8_t* const bytes = arena.byte_slots().memory(claim->cell);
        std::memset(bytes, byte_of(claim->number), kAheadBytes / 2);
        if (dies) return;
        if (random() % 20 == 0) std::this_thread::sleep_for(2ms);
        std::memset(bytes, byte_of(claim->number), kAheadBytes);
        demand(arena.byte_slots().settle(claim->cell, fetcher, random() % 16 != 0),
               "a byte slot is its fetcher's");
    }
}

// Replaces workers and fetchers that died, each after it is reaped.
void nurse(int fd, unsigned seed) {
    Arena arena(fd);
    struct Running {
        std::thread thread;
        std::shared_ptr<std::atomic<bool>> ended;
        decltype(&work) does;
    };
    std::map<std::uint16_t, Running> workers;
    std::uint16_t next = 1;
    const auto start = [&](decltype(&work) does) {
        auto ended = std::make_shared<std::atomic<bool>>(false);
        const std::uint16_t number = next++;
        workers[number] = {std::thread([=] {
                               does(fd, number, seed + number);
                               ended->store(true);
                           }),
                           ended, does};
    };
    for (std::uint32_t i = 0; i < kWorkers; ++i) start(work);
    for (std::uint32_t i = 0; i < kFetchers; ++i) start(fetch);
    while (!over && next < 65'000) {
        std::this_thread::sleep_for(200us);
        for (auto at = workers.begin(); at != workers.end();) {
            if (!at->second.ended->load()) {
                ++at;
                continue;
            }
            at->second.thread.join();  // reaped: it writes nothing any more
            for (const std::uint32_t cell : arena.claimed_by(at->first)) {
                arena.count_death(cell);
                demand(arena.reissue(cell, at->first), "a dead worker's claim is given back");
            }
            arena.byte_slots().free(at->first);
            ++deaths;
            start(at->second.does);
            at = workers.erase(at);
        }
    }
    over = true;
    for (auto& [number, running] : workers) running.thread.join();
}

// Publishes tickets, and reads the rows of settled slots.
void train(Arena& arena, unsigned seed) {
    std::mt19937 random(seed);
    std::uint64_t number = 1;
    std::map<std::uint32_t, std::vector<std::uint64_t>> published;
    for (std::uint32_t slot = 0; !over; slot = (slot + 1) % kSlots) {
        auto& tickets = published[slot];
        if (!tickets.empty() && random() % 20 == 0) {
            arena.cancel(slot);
            ++cancelled;
        }
        while (!arena.wait(slot, 5ms))
            if (over) return;
        for (std::uint32_t row = 0; row < tickets.size(); ++row) {
            const std::uint32_t cell = slot * kRows + row;
            const Word word = arena.word_of(cell);
            if (word.state == State::kEmpty) continue;
            if (word.state == State::kFailed)
                demand(arena.failed(slot).has_value(), "a failed row is told");
            const std::uint8_t* bytes = row_at(arena, cell);
            for (std::size_t i = 0; i < kRowBytes; ++i)
                demand(bytes[i] == byte_of(tickets[row]), "a row is the one of its ticket");
            ++served;
        }
        tickets.resize(1 + random() % kRows);
        std::vector<char> bytes(tickets.size() * kTicketBytes);
        for (std::size_t row = 0; row < tickets.size(); ++row) {
            tickets[row] = random();
            std::memcpy(bytes.data() + row * kTicketBytes, &tickets[row], sizeof tickets[row]);
        }
        arena.publish(slot, number, bytes.data(), bytes.size());
        number += tickets.size();
    }
}

}  // namespace

int main(int count, char** given) {
    const double seconds = count > 1 ? std::atof(given[1]) : 10;
    const unsigned seed =
        count > 2 ? static_cast<unsigned>(std::atoi(given[2])) : std::random_device{}();
    std::printf("seed %u\n", seed);
    std::fflush(stdout);
    Geometry geometry{kSlots, kRows, kWorkers + kFetchers, kTicketBytes, kRows * kRowBytes};
    geometry.ahead_bytes = kAheadBytes;
    Arena arena(geometry);
    std::thread nursery(nurse, arena.fd(), seed);
    std::thread trainer([&] { train(arena, seed + 1); });
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (!over && Clock::now() < end) std::this_thread::sleep_for(10ms);
    over = true;
    trainer.join();
    nursery.join();
    std::printf("%llu rows, %llu read ahead, %llu deaths, %llu slots cancelled\n",
                static_cast<unsigned long long>(served), static_cast<unsigned long long>(ahead),
                static_cast<unsigned long long>(deaths),
                static_cast<unsigned long long>(cancelled));
    return served > 0 && deaths > 0 && ahead > 0 ? 0 : 1;
}
