"""The engine under every training, Lightning Fabric: devices, processes, and the one step of an update."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.support.choices import Logger
from maxtunnel.switches.pending import carrying, checks_of, plain
from maxtunnel.training.batch import Batch
from maxtunnel.training.graph import Graph
from maxtunnel.training.peers import NotLaunched, join_peers, processes_started
from maxtunnel.training.recipes import Recipe

_IMPORTING = Lock()


@runtime_checkable
class Fabric(Protocol):
    """What training uses of Lightning's Fabric."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""

    @property
    def world_size(self) -> int:
        """Processes that share each batch."""

    @property
    def global_rank(self) -> int:
        """The number of this process among them."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is the one that writes files."""

    def setup(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[Callable[..., tuple[Tensor, Tensor]], torch.optim.Optimizer]:
        """Both as they share their gradients, in the precision of the run."""

    def backward(self, tensor: Tensor) -> None:
        """Add a loss's gradients to the parameters."""

    def all_reduce(self, data: Tensor, *, reduce_op: str) -> Tensor:
        """Sum or mean of a tensor over all processes."""

    def barrier(self) -> None:
        """Wait for all processes."""


def check_launched(devices: int, nodes: int) -> None:
    """Refuse a training on several machines that no launcher started, and join the others of one that was.

    To be called before anything is read: without a launcher each machine would wait for the others in vain.

    Args:
        devices: processes of each machine.
        nodes: machines.

    Raises:
        NotLaunched: nothing has started this process as one of several machines.
        ValueError: torchrun started another number of processes.
    """
    if nodes > 1 and not _launched():
        raise NotLaunched(devices, nodes)
    started = processes_started()
    if started not in (None, devices * nodes):
        raise ValueError(
            f"`devices` x `nodes` is {devices} x {nodes}, but the launcher started {started} processes: let "
            "it start `devices` of them on each of `nodes` machines"
        )
    join_peers()


def _launched() -> bool:
    """Whether torchrun, Slurm, LSF, MPI or a person's own settings say which machine this is."""
    by_hand = "MASTER_ADDR" in os.environ and not os.environ.keys().isdisjoint(("NODE_RANK", "GROUP_RANK"))
    if by_hand or processes_started() is not None:
        return True
    _import_fabric()
    from lightning.fabric.plugins.environments.lsf import LSFEnvironment
    from lightning.fabric.plugins.environments.mpi import MPIEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    return any(kind.detect() for kind in (SLURMEnvironment, LSFEnvironment, MPIEnvironment))


def start_fabric(recipe: Recipe, devices: int = 1, nodes: int = 1) -> Fabric:
    """Start the processes of a training; each comes back from here on a device of its own.

    Args:
        recipe: gives the precision, which must be resolved.
        devices: GPUs, or processes on a CPU, of each machine.
        nodes: machines.
    """
    _import_fabric()
    from lightning.fabric import Fabric as LightningFabric
    from lightning.fabric.plugins import MixedPrecision

    class Autocast(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            # Targets keep their precision; layers take what they need.
            return data

    # It announces its precision to everyone.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    bf16 = recipe.precision == "bf16"
    fabric: Any = LightningFabric(
        accelerator="auto",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        plugins=Autocast("bf16-mixed", "cuda" if torch.cuda.is_available() else "cpu") if bf16 else None,
    )
    fabric.launch()
    # Batches are of one shape, so the search for the fastest convolutions is done once.
    torch.backends.cudnn.benchmark = True
    return fabric


@runtime_checkable
class FigureLogger(Protocol):
    """What a run uses of Lightning's loggers."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Note figures by their names."""

    def finalize(self, status: str) -> None:
        """Write out what is still held."""


def check_logger(name: Logger | None) -> None:
    """Refuse a logger whose library is not installed; ValueError says so."""
    if name is not None and find_spec(name) is None:
        raise ValueError(f"`logger` is {name}, which is not installed: pip install 'maxtunnel[{name}]'")


def start_logger(name: Logger, run: Path, step: int) -> FigureLogger:
    """Lightning's logger of this name for a run.

    Args:
        name: what it writes to.
        run: the run's folder, whose name the run has there too; TensorBoard's files are in it.
        step: the step that is resumed. TensorBoard drops what comes after it; with the others each start is a
            run of its own, and where they write is said by their own environment variables.
    """
    check_logger(name)
    _import_fabric()
    logger: Any
    if name == "tensorboard":
        from lightning.fabric.loggers.tensorboard import TensorBoardLogger

        logger = TensorBoardLogger(run, name="", version="tensorboard", purge_step=step + 1)
        return logger
    from lightning.pytorch import loggers

    if name == "wandb":
        logger = loggers.WandbLogger(name=run.resolve().name, project="maxtunnel", save_dir=run)
    else:
        logger = loggers.MLFlowLogger(experiment_name="maxtunnel", run_name=run.resolve().name)
    return logger


def _import_fabric() -> None:
    """Import `lightning.fabric` alone, which takes less than half the time of all of Lightning.

    `lightning/__init__.py` imports everything, that imports torchmetrics, and that imports torchvision where
    it is installed. One that was built for another PyTorch raises, and no training needs it.
    """
    with _IMPORTING:
        if "lightning.fabric" in sys.modules:
            return
        package = find_spec("lightning")
        if package is None or package.origin is None:
            raise ModuleNotFoundError("Lightning is not installed: pip install lightning")
        # The package without what its __init__.py does: enough to find its parts.
        stand_ins = {"lightning": module_from_spec(package)}
        with suppress(PackageNotFoundError):
            metrics: Any = ModuleType("torchmetrics")
            # Fabric asks for no more of it.
            metrics.__version__ = version("torchmetrics")
            stand_ins["torchmetrics"] = metrics
        stand_ins = {name: module for name, module in stand_ins.items() if name not in sys.modules}
        sys.modules.update(stand_ins)
        try:
            import_module("lightning.fabric")
        finally:
            # Whoever imports the whole of either gets it, and is told what is wrong.
            for name in stand_ins:
                del sys.modules[name]
        if "lightning" in stand_ins:
            sys.meta_path.insert(0, _Whole("lightning", package.origin))


class _Whole(SourceFileLoader):
    """Loads a package for whoever imports it after some of its parts, which are its attributes then, too."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """What `sys.meta_path` asks for."""
        return spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the package's __init__.py."""
        for name, part in tuple(sys.modules.items()):
            package, _, last = name.rpartition(".")
            if package == self.name:
                setattr(module, last, part)
        super().exec_module(module)


def place(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device, with the weights of its convolutions channels-last."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def make_optimizer(trained: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of a module that lies where it is trained.

    Each group has a `factor`: how many times the recipe's rate is its own.
    """
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in trained.parameters():
        factor = recipe.bias_rate if p.ndim == 1 else (8 / p.shape[1]) ** recipe.width_rate
        by_kind.setdefault((factor, 0.0 if p.ndim == 1 else recipe.weight_decay), []).append(p)
    groups: list[dict[str, Any]] = [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in by_kind.items()
    ]
    if recipe.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, eps=recipe.epsilon)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.betas[0])
    device = next(trained.parameters()).device
    on_cuda = device.type == "cuda"
    for group in groups:
        # A rate that lies on the device can be changed for a step that is replayed there.
        group["lr"] = torch.zeros((), device=device) if on_cuda else 0.0
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, betas=recipe.betas, eps=recipe.epsilon, fused=True, capturable=on_cuda)


class Update:
    """The one step of any training: learning rate, loss, gradient, new weights.

    On a GPU that shares its batches with no other process, the step is recorded as one CUDA graph once a few
    were done, and replayed: hundreds of launches become one. Where batches hold settings, in tuples, there is
    a recording of each.

    Args:
        fabric: from `start_fabric`.
        task: gives loss and metric of a batch; a `Phase`.
        optimizer: from `make_optimizer`.
    """

    def __init__(self, fabric: Fabric, task: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._fabric = fabric
        self._task, self._optimizer = fabric.setup(task, optimizer)
        alone = fabric.device.type == "cuda" and fabric.world_size == 1
        # AdamW is one of Adam's kind, and like it can be replayed.
        self._replays = alone and isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the recording, after the optimiser's state was replaced by another."""
        self._graphs: dict[Batch, Graph] = {}

    def __call__(self, rate: float, batch: Batch) -> Float[Tensor, "2"]:
        """Update the weights at a learning rate; the loss and the metric that the batch had before."""
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * group["factor"])
            else:
                group["lr"] = rate * group["factor"]
        # What is wrong with the batch is said where the result is looked at.
        return carrying(self._step_for(batch)(plain(batch)), checks_of(batch))

    def _step_for(self, batch: Batch) -> Callable[[Batch], Tensor]:
        if not self._replays:
            return self._step
        settings = tuple(part for part in batch if isinstance(part, tuple))
        return self._graphs.setdefault(settings, Graph(self._step))

    def _step(self, batch: Batch) -> Float[Tensor, "2"]:
        loss, metric = self._task(*batch)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        self._optimizer.step()
        return torch.stack([loss.detach().float(), metric.detach().float()])
