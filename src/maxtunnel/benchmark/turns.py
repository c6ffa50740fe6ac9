"""Timing several ways turn and turn about, each in a fresh process of its own, like a person's program.

What a process has allocated before decides how fast its memory is, so ways that share one colour each other.
"""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, TypeVar

import torch

from maxtunnel.support.memory import forget_peak, held_memory, keep_freed_memory

# The arguments that build one way of doing an operation; the last one is its name.
Way = tuple[object, ...]
Result = TypeVar("Result")

TURN_SECONDS = 0.15
FEWEST_CALLS = 3


@dataclass(frozen=True)
class Measured:
    """What one way took.

    Attributes:
        seconds: of every timed call.
        first: of the very first call.
        peak: bytes beyond what the process held before; None where not known.
    """

    seconds: tuple[float, ...]
    first: float
    peak: int | None


def take_turns(
    ways: Sequence[Way], build: Callable[..., Callable[[], object]], repeats: int
) -> list[Measured]:
    """Time `build(*way)()` for each way: `repeats` rounds, in each a turn for every way.

    Args:
        ways: arguments of `build`; a way whose name starts with `ours` runs as the command line does, which
            keeps freed memory.
        build: makes the call in the process where it is timed.
        repeats: rounds.

    Raises:
        RuntimeError: a process failed; the message holds its error.
    """
    context = _context()
    with ExitStack() as stack:
        pipes = []
        for way in ways:
            process, pipe = _start(context, _work, build, way)
            stack.callback(process.join)
            stack.callback(pipe.close)
            pipes.append(pipe)
        # One after another, so that building one does not disturb the first call of another.
        starts = [_ask(pipe) for pipe in pipes]
        rounds = [[_ask(pipe) for pipe in pipes] for _ in range(repeats)]
    return [
        Measured(tuple(second for turns in rounds for second in turns[i]), *starts[i])
        for i in range(len(ways))
    ]


def in_own_process(work: Callable[[], Result]) -> Result:
    """What `work` returns in a fresh process, which keeps freed memory as the command line does.

    Raises:
        RuntimeError: the process failed; the message holds its error.
    """
    process, pipe = _start(_context(), _answer, work)
    try:
        return _ask(pipe)
    finally:
        pipe.close()
        process.join()


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes, with all that it starts on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _context() -> ForkServerContext:
    """Processes forked from one that has imported everything and done nothing yet.

    It must not even have asked whether there is a GPU: CUDA refuses to work in what is forked afterwards.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maxtunnel.benchmark.ways"])
    return context


def _start(
    context: ForkServerContext, target: Callable[..., None], *args: object
) -> tuple[ForkServerProcess, Connection]:
    """A process that runs `target` with its end of a pipe and `args`; and our end."""
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *args), daemon=True)
    process.start()
    # Or its end would stay open when it dies, and we would wait for an answer for ever.
    there.close()
    return process, here


def _ask(pipe: Connection) -> Any:
    try:
        pipe.send(None)
        answer = pipe.recv()
    except (EOFError, OSError):
        raise RuntimeError("a timing process died, perhaps for lack of memory") from None
    if isinstance(answer, Exception):
        raise RuntimeError(f"a timing failed: {answer}") from answer
    return answer


def _answer(pipe: Connection, work: Callable[[], object]) -> None:
    """What a process does that is asked once."""
    try:
        pipe.recv()
        keep_freed_memory()
        pipe.send(work())
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - the parent raises it
        pipe.send(error)


def _work(pipe: Connection, build: Callable[..., Callable[[], object]], way: Way) -> None:
    """What a process does that is timed: it builds and calls once when first asked, then takes turns."""
    try:
        pipe.recv()
        if str(way[-1]).startswith("ours"):
            keep_freed_memory()
        call = build(*way)
        _forget_peak()
        before = _held(peak=False)
        first = timed(call)
        after = _held(peak=True)
        pipe.send((first, None if before is None or after is None else max(after - before, 0)))
        while True:
            pipe.recv()
            pipe.send(_turn(call))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - the parent raises it
        pipe.send(error)


def _turn(call: Callable[[], object]) -> list[float]:
    # Others have used the caches since.
    for _ in range(2):
        timed(call)
    seconds: list[float] = []
    while len(seconds) < FEWEST_CALLS or sum(seconds) < TURN_SECONDS:
        seconds.append(timed(call))
    return seconds


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    forget_peak()


def _held(*, peak: bool) -> int | None:
    if not torch.cuda.is_available():
        return held_memory(peak=peak)
    return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
