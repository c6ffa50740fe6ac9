"""The reader that a model is fine-tuned against."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.auditing.readers import Decoder
from maxtunnel.protection.levels import Shares
from maxtunnel.training.recipes import Recipe


class Adversary:
    """A decoder that reads a model's switches while the model learns to tell it less.

    Args:
        reader: is trained on; it lies where the model does.
        mean: of the photographs.
        recipe: its optimiser's rate and betas, and the reader's inner scale. The rate does not fall: the
            model that it reads changes until the end.
    """

    def __init__(self, reader: Decoder, mean: Float[Tensor, "3 h w"], recipe: Recipe) -> None:
        self.reader, self._mean, self._scale = reader, mean, recipe.scale
        self._optimizer = torch.optim.AdamW(
            reader.parameters(), recipe.learning_rate, recipe.betas, recipe.epsilon, weight_decay=0.0
        )

    def learn(self, codes: Sequence[UInt8[Tensor, "n _ _ _"]], images: Float[Tensor, "n 3 h w"]) -> None:
        """One step of the reader on the switches as they are."""
        target = self._target(images)
        loss = self.reader.squared_error(codes, target) / (2 * len(target))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def explained(self, shares: Shares, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
        """The share of the pixels' variance that the reader explains, differentiable in `shares` alone.

        At least 0: who rebuilds worse than the mean image could show that instead, so a model gains nothing
        by leading the reader further astray, and there is no gradient.
        """
        target = self._target(images)
        self.reader.requires_grad_(False)
        try:
            squares = self.reader.squared_error(shares, target)
        finally:
            self.reader.requires_grad_(True)
        return (1 - squares / target.square().sum()).clamp(min=0)

    def _target(self, images: Tensor) -> Tensor:
        device = next(self.reader.parameters()).device
        return ((images - self._mean) * self._scale).to(device, memory_format=torch.channels_last)
