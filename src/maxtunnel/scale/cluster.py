"""A Ray cluster as an engine: parts become tasks, which are done again where a worker is lost.

The only file that knows Ray. What is computed knows nothing of it (`support.parts`).
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from maxtunnel.support.choices import Engine
from maxtunnel.support.parts import Part, Row, Spread, here

# A part whose worker is lost is done again so many times before all of the work fails.
RETRIES = 5
# Parts that are handed out before they can be done, for each that is being done: no worker waits for one.
_AHEAD = 2
_SECONDS = 10  # for the cluster's machine to answer


def start_engine(
    engine: Engine = "here", ray_address: str | None = None, gpus: float = 0.0
) -> AbstractContextManager[Spread]:
    """What does the parts of a work, while it is entered.

    Args:
        engine: `here`, this process; or `ray`.
        ray_address: of a Ray cluster that runs already, such as `auto` or `10.0.0.1:6379`; by default one is
            started on this machine, and stopped in the end.
        gpus: of a node that a part takes; 0 for processors alone, 0.5 for two parts on each GPU. A part that
            can use a whole node then has its share of the node's processors.

    Raises:
        ValueError: an address or GPUs for what is no cluster; Ray is not installed; there is no cluster at
            the address, or none with such GPUs; this process is connected to one already.
    """
    if engine == "ray":
        return _cluster(ray_address, gpus)
    for name, value in (("ray_address", ray_address), ("gpus", gpus)):
        if value:
            raise ValueError(f"`{name}` is {value}, and `engine` is {engine}: give `engine` ray as well")
    return nullcontext(here)


@contextmanager
def _cluster(ray_address: str | None, gpus: float) -> Iterator[Spread]:
    ray = _import()
    if ray.is_initialized():
        raise ValueError("`engine` is ray, and this process is connected to a cluster: shut that down before")
    try:
        _connect(ray, ray_address)
        if gpus and max(_of_nodes(ray, "GPU"), default=0) < gpus:
            raise ValueError(f"`gpus` is {gpus:g}, and the cluster has no node with that: leave it out")
        yield _Cluster(ray, gpus)
    finally:
        ray.shutdown()


class _Cluster:
    """See `Spread`.

    Args:
        ray: the library, connected.
        gpus: that a part takes.
    """

    def __init__(self, ray: Any, gpus: float) -> None:
        self._ray, self._gpus = ray, gpus

    def __call__(
        self, work: Callable[[Part], Row], parts: Sequence[Part], whole_node: bool = False
    ) -> Iterator[tuple[int, Row]]:
        cpus = self._share() if whole_node else 1.0
        options = {"num_cpus": cpus, "num_gpus": self._gpus, "max_retries": RETRIES}
        if max(_of_nodes(self._ray, "GPU"), default=0) <= 1:
            # Ray ends a process after each part that had a GPU, as the next may get another one. Where no
            # node has two it keeps the same: a start takes longer than many a part.
            options["max_calls"] = 0
        task = self._ray.remote(**options)(_do).options(name=f"maxtunnel {type(work).__name__}")
        # Kept once a node, and not sent with every part.
        shared = self._ray.put(work)
        running: dict[Any, int] = {}
        following = 0
        try:
            while running or following < len(parts):
                room = self._room(cpus)
                while following < len(parts) and len(running) < room:
                    reference = task.remote(shared, parts[following], os.getcwd(), int(cpus), self._gpus)
                    running[reference] = following
                    following += 1
                done, _ = self._ray.wait(list(running))
                for reference in done:
                    yield running.pop(reference), self._result(reference)
        finally:
            # Who stops listening may let go of this only when the cluster is left: asked for anything then,
            # Ray would start another one.
            if self._ray.is_initialized():
                for reference in running:
                    self._ray.cancel(reference)

    def _share(self) -> float:
        """Processors of a part that can use many: the smallest node's, or what goes with its GPUs there."""
        nodes = zip(_of_nodes(self._ray, "CPU"), _of_nodes(self._ray, "GPU"), strict=True)
        if not self._gpus:
            return min((cpus for cpus, _ in nodes if cpus), default=1.0)
        shares = [cpus // int(gpus / self._gpus) for cpus, gpus in nodes if gpus >= self._gpus]
        return max(1.0, min(shares, default=1.0))

    def _room(self, cpus: float) -> int:
        """How many parts may be under way: a cluster may grow, or lose a node."""
        total = self._ray.cluster_resources()
        slots = total.get("CPU", 1) / cpus
        if self._gpus:
            slots = min(slots, total.get("GPU", 0) / self._gpus)
        return _AHEAD * max(1, int(slots))

    def _result(self, reference: Any) -> Any:
        """What a task gave; its own exception, without the worker's traceback in the message."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, self._ray.exceptions.RaySystemError):
                last = _lines(error.cause)[-1]
                raise ValueError(
                    f"a worker cannot do its part ({last}): install the same maxtunnel, and what else the "
                    "work needs, on every node"
                ) from error
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            first = _lines(error)[0]
            raise ValueError(
                f"a part of the work was lost {RETRIES + 1} times ({first}): see to the nodes' memory, "
                "and run the same command again, which goes on"
            ) from error


def _lines(error: BaseException) -> list[str]:
    """What an error says; its kind where it says nothing."""
    return str(error).strip().splitlines() or [type(error).__name__]


def _of_nodes(ray: Any, resource: str) -> list[float]:
    """How much of something each node has."""
    return [float(node["Resources"].get(resource, 0)) for node in ray.nodes() if node["Alive"]]


def _do(work: Callable[[Part], Row], part: Part, folder: str, threads: int, gpus: float) -> Row:
    """Do one part, in a worker."""
    import torch

    # A training would otherwise do without, hours long.
    if gpus and not torch.cuda.is_available():
        raise ValueError(
            f"`gpus` is {gpus:g}, and PyTorch on {socket.gethostname()} can use none: install a build of it "
            "for the GPUs of every node, or leave `gpus` out"
        )
    # A worker that has done parts of another size keeps its threads otherwise.
    torch.set_num_threads(max(1, threads))
    # Paths are given as they are seen from here.
    with suppress(OSError):
        os.chdir(folder)
    return work(part)


def _import() -> Any:
    """Ray, which tells nobody that it is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Otherwise a part without a GPU would be kept from seeing those that there are, with a warning.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ValueError("`engine` is ray, which is not installed: pip install ray") from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    options = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    # It warns that nobody else on this machine may give work to a cluster that it starts: so it should be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is None:
        ray.init(address="local", include_dashboard=False, **options)
        return
    try:
        _knock(address)
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        first = _lines(error)[0]
        raise ValueError(
            f"`ray_address` is {address}, where no cluster answers ({first}): start one there, as "
            "docs/scale.md says, or leave it out for one of its own on this machine"
        ) from None


def _knock(address: str) -> None:
    """OSError where nobody answers at an address with a port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
