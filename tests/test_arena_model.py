"""Every order in which trainer, workers, deaths and nursery can take their steps, walked through.

The model has one slot of two rows, two workers at a time and a bounded number of deaths and batches. Each
step is one atomic operation of native/arena.h, or one of the two halves of writing a row; between any two
of them anyone else may act or die. Waits poll, as bounded waits do. A second pass plants known mistakes in
the protocol and checks that the walk finds them. Other models have a frame slot and its readers and fillers,
and a byte slot and its fetchers.
"""

import gc
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_collector")]

ROWS = 2
EMPTY, READY, CLAIMED, DONE = "EMPTY", "READY", "CLAIMED", "DONE"


@pytest.fixture
def no_collector():
    """The many states have no cycles, and the collector would look at each again and again."""
    gc.disable()
    yield
    gc.enable()


class Worker(NamedTuple):
    number: int
    at: str = "idle"  # idle, seen, writing, written, finished, checked
    cell: int = -1
    seen: tuple = ()  # the word it read, which its swap expects
    dead: bool = False
    reaped: bool = False


class World(NamedTuple):
    words: tuple  # per row: (ticket, worker, state)
    rows: tuple  # what lies in the row: ("half" | "full", ticket)
    workers: tuple
    trainer: str = "publish"  # publish, waiting, cancelling, over
    cancelled: int = 0  # rows whose cancellation was tried
    ticket: int = 1
    batches: int = 2
    deaths: int = 2
    next_worker: int = 3
    woken: bool = False


def replace(state, **changes):
    """The state with other fields."""
    return state._replace(**changes)


def settled(words):
    return all(state not in (READY, CLAIMED) for _, _, state in words)


def put(items, at, item):
    return (*items[:at], item, *items[at + 1 :])


def steps(world, mistake):
    """Every world that is one step away."""
    yield from trainer_steps(world, mistake)
    for at, worker in enumerate(world.workers):
        if not worker.dead:
            yield from worker_steps(world, at, worker, mistake)
            if world.deaths:
                yield replace(
                    world, workers=put(world.workers, at, replace(worker, dead=True)), deaths=world.deaths - 1
                )
        if worker.dead or mistake == "reissue the living":
            yield from nursery_steps(world, at, worker)


def trainer_steps(world, mistake):
    if world.trainer == "publish" and world.batches:
        words = tuple((world.ticket + row, 0, READY) for row in range(ROWS))
        yield replace(
            world,
            words=words,
            trainer="waiting",
            ticket=world.ticket + ROWS,
            batches=world.batches - 1,
            woken=False,
        )
    elif world.trainer == "publish":
        yield replace(world, trainer="over")
    elif world.trainer == "waiting":
        yield replace(world, trainer="cancelling", cancelled=0)
        if settled(world.words):
            for row, (ticket, _, state) in enumerate(world.words):
                assert state == DONE
                assert world.rows[row] == ("full", ticket), "a batch was delivered that is not written"
            yield replace(world, trainer="publish")
    elif world.trainer == "cancelling":
        if world.cancelled < ROWS:
            row = world.cancelled
            ticket, _, state = world.words[row]
            taken_back = state == READY or (state == CLAIMED and mistake == "cancel what is claimed")
            word = (ticket, 0, EMPTY) if taken_back else world.words[row]
            yield replace(world, words=put(world.words, row, word), cancelled=row + 1)
        elif settled(world.words) or mistake == "reuse without draining":
            yield replace(world, trainer="publish")


def worker_steps(world, at, worker, mistake):  # noqa: C901 - one branch per place a worker can be at
    def moved(**changes):
        return put(world.workers, at, replace(worker, **changes))

    if worker.at == "idle":
        for cell, word in enumerate(world.words):
            if word[2] == READY:
                yield replace(world, workers=moved(at="seen", cell=cell, seen=word))
    elif worker.at == "seen":
        if world.words[worker.cell] == worker.seen or (
            mistake == "claim without comparing" and world.words[worker.cell][2] in (READY, CLAIMED)
        ):
            word = (world.words[worker.cell][0], worker.number, CLAIMED)
            yield replace(
                world, words=put(world.words, worker.cell, word), workers=moved(at="writing", seen=word)
            )
        else:
            yield replace(world, workers=moved(at="idle"))
    elif worker.at in ("writing", "written"):
        part = "half" if worker.at == "writing" else "full"
        rows = put(world.rows, worker.cell, (part, worker.seen[0]))
        yield replace(world, rows=rows, workers=moved(at="written" if worker.at == "writing" else "finished"))
    elif worker.at == "finished":
        if world.words[worker.cell] == worker.seen:
            words = put(world.words, worker.cell, (worker.seen[0], worker.number, DONE))
            yield replace(world, words=words, workers=moved(at="checked"))
        else:
            yield replace(world, workers=moved(at="idle"))
    elif worker.at == "checked":
        yield replace(world, woken=world.woken or settled(world.words), workers=moved(at="idle"))


def nursery_steps(world, at, worker):
    held = [cell for cell, word in enumerate(world.words) if word[1:] == (worker.number, CLAIMED)]
    if held:
        cell = held[0]
        yield replace(world, words=put(world.words, cell, (world.words[cell][0], 0, READY)))
    elif worker.dead:
        fresh = Worker(world.next_worker)
        yield replace(world, workers=put(world.workers, at, fresh), next_worker=world.next_worker + 1)


def check(world):
    writing = [w.cell for w in world.workers if not w.dead and w.at in ("writing", "written")]
    assert len(writing) == len(set(writing)), "two workers write one row"
    if world.trainer == "publish":
        assert not writing, "a worker writes into a slot that the trainer has taken back"
    # Polling makes progress without wakes; but nobody dead, a settled slot must have woken the trainer.
    if world.trainer == "waiting" and settled(world.words) and world.deaths == 2:
        assert world.woken or any(w.at == "checked" for w in world.workers), "the last to finish woke nobody"


def walk(mistake=None):
    words = ((0, 0, EMPTY),) * ROWS
    start = World(words, ((None, 0),) * ROWS, (Worker(1), Worker(2)))
    seen, edge, over = {start}, [start], False
    while edge:
        world = edge.pop()
        check(world)
        after = list(steps(world, mistake))
        over |= world.trainer == "over"
        assert after or world.trainer == "over", f"stuck: {world}"
        new = set(after) - seen
        seen |= new
        edge.extend(new)
    assert over
    return len(seen)


def test_the_protocol_holds_in_every_order():
    assert walk() > 10_000


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("reissue the living", "two workers write one row|not written|taken back"),
        ("claim without comparing", "two workers write one row"),
        ("reuse without draining", "taken back"),
        ("cancel what is claimed", "taken back"),
    ],
)
def test_the_walk_finds_mistakes(mistake, said):
    with pytest.raises(AssertionError, match=said):
        walk(mistake)


# One area of a frame slot. Two workers at a time fill it with the frames of their tickets, or read it. Key
# and pixels are three parts, which are written and read one after the other.

FILLING, FULL = "FILLING", "FULL"


class Sharer(NamedTuple):
    number: int
    ticket: int  # wants the frame of the same number
    at: str = "look"  # look, read 0 to 2, compare, swap, write 0 to 2, publish, done
    word: tuple = ()
    read: tuple = ()
    dead: bool = False


class Slot(NamedTuple):
    word: tuple = (0, 0, EMPTY)
    parts: tuple = (0, 0, 0)  # key and two halves of the pixels: of which frame
    workers: tuple = ()
    tickets: tuple = (3, 4, 3)  # to come, after those of the first two workers
    next_worker: int = 3
    deaths: int = 2


def slot_steps(world, mistake):
    for at, worker in enumerate(world.workers):
        if worker.dead or mistake == "free the living":
            word = world.word
            if word[1:] == (worker.number, FILLING):
                yield replace(world, word=(word[0], 0, EMPTY))
        if worker.dead:
            if world.word[1:] != (worker.number, FILLING):  # a new worker does the ticket again
                fresh = Sharer(world.next_worker, worker.ticket)
                yield replace(world, workers=put(world.workers, at, fresh), next_worker=world.next_worker + 1)
            continue
        yield from sharer_steps(world, at, worker, mistake)
        if world.deaths:
            dead = put(world.workers, at, replace(worker, dead=True))
            yield replace(world, workers=dead, deaths=world.deaths - 1)


def sharer_steps(world, at, worker, mistake):  # noqa: C901, PLR0912 - one branch per place
    def moved(**changes):
        return put(world.workers, at, replace(worker, **changes))

    frame = worker.ticket
    if worker.at == "look":
        full = world.word[2] == FULL
        yield replace(world, workers=moved(at="read 0" if full else "swap", word=world.word, read=()))
    elif worker.at.startswith("read"):
        part = int(worker.at[-1])
        read = (*worker.read, world.parts[part])
        if part == 0 and read != (frame,):
            yield replace(world, workers=moved(at="swap"))
        else:
            yield replace(world, workers=moved(at=f"read {part + 1}" if part < 2 else "compare", read=read))
    elif worker.at == "compare":
        same = world.word == worker.word or mistake == "read without comparing"
        assert not same or worker.read == (frame,) * 3, "a reader takes what is not its frame"
        yield replace(world, workers=moved(at="done" if same else "look"))
    elif worker.at == "swap":  # the word is read, then swapped; others may come between
        if worker.word[2] == FILLING and mistake != "take over":
            yield replace(world, workers=moved(at="done"))  # decodes for itself
        elif worker.word[0] > worker.ticket and mistake != "overwrite later tickets":
            yield replace(world, workers=moved(at="done"))
        elif world.word == worker.word:
            word = (worker.ticket, worker.number, FILLING)
            yield replace(world, word=word, workers=moved(at="write 0"))
        else:
            yield replace(world, workers=moved(at="done"))
    elif worker.at.startswith("write"):
        part = int(worker.at[-1])
        parts = put(world.parts, part, frame)
        yield replace(world, parts=parts, workers=moved(at=f"write {part + 1}" if part < 2 else "publish"))
    elif worker.at == "publish":
        word = (worker.ticket, worker.number, FULL)
        yield replace(world, word=word, workers=moved(at="done"))
    elif worker.at == "done" and world.tickets:
        fresh = Sharer(worker.number, world.tickets[0])
        yield replace(world, workers=put(world.workers, at, fresh), tickets=world.tickets[1:])


def check_slot(world):
    ticket, _, state = world.word
    writers = [w for w in world.workers if not w.dead and (w.at.startswith("write") or w.at == "publish")]
    assert len(writers) < 2, "two workers fill one slot"
    if state == FULL:
        assert world.parts == (ticket,) * 3, "a slot is full of what is not its frame"


def walk_slot(mistake=None):
    start = Slot(workers=(Sharer(1, 1), Sharer(2, 2)))
    seen, edge, over = {start}, [start], 0
    while edge:
        world = edge.pop()
        check_slot(world)
        after = list(slot_steps(world, mistake))
        idle = all(worker.at == "done" and not worker.dead for worker in world.workers)
        over += idle and not world.tickets
        assert after or idle, f"stuck: {world}"
        for later in after:
            assert later.word[0] >= world.word[0], "an older ticket overwrites a later one"
        new = set(after) - seen
        seen |= new
        edge.extend(new)
    assert over
    return len(seen)


def test_frame_slots_hold_in_every_order():
    assert walk_slot() > 10_000


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("free the living", "two workers fill|not its frame"),
        ("read without comparing", "a reader takes"),
        ("take over", "two workers fill|not its frame"),
        ("overwrite later tickets", "an older ticket overwrites"),
    ],
)
def test_the_walk_finds_mistakes_with_frame_slots(mistake, said):
    with pytest.raises(AssertionError, match=said):
        walk_slot(mistake)


# One cell and its byte slot. A trainer publishes one ticket after the other. One worker renders it, with
# the bytes that one of two fetchers has read, or without. Bytes are two parts, of the ticket they are for.


class Fetcher(NamedTuple):
    number: int
    at: str = "look"  # look, open, swap, write 0 and 1, settle
    ticket: int = 0
    word: tuple = ()  # of the byte slot, which its swap expects
    part: int = 0  # of the ticket it found in the cell, when it read that
    dead: bool = False


class Reader(NamedTuple):
    number: int
    at: str = "look"  # look, take, swap, read 0 and 1, finish
    ticket: int = 0
    word: tuple = ()
    dead: bool = False


class Cell(NamedTuple):
    ticket: tuple = (1, 0, READY)
    word: tuple = (0, 0, EMPTY)
    parts: tuple = (0, 0)
    reader: Reader = Reader(1)
    fetchers: tuple = (Fetcher(2), Fetcher(3))
    next_process: int = 4
    deaths: int = 2


TICKETS = 3


def cell_steps(world, mistake):
    number, _, state = world.ticket
    if state == DONE and number < TICKETS:
        yield replace(world, ticket=(number + 1, 0, READY))
    reader = world.reader
    if reader.dead:
        again = world.ticket[1:] == (reader.number, CLAIMED)
        yield replace(
            world,
            ticket=(number, 0, READY) if again else world.ticket,
            reader=Reader(world.next_process),
            next_process=world.next_process + 1,
        )
    else:
        yield from reader_steps(world, mistake)
        if world.deaths:
            yield replace(world, reader=replace(reader, dead=True), deaths=world.deaths - 1)
    for at, fetcher in enumerate(world.fetchers):
        if fetcher.dead or mistake == "free the living":
            mine = world.word[1:] == (fetcher.number, FILLING)
            fresh = Fetcher(world.next_process) if fetcher.dead else fetcher
            yield replace(
                world,
                word=(world.word[0], 0, EMPTY) if mine else world.word,
                fetchers=put(world.fetchers, at, fresh),
                next_process=world.next_process + fetcher.dead,
            )
        if not fetcher.dead:
            yield from fetcher_steps(world, at, fetcher, mistake)
            if world.deaths:
                dead = put(world.fetchers, at, replace(fetcher, dead=True))
                yield replace(world, fetchers=dead, deaths=world.deaths - 1)


def fetcher_steps(world, at, fetcher, mistake):
    def moved(**changes):
        return put(world.fetchers, at, replace(fetcher, **changes))

    idle = put(world.fetchers, at, Fetcher(fetcher.number))
    number, _, state = world.ticket
    if fetcher.at == "look" and state == READY:
        yield replace(world, fetchers=moved(at="open", ticket=number))
    elif fetcher.at == "open":
        free = world.word[2] != FILLING or mistake == "take over"
        is_open = free and world.word[0] < fetcher.ticket
        yield replace(world, fetchers=moved(at="swap", word=world.word) if is_open else idle)
    elif fetcher.at == "swap":
        if world.word == fetcher.word or mistake == "claim without comparing":
            word = (fetcher.ticket, fetcher.number, FILLING)
            yield replace(world, word=word, fetchers=moved(at="write 0", word=(), part=number))
        else:
            yield replace(world, fetchers=idle)
    elif fetcher.at in ("write 0", "write 1"):
        part = int(fetcher.at[-1])
        parts = put(world.parts, part, fetcher.part)
        yield replace(world, parts=parts, fetchers=moved(at="settle" if part else "write 1"))
    elif fetcher.at == "settle":
        mine = world.word[1:] == (fetcher.number, FILLING)
        for after in (FULL, EMPTY):
            word = (world.word[0], 0, after) if mine else world.word
            yield replace(world, word=word, fetchers=idle)


def reader_steps(world, mistake):
    reader = world.reader

    def moved(**changes):
        return replace(reader, **changes)

    number, _, state = world.ticket
    if reader.at == "look" and state == READY:
        claimed = (number, reader.number, CLAIMED)
        yield replace(world, ticket=claimed, reader=moved(at="take", ticket=number))
    elif reader.at == "take":  # waiting for a fetcher is taking this step later
        of, _, now = world.word
        if now == FULL and (of == reader.ticket or mistake == "take any bytes"):
            yield replace(world, reader=moved(at="read 0"))
        elif now == FILLING or of >= reader.ticket:
            yield replace(world, reader=moved(at="finish"))
        else:
            yield replace(world, reader=moved(at="swap", word=world.word))
    elif reader.at == "swap":
        same = world.word == reader.word
        word = (reader.ticket, 0, EMPTY) if same else world.word
        yield replace(world, word=word, reader=moved(at="finish" if same else "take", word=()))
    elif reader.at in ("read 0", "read 1"):
        part = int(reader.at[-1])
        assert world.parts[part] == reader.ticket, "a worker reads bytes that are not of its ticket"
        yield replace(world, reader=moved(at="finish" if part else "read 1"))
    elif reader.at == "finish":
        assert world.ticket == (reader.ticket, reader.number, CLAIMED)
        yield replace(world, ticket=(reader.ticket, 0, DONE), reader=Reader(reader.number))


def check_cell(world):
    writing = [f for f in world.fetchers if f.at in ("write 0", "write 1", "settle") and not f.dead]
    assert len(writing) < 2, "two fetchers fill one byte slot"
    assert not (writing and world.reader.at.startswith("read") and not world.reader.dead), "filled while read"


def walk_cell(mistake=None):
    seen, edge, over = {Cell()}, [Cell()], False
    while edge:
        world = edge.pop()
        check_cell(world)
        after = list(cell_steps(world, mistake))
        over |= world.ticket[0] == TICKETS and world.ticket[2] == DONE
        for later in after:
            assert later.word[0] >= world.word[0], "an older ticket overwrites a later one"
        new = set(after) - seen
        seen |= new
        edge.extend(new)
    assert over
    return len(seen)


def test_byte_slots_hold_in_every_order():
    assert walk_cell() > 10_000


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("free the living", "two fetchers fill|filled while read|not of its ticket"),
        ("take over", "two fetchers fill"),
        ("claim without comparing", "two fetchers fill|filled while read|overwrites a later one"),
        ("take any bytes", "not of its ticket"),
    ],
)
def test_the_walk_finds_mistakes_with_byte_slots(mistake, said):
    with pytest.raises(AssertionError, match=said):
        walk_cell(mistake)
