"""The paper's network as a good PyTorch user writes it by hand today: what ours is compared with.

Nothing of this package is used: convolutions, transposed convolutions, `max_pool2d(return_indices=True)`,
`max_unpool2d`, a frozen encoder under `no_grad`, Adagrad.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F


class StockNetwork(nn.Module):
    """Encoder and decoder of Table I.

    Args:
        widths: filters per block, outermost first.
        fast: what costs a user two lines more: channels-last and, in the decoder, bfloat16 autocast.
    """

    def __init__(self, widths: Sequence[int], fast: bool = False) -> None:
        super().__init__()
        blocks = list(zip((3, *widths[:-1]), widths, strict=True))
        self.encoder = nn.ModuleList(
            nn.Conv2d(c, d, 3, padding=1) for a, b in blocks for c, d in ((a, b), (b, b))
        ).requires_grad_(False)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(c, d, 3, padding=1) for a, b in reversed(blocks) for c, d in ((b, b), (b, a))
        )
        self.bias_code = nn.Parameter(torch.rand(widths[-1]))
        self.fast = fast
        if fast:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "n 3 h w"]) -> list[Int64[Tensor, "n _ _ _"]]:
        """Plane indices of every level, finest first."""
        if self.fast:
            x = x.contiguous(memory_format=torch.channels_last)
        indices = []
        for layer, conv in enumerate(self.encoder):
            x = F.relu(conv(x))
            if layer % 2:
                x, where = F.max_pool2d(x, 2, return_indices=True)
                indices.append(where)
        return indices

    def decode(self, indices: list[Int64[Tensor, "n _ _ _"]]) -> Float[Tensor, "n 3 h w"]:
        """Images from the indices."""
        with torch.autocast(self.bias_code.device.type, torch.bfloat16, enabled=self.fast):
            x = self.bias_code[:, None, None].expand(indices[-1].shape)
            for layer, deconv in enumerate(self.decoder):
                if layer % 2 == 0:
                    x = F.max_unpool2d(x, indices[-1 - layer // 2], [2, 2])
                x = deconv(x)
                if layer < len(self.decoder) - 1:
                    x = F.relu(x)
        return x.float()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The decoder's, made once the network lies where it is trained: its sums lie beside the weights."""
        return torch.optim.Adagrad([self.bias_code, *self.decoder.parameters()], lr=0.01, eps=1e-8)

    def train_step(self, x: Float[Tensor, "n 3 h w"], optimizer: torch.optim.Optimizer) -> None:
        """One step of the decoder on images minus their mean, in grey levels."""
        loss = (self.decode(self.encode(x)) - x).square().sum() / (2 * len(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
