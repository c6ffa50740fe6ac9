"""Timing several ways turn and turn about, each in a process of its own, like a person's program.

What a process has allocated before decides how fast its memory is, and settings are those of a whole process,
so ways that share one colour each other.
"""

import gc
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, TypeVar

import torch

from maxtunnel.support.files import one_line, with_kind
from maxtunnel.support.memory import forget_peak, held_memory, keep_freed_memory

# The arguments that build one way of doing an operation; the last one is its name.
Way = tuple[object, ...]
Build = Callable[..., Callable[[], object]]
Result = TypeVar("Result")

FEWEST = 3  # figures of a turn
# Calls before them: on a GPU, whose steps are recorded after a few, more than on a CPU.
WARM_UP, GPU_WARM_UP = 2, 6
TURN_SECONDS = 0.15
# A GPU works behind the calls, so there a figure is the mean of as many calls in a row as fill a block.
GPU_TURN_SECONDS, GPU_BLOCK_SECONDS, MOST_CALLS = 0.04, 0.01, 100
_BUILD, _FIRST, _TURN, _DROP = "build", "first", "turn", "drop"


@dataclass(frozen=True)
class Measured:
    """What one way took.

    Attributes:
        seconds: a call, for every figure that was taken.
        first: of the very first call.
        peak: bytes beyond what the process held before; None where not known.
    """

    seconds: tuple[float, ...]
    first: float
    peak: int | None


@dataclass(frozen=True)
class Failed:
    """A way that could not be timed.

    Attributes:
        error: why, in one line.
    """

    error: str


class Crew:
    """Processes that time ways, each of which has one of its own, by its name.

    On a CPU every operation is timed in fresh ones. On a GPU, where each takes seconds to start, they stay
    for all operations and give the GPU's memory back after each.

    Args:
        build: makes the call of a way, from the way, in the process where it is timed.
        lasting: whether processes stay; by default on a GPU.
    """

    def __init__(self, build: Build, lasting: bool | None = None) -> None:
        self._build = build
        self._lasting = torch.cuda.is_available() if lasting is None else lasting
        self._context = _context()
        self._workers: dict[str, _Worker] = {}

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._workers):
            self._dismiss(name)

    def start(self, names: Sequence[str]) -> None:
        """Let processes for ways of these names start, all at once, where they will stay."""
        if self._lasting:
            for name in names:
                self._worker(name)

    def take_turns(self, ways: Sequence[Way], repeats: int) -> list[Measured | Failed]:
        """Time each way: `repeats` rounds, in each a turn for every way.

        Args:
            ways: arguments of `build`, the last of which is a name that no other has; where that starts with
                `ours` the process keeps freed memory, as the command line does.
            repeats: rounds.
        """
        todo = {str(way[-1]): way for way in ways}
        failed: dict[str, str] = {}
        starts: dict[str, tuple[float, int | None]] = {}
        seconds: dict[str, list[float]] = {name: [] for name in todo}
        if self._lasting:
            # Building is the work of the CPU, all of it done before anything is timed.
            for name, way in todo.items():
                self._worker(name).tell((_BUILD, way))
            for name in todo:
                self._answer(name, failed)
        for name, way in todo.items():
            if not self._lasting:
                # One after another, so that building one does not disturb the first call of another.
                self._ask(name, failed, _BUILD, way)
            starts[name] = self._ask(name, failed, _FIRST)
        for _ in range(repeats):
            for name in todo:
                seconds[name] += self._ask(name, failed, _TURN) or []
        self._end(list(todo), failed)
        return [
            Failed(failed[name]) if name in failed else Measured(tuple(seconds[name]), *starts[name])
            for name in todo
        ]

    def _ask(self, name: str, failed: dict[str, str], what: str, way: Way = ()) -> Any:
        """The answer of a way's process; None where the way has failed."""
        if name in failed:
            return None
        self._worker(name).tell((what, way))
        return self._answer(name, failed)

    def _answer(self, name: str, failed: dict[str, str]) -> Any:
        try:
            return self._workers[name].answer()
        except RuntimeError as error:
            failed[name] = one_line(error)
            # After an error of a GPU nothing works any more in a process.
            self._dismiss(name)
            return None

    def _end(self, names: Sequence[str], failed: dict[str, str]) -> None:
        for name in names:
            if self._lasting:
                self._ask(name, failed, _DROP)
            else:
                self._dismiss(name)

    def _worker(self, name: str) -> "_Worker":
        if name not in self._workers:
            keeps = name.startswith("ours")
            self._workers[name] = _Worker(self._context, _work, self._build, keeps)
        return self._workers[name]

    def _dismiss(self, name: str) -> None:
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.end()


def take_turns(ways: Sequence[Way], build: Build, repeats: int) -> list[Measured]:
    """As `Crew.take_turns`, in processes that start and end here.

    Raises:
        RuntimeError: a process failed; the message holds its error.
    """
    found = []
    with Crew(build) as crew:
        for each in crew.take_turns(ways, repeats):
            if isinstance(each, Failed):
                raise RuntimeError(each.error)
            found.append(each)
    return found


def in_own_process(work: Callable[[], Result]) -> Result:
    """What `work` returns in a fresh process, which keeps freed memory as the command line does.

    Raises:
        RuntimeError: the process failed; the message holds its error.
    """
    worker = _Worker(_context(), _do, work)
    try:
        worker.tell(None)
        return worker.answer()
    finally:
        worker.end()


def timed(call: Callable[[], object], calls: int = 1) -> float:
    """Seconds that a call takes, with all that it starts on a GPU; the mean of `calls` in a row."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / calls


def _context() -> BaseContext:
    """How processes are started: never by a fork of one that has asked for a GPU, as CUDA refuses that.

    Where there is a GPU each starts anew. Where there is none they are forked, which is quicker, from one
    that has imported everything and done nothing yet.
    """
    if torch.cuda.is_available():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maxtunnel.benchmark.ways"])
    return context


class _Worker:
    """A process that runs `target` with its end of a pipe and `args`, and our end."""

    def __init__(self, context: Any, target: Callable[..., None], *args: object) -> None:
        self._pipe, there = context.Pipe()
        self._process: BaseProcess = context.Process(target=target, args=(there, *args), daemon=True)
        self._process.start()
        # Or its end would stay open when it dies, and we would wait for an answer for ever.
        there.close()

    def tell(self, what: object) -> None:
        """Give it something to do; where it is dead, `answer` says so."""
        try:
            self._pipe.send(what)
        except OSError:
            return

    def answer(self) -> Any:
        """What it answers; RuntimeError with its error, or where it died."""
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError("a timing process died, perhaps for lack of memory") from None
        if isinstance(answer, Failed):
            raise RuntimeError(f"a timing failed: {answer.error}")
        return answer

    def end(self) -> None:
        """Let it end once it has done what it does."""
        self._pipe.close()
        self._process.join()


def _do(pipe: Connection, work: Callable[[], object]) -> None:
    """What a process does that is asked once."""
    keep_freed_memory()
    _serve(pipe, lambda _: work())


def _work(pipe: Connection, build: Build, keeps: bool) -> None:
    """What a process does that is timed."""
    if keeps:
        keep_freed_memory()
    calls: list[Callable[[], object]] = []

    def do(asked: tuple[str, Way]) -> object:
        what, way = asked
        if what == _BUILD:
            calls[:] = [build(*way)]
        elif what == _FIRST:
            return _first(calls[0])
        elif what == _TURN:
            return _turn(calls[0])
        else:
            calls.clear()
            _give_back()
        return None

    _serve(pipe, do)


def _serve(pipe: Connection, do: Callable[[Any], object]) -> None:
    """Answer what is asked until nobody asks any more."""
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = do(asked)
        except Exception as error:  # noqa: BLE001 - the parent raises it
            answer = Failed(with_kind(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def _first(call: Callable[[], object]) -> tuple[float, int | None]:
    """Seconds of the first call, and the bytes that it held beyond those before."""
    _forget_peak()
    before = _held(peak=False)
    first = timed(call)
    after = _held(peak=True)
    return first, None if before is None or after is None else max(after - before, 0)


def _turn(call: Callable[[], object]) -> list[float]:
    # Others have used the caches since.
    cuda = torch.cuda.is_available()
    once = [timed(call) for _ in range(GPU_WARM_UP if cuda else WARM_UP)][-1]
    enough, calls = TURN_SECONDS, 1
    if cuda:
        enough, calls = GPU_TURN_SECONDS, min(max(1, round(GPU_BLOCK_SECONDS / once)), MOST_CALLS)
    seconds: list[float] = []
    while len(seconds) < FEWEST or sum(seconds) * calls < enough:
        seconds.append(timed(call, calls))
    return seconds


def _give_back() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    forget_peak()


def _held(*, peak: bool) -> int | None:
    if not torch.cuda.is_available():
        return held_memory(peak=peak)
    return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
