"""The paper's network as a good PyTorch user writes it by hand today: what ours is compared with.

Nothing of this package is used: convolutions, transposed convolutions, `max_pool2d(return_indices=True)`,
`max_unpool2d`, a frozen encoder under `no_grad`, Adagrad; and what a user adds to make that faster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

_WARM_UP = 3  # calls before a graph is recorded, as PyTorch's documentation has it


@dataclass(frozen=True)
class Form:
    """What a user does to the plain network to make it faster, or more exact.

    Attributes:
        channels_last: the memory format of weights and images.
        bfloat16: autocast in the decoder; the encoder, which defines the switches, keeps its float32.
        exact: float32 without TF32, which PyTorch's convolutions use on a GPU unless they are told not to.
        fused: AdamW in one kernel in the place of Adagrad.
        graph: all kernels of a call as one CUDA graph; of a training step with AdamW, as Adagrad cannot be
            recorded.
        autotune: let cuDNN try its kernels out.
    """

    channels_last: bool = False
    bfloat16: bool = False
    exact: bool = False
    fused: bool = False
    graph: bool = False
    autotune: bool = False

    def settle(self) -> None:
        """Make the settings of the whole process that the form asks for."""
        if self.exact:
            torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        if self.autotune:
            torch.backends.cudnn.benchmark = True


PLAIN = Form()


class StockNetwork(nn.Module):
    """Encoder and decoder of Table I.

    Args:
        widths: filters per block, outermost first.
        form: how it is computed.
        layers: convolutions of each block; two by default.
    """

    def __init__(self, widths: Sequence[int], form: Form = PLAIN, layers: Sequence[int] = ()) -> None:
        super().__init__()
        self.layers = tuple(layers or [2] * len(widths))
        filters = [3, *(b for b, count in zip(widths, self.layers, strict=True) for _ in range(count))]
        self.encoder = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(filters)
        ).requires_grad_(False)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 3, padding=1) for a, b in pairwise(reversed(filters))
        )
        self.bias_code = nn.Parameter(torch.rand(widths[-1]))
        self.form = form
        if form.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "n 3 h w"]) -> list[Int64[Tensor, "n _ _ _"]]:
        """Plane indices of every level, finest first."""
        if self.form.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        indices = []
        convs = iter(self.encoder)
        for count in self.layers:
            for conv in islice(convs, count):
                x = F.relu(conv(x))
            x, where = F.max_pool2d(x, 2, return_indices=True)
            indices.append(where)
        return indices

    def decode(self, indices: list[Int64[Tensor, "n _ _ _"]]) -> Float[Tensor, "n 3 h w"]:
        """Images from the indices."""
        with torch.autocast(self.bias_code.device.type, torch.bfloat16, enabled=self.form.bfloat16):
            x = self.bias_code[:, None, None].expand(indices[-1].shape)
            deconvs = iter(self.decoder)
            for count, where in zip(reversed(self.layers), reversed(indices), strict=True):
                x = F.max_unpool2d(x, where, [2, 2])
                for deconv in islice(deconvs, count):
                    x = deconv(x) if deconv is self.decoder[-1] else F.relu(deconv(x))
        return x.float()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The decoder's, made once the network lies where it is trained: its sums lie beside the weights."""
        trained = [self.bias_code, *self.decoder.parameters()]
        if self.form.fused or self.form.graph:
            return torch.optim.AdamW(trained, lr=0.01, fused=True, capturable=self.form.graph)
        return torch.optim.Adagrad(trained, lr=0.01, eps=1e-8)

    def train_step(self, x: Float[Tensor, "n 3 h w"], optimizer: torch.optim.Optimizer) -> None:
        """One step of the decoder on images minus their mean, in grey levels."""
        loss = (self.decode(self.encode(x)) - x).square().sum() / (2 * len(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Graphed:
    """A call whose kernels are recorded as one CUDA graph when it is first called, and then replayed.

    Args:
        call: reads and writes the same tensors every time, and looks at no value.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: object = None

    def __call__(self) -> object:
        """What `call` returns, in the memory of the call before."""
        if self._graph is None:
            self._graph = self._record()
        self._graph.replay()
        return self._result

    def _record(self) -> torch.cuda.CUDAGraph:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._call()
        return graph
