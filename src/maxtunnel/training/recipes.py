"""How networks are trained: the paper's recipe to the letter, and ours."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from maxtunnel.support.choices import DecoderKind, RecipeName

PhaseName = Literal["train", "pretrain"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides the network, the photographs and the seed.

    Attributes:
        name: what the command line calls it.
        optimizer: `torch.optim` class.
        learning_rate: of weights; at its highest where it changes.
        width_rate: the rate of a layer with c input channels is times (8 / c) to this power, so that one
            rate serves all widths.
        bias_rate: times `learning_rate` for biases and the bias code.
        epsilon: added to the optimiser's root.
        betas: AdamW's; the first is the momentum of SGD.
        steps: number of batches.
        batch: images a step, over all devices.
        warmup: share of the steps over which the rate rises from 0.
        decay: whether the rate then falls to 0 along half a cosine.
        drops: shares of the steps from which on the rate is a tenth of what it was before.
        weight_decay: times the weights, added to their gradient, as Caffe does; not of biases. AdamW takes it
            off the weights themselves, times the rate.
        scale: the network's inner image scale; 255 means grey levels.
        bias_code: start value of every channel's bias code; None draws it like Caffe.
        reshuffle: a new order for every pass over the photographs; otherwise one order, read cyclically.
        flips: mirror half of the photographs.
        average: the share of the steps, reckoned back from the present one, over which the weights are
            averaged for use; 0 for none.
        precision: `32`, or `bf16` for the decoder's arithmetic; weights and encoder stay float32. `auto` is
            `bf16` where the machine is fast at it: `resolved` decides when a run starts.
        noise: how much Gumbel noise helps to choose switches at first, where an encoder is trained through
            them (`models.surrogate`).
        noise_share: of the steps, over which it falls linearly to none.
        temperature: of the softmax in the place of a switch, at first.
        rate_weight: the mean squared error, values in [0, 1], that a bit per pixel and colour channel is
            worth, by the estimate of `models.rate`.
        withheld: the share of the batches of which the decoder is given the coarsest levels alone, one of
            them up to all but the finest, so that it learns to do without the others.
    """

    name: str
    optimizer: Literal["adagrad", "adam", "adamw", "sgd"]
    learning_rate: float
    width_rate: float
    bias_rate: float
    epsilon: float
    betas: tuple[float, float]
    steps: int
    batch: int
    warmup: float
    decay: bool
    scale: float
    bias_code: float | None
    reshuffle: bool
    flips: bool
    precision: Literal["auto", "32", "bf16"]
    average: float = 0.0
    noise: float = 0.0
    noise_share: float = 5 / 6
    temperature: float = 1.0
    rate_weight: float = 0.0
    weight_decay: float = 0.0
    drops: tuple[float, ...] = ()
    withheld: float = 0.0

    def rate(self, step: int) -> float:
        """Learning rate of the weights in step `step`, counted from 0."""
        rise = round(self.warmup * self.steps)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        if not self.decay:
            return self.learning_rate * 0.1 ** sum(step >= share * self.steps for share in self.drops)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (self.steps - rise)))

    def noise_at(self, step: int) -> float:
        """How much noise there is in step `step`, counted from 0."""
        return self.noise * max(0.0, 1 - step / (self.noise_share * self.steps))

    def resolved(self) -> "Recipe":
        """The recipe as it is run on this machine: its precision is `32` or `bf16`, never `auto`."""
        if self.precision != "auto":
            return self
        return replace(self, precision="bf16" if bf16_supported() else "32")


def bf16_supported() -> bool:
    """Whether bfloat16 is multiplied in one step; imitated, it costs three times float32 or more."""
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


# Sections III-B and VIII, and the published solver files.
PAPER = Recipe(
    name="paper",
    optimizer="adagrad",
    learning_rate=0.01,
    width_rate=0.0,
    bias_rate=2.0,
    epsilon=1e-8,
    betas=(0.0, 0.0),
    steps=50_000,
    batch=16,
    warmup=0.0,
    decay=False,
    scale=255.0,
    bias_code=None,
    reshuffle=False,
    flips=False,
    precision="32",
)


# Chosen by short runs of 8-8-8 and 16-16-16 on imagenette: docs/training.md.
FAST = Recipe(
    name="fast",
    optimizer="adamw",
    learning_rate=0.02,
    width_rate=1.0,
    bias_rate=1.0,
    epsilon=1e-8,
    betas=(0.9, 0.99),
    steps=3000,
    batch=16,
    warmup=0.1,
    decay=True,
    scale=4.0,
    bias_code=1.0,
    reshuffle=True,
    flips=False,
    precision="auto",
)

# Of the strong decoder: docs/training.md.
STRONG = replace(
    FAST,
    learning_rate=8e-4,
    width_rate=0.0,
    steps=5000,
    batch=64,
    flips=True,
    average=0.02,
)

# Of encoder and decoder together, by the kind of the decoder: docs/learned.md.
LEARNED: dict[DecoderKind, Recipe] = {
    "mirrored": replace(FAST, flips=True, average=0.02, noise=0.3),
    "strong": replace(STRONG, noise=0.3),
}

# For the classifier on the encoder; the paper's recipe serves both phases.
FAST_PRETRAIN = replace(FAST, learning_rate=0.005, steps=3000, flips=True)

# Of the what-where autoencoder; `batch` is labelled images, beside which go unlabelled ones.
SWWAE_FAST = replace(
    FAST,
    learning_rate=2e-3,
    width_rate=0.0,
    steps=3000,
    batch=64,
    scale=1.0,
    precision="32",
)

# "Stochastic gradient descent" is what others quote of the paper; its rate, momentum, batch and how long it
# was trained could not be read, and are ours here.
SWWAE_PAPER = replace(
    SWWAE_FAST,
    name="paper",
    optimizer="sgd",
    learning_rate=0.02,
    betas=(0.9, 0.0),
    steps=50_000,
    warmup=0.0,
    decay=False,
)

# Of the all-convolutional networks and those with max pooling beside them: docs/studies/all-conv.md.
ALL_CONV_FAST = replace(
    FAST,
    learning_rate=1e-3,
    width_rate=0.0,
    steps=3000,
    batch=128,
    scale=1.0,
    precision="32",
)

# 350 passes over CIFAR-10's 50,000 images. Their rate was the best of 0.25, 0.1, 0.05 and 0.01 for each
# network; how many images a step had is not known.
ALL_CONV_PAPER = replace(
    ALL_CONV_FAST,
    name="paper",
    optimizer="sgd",
    learning_rate=0.05,
    betas=(0.9, 0.0),
    steps=350 * 391,
    warmup=0.0,
    decay=False,
    weight_decay=1e-3,
    drops=(200 / 350, 250 / 350, 300 / 350),
)

# Of networks that answer for every pixel (`training.dense`): docs/training.md.
DENSE_FAST = replace(
    FAST,
    learning_rate=1e-2,
    width_rate=0.0,
    steps=2000,
    batch=8,
    scale=1.0,
    flips=True,
    precision="32",
    weight_decay=1e-2,
)

# As the authors' solver files have it. Of DeconvNet this is the second stage; its first one has 20,000 steps,
# and the rate drops after 9,000. CEDN's batch is 8 crops of one image.
DECONVNET = replace(
    DENSE_FAST,
    name="paper",
    optimizer="sgd",
    learning_rate=0.01,
    bias_rate=2.0,
    betas=(0.9, 0.0),
    steps=40_000,
    batch=64,
    warmup=0.0,
    decay=False,
    weight_decay=5e-4,
    drops=(0.25, 0.5, 0.75),
)
SEGNET = replace(DECONVNET, learning_rate=0.001, steps=40_000, batch=4, flips=False, drops=())
SEGNET_BASIC = replace(SEGNET, learning_rate=0.1, steps=10_000)
CEDN = replace(
    SEGNET,
    optimizer="adam",
    learning_rate=1e-5,
    betas=(0.9, 0.999),
    steps=600_000,
    batch=8,
    flips=True,
    weight_decay=1e-3,
)

RECIPES: dict[PhaseName, dict[RecipeName, Recipe]] = {
    "train": {"fast": FAST, "paper": PAPER},
    "pretrain": {"fast": FAST_PRETRAIN, "paper": PAPER},
}


def recipe_of(
    phase: PhaseName, name: RecipeName, decoder: DecoderKind = "mirrored", learned: bool = False
) -> Recipe:
    """The recipe of this name.

    Args:
        phase: what is trained.
        name: `paper` or `fast`.
        decoder: its kind, where that is trained.
        learned: whether the encoder is trained with it.

    Raises:
        ValueError: the paper's recipe is asked for with a decoder that is not the paper's, or an encoder that
            is not to stay as it is.
    """
    if phase == "pretrain" or (decoder == "mirrored" and not learned):
        return RECIPES[phase][name]
    if name != "fast":
        which = "an encoder that is not trained with it" if learned else "the paper's decoder"
        what = "one that learns" if learned else "a strong one"
        raise ValueError(f"recipe {name!r} is of {which}: leave `recipe` out for {what}")
    return LEARNED[decoder] if learned else STRONG
