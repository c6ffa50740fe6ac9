"""A small classifier of imagenette's ten classes, trained here in a few minutes, and its accuracy.

    maxtunnel prepare imagenette/train stores/train --size 64
    maxtunnel prepare imagenette/val stores/val --size 64
    python examples/classifier.py                       # writes classifier.safetensors
    maxtunnel protect examples/classifier.py:build --data stores/train --holdout stores/val --size 64 \
        --metric examples/classifier.py:accuracy --out protected

All of these look for their files in the folder that they run in.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from maxtunnel.data import read_photographs
from maxtunnel.data.images import to_float

TRAIN, VAL, WEIGHTS = Path("stores/train"), Path("stores/val"), Path("classifier.safetensors")
SIZE, CLASSES, BATCH = 64, 10, 32
MEASURED = 500  # photographs of VAL, evenly spaced, that `accuracy` is of


class Classifier(nn.Module):
    """Convolution, normalisation, ReLU and pooling, three times; then a mean and a linear layer."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        pairs = zip((3, *widths[:-1]), widths, strict=True)
        self.blocks = nn.Sequential(*(nn.Sequential(block(a, b), nn.MaxPool2d(2)) for a, b in pairs))
        self.last = block(widths[-1], 2 * widths[-1])
        self.head = nn.Linear(2 * widths[-1], CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits from photographs in [0, 1]."""
        return self.head(self.last(self.blocks(images - 0.45)).mean((2, 3)))


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def build() -> Classifier:
    """The classifier that this file trained."""
    model = Classifier()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def accuracy(model: nn.Module) -> torch.Tensor:
    """For each of some photographs of VAL, whether its class has the largest logit: 1 or 0."""
    found = read_photographs(VAL, SIZE, limit=MEASURED)
    right = [
        model(to_float(found.pixels[part])).argmax(1) == found.labels[part]
        for part in torch.arange(len(found.pixels)).split(100)
    ]
    return torch.cat(right).float()


def train(epochs: int = 8, rate: float = 4e-3) -> Classifier:
    """Train on TRAIN, mirrored half of the time and shifted by up to four pixels."""
    torch.manual_seed(0)
    found, model = read_photographs(TRAIN, SIZE), Classifier()
    steps = epochs * (len(found.pixels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for epoch in range(epochs):
        for part in torch.randperm(len(found.pixels))[: steps // epochs * BATCH].split(BATCH):
            images = to_float(found.pixels[part])
            images = images.flip(-1) if torch.rand(()) < 0.5 else images
            shifts = torch.randint(-4, 5, (2,)).tolist()
            loss = F.cross_entropy(model(images.roll(shifts, (2, 3))), found.labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: loss {loss:.3f}", file=sys.stderr)
    return model.eval()


if __name__ == "__main__":
    trained = train()
    save_file(trained.state_dict(), WEIGHTS)
    with torch.no_grad():
        print(f"accuracy on {MEASURED:,} photographs: {accuracy(trained).mean():.1%}")
