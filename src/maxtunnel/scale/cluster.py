"""A Ray cluster as an engine: parts become tasks, which are done again where a worker is lost.

The only file that knows Ray. What is computed knows nothing of it (`support.parts`).
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from maxtunnel.support.choices import Engine
from maxtunnel.support.parts import Part, Row, Spread, here

# A part whose worker is lost is done again so many times before all of the work fails.
RETRIES = 5
# Parts that are handed out before they can be done, for each that is being done: no worker waits for one.
_AHEAD = 2


def start_engine(
    engine: Engine = "here", ray_address: str | None = None, gpus: float = 0.0
) -> AbstractContextManager[Spread]:
    """What does the parts of a work, while it is entered.

    Args:
        engine: `here`, this process; or `ray`.
        ray_address: of a Ray cluster that runs already, such as `auto` or `10.0.0.1:6379`; by default one is
            started on this machine, and stopped in the end.
        gpus: of a node that a part takes; 0 for processors alone, 0.5 for two parts on each GPU.

    Raises:
        ValueError: an address or GPUs for what is no cluster; Ray is not installed; there is no cluster at
            the address, or none with GPUs.
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
    _connect(ray, ray_address)
    try:
        if gpus and ray.cluster_resources().get("GPU", 0) < gpus:
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
        cpus = self._smallest_node() if whole_node else 1.0
        options = {"num_cpus": cpus, "num_gpus": self._gpus, "max_retries": RETRIES}
        task = self._ray.remote(**options)(_do).options(name=f"maxtunnel {type(work).__name__}")
        # Kept once a node, and not sent with every part.
        shared = self._ray.put(work)
        running: dict[Any, int] = {}
        following = 0
        try:
            while running or following < len(parts):
                while following < len(parts) and len(running) < self._room(cpus):
                    running[task.remote(shared, parts[following], os.getcwd(), int(cpus))] = following
                    following += 1
                done, _ = self._ray.wait(list(running))
                for reference in done:
                    yield running.pop(reference), self._result(reference)
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def _room(self, cpus: float) -> int:
        """How many parts may be under way: a cluster may grow, or lose a node."""
        total = self._ray.cluster_resources()
        slots = total.get("CPU", 1) / cpus
        if self._gpus:
            slots = min(slots, total.get("GPU", 0) / self._gpus)
        return _AHEAD * max(1, int(slots))

    def _smallest_node(self) -> float:
        """Processors of the smallest node that has any: every node can take such a part."""
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return min((cpus for cpus in nodes if cpus), default=1.0)

    def _result(self, reference: Any) -> Any:
        """What a task gave; its own exception, without the worker's traceback in the message."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, self._ray.exceptions.RaySystemError):
                last = str(error.cause).strip().splitlines()[-1]
                raise ValueError(
                    f"a worker cannot do its part ({last}): install the same maxtunnel, and what else the "
                    "work needs, on every node"
                ) from error
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            raise ValueError(
                f"a part of the work was lost {RETRIES + 1} times ({first}): see to the nodes' memory, "
                "and run the same command again, which goes on"
            ) from error


def _do(work: Callable[[Part], Row], part: Part, folder: str, threads: int) -> Row:
    """Do one part, in a worker."""
    import torch

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
    if address is None:
        # Nobody else on this machine may give it work. It is what Ray does by itself, with a warning.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        ray.init(address="local", include_dashboard=False, **options)
        return
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`ray_address` is {address}, where no cluster answers ({first}): start one with "
            "ray start --head, or leave it out for one of its own on this machine"
        ) from None
