"""What pretraining puts on an encoder, and throws away afterwards."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.architecture import Architecture
from maxtunnel.switches.window import Pair


class Classifier(nn.Module):
    """Fully connected 1024-ReLU, 1024-ReLU, classes.

    Args:
        architecture: of the encoder below.
        classes: number of outputs.
        size: (height, width) of the images; unlike the encoder, it takes no other.
        generator: draws the weights, uniform in +-sqrt(3 / fan-in).

    Source: Section III-B; layer widths from the published model files.
    """

    def __init__(
        self, architecture: Architecture, classes: int, size: Pair, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        height, width = architecture.padded_size(size)
        features = architecture.widths[-1] * height * width // architecture.multiple**2
        self.layers = nn.ModuleList(
            _linear(a, b, generator) for a, b in ((features, 1024), (1024, 1024), (1024, classes))
        )

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits from the encoder's deepest features."""
        x = features.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = math.sqrt(3 / inputs)
    with torch.no_grad():
        linear.weight.uniform_(-bound, bound, generator=generator)
        linear.bias.zero_()
    return linear
