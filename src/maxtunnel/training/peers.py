"""The processes that share each batch, seen from one of them: what they agree on, and what they pass on."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor, distributed

from maxtunnel.support.parts import Part, Parts, Row, here


class NotLaunched(ValueError):
    """Nothing has started the processes of a training on several machines.

    Attributes:
        devices, nodes: processes of each machine, and machines, that were asked for.
    """

    def __init__(self, devices: int, nodes: int) -> None:
        super().__init__(
            f"`nodes` is {nodes}, but no launcher has started this process: start the same command on every "
            "machine with torchrun, as docs/scale.md shows"
        )
        self.devices, self.nodes = devices, nodes


class PeerLost(ConnectionError):
    """Another process of the training ended before its time; the message says how to go on."""


class Peers:
    """This process among those that share each batch; by default there are no others.

    Args:
        rank: number of this process.
        ranks: how many there are.
        beside: how many of them are on this machine.
        device: where this process computes.
    """

    def __init__(
        self, rank: int = 0, ranks: int = 1, beside: int = 1, device: torch.device | None = None
    ) -> None:
        self.rank, self.ranks, self.beside, self._device = rank, ranks, beside, device

    def any(self, here: bool) -> bool:
        """Whether something is so in any of the processes."""
        return here if self.ranks == 1 else bool(self.total(torch.tensor([float(here)]).double())[0] > 0)

    def all(self, here: bool) -> bool:
        """Whether something is so in all processes."""
        return not self.any(not here)

    def total(self, values: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
        """The sum over all processes, on the CPU.

        It is exact, and the same however many there are, where each value is other than zero in one process.
        """
        if self.ranks == 1:
            return values
        values = values.to(self._device)
        distributed.all_reduce(values)
        return values.cpu()

    def gather(self, number: int) -> list[int]:
        """The number that each process gives, in the order of theirs."""
        numbers = torch.zeros(self.ranks, dtype=torch.float64)
        numbers[self.rank] = number
        return [int(each) for each in self.total(numbers).tolist()]

    def exchange(
        self, sent: Sequence[UInt8[Tensor, "_ bytes"]], counts: Sequence[int]
    ) -> UInt8[Tensor, "n bytes"]:
        """Rows of bytes, given to every process and had from every process, one below the other.

        Args:
            sent: those for each process, in the order of their numbers.
            counts: how many come from each.
        """
        given = torch.cat(list(sent))
        received = given.new_empty(sum(counts), given.shape[1])
        distributed.all_to_all_single(received, given, list(counts), [len(rows) for rows in sent])
        return received

    def spread(
        self, work: Callable[[Part], Row], parts: Sequence[Part], whole_node: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """The parts of a work shared among the processes, as a `Spread`: each gets the rows of all."""
        own = dict(here(work, Parts(range(self.rank, len(parts), self.ranks), parts.__getitem__), whole_node))
        found: list[dict[int, Row]] = [own] * self.ranks
        if self.ranks > 1:
            distributed.all_gather_object(found, own)
        for rank, rows in enumerate(found):
            yield from ((rank + number * self.ranks, row) for number, row in rows.items())

    def wait(self) -> None:
        """Wait for all processes."""
        if self.ranks > 1:
            distributed.barrier()


def connected_peers(device: torch.device, beside: int) -> Peers:
    """The processes that this one is connected to; see `Peers`."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Peers(device=device)
    return Peers(distributed.get_rank(), distributed.get_world_size(), beside, device)


def join_peers() -> None:
    """Connect the processes that torchrun started, before anything can fail in one of them.

    One that ends is noticed by those that are connected to it; before that, they would wait for half an hour.
    """
    if (processes_started() or 1) > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def processes_started() -> int | None:
    """How many processes torchrun started, on all machines; None where it did not start this one."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return None
    return int(os.environ["WORLD_SIZE"])


@contextmanager
def minding_peers(go_on: str) -> Iterator[None]:
    """Tell of another process that ended, which shows as a broken connection.

    Args:
        go_on: how to go on, said at the end of the message.

    Raises:
        PeerLost: the connection to another process broke.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, getattr(distributed, "DistError", ())) or "/gloo/" in str(error)):
            raise
        raise PeerLost(
            f"process {distributed.get_rank()} of {distributed.get_world_size()} lost another one, which "
            f"ended or cannot be reached: what it said stands on its machine; {go_on}"
        ) from None
