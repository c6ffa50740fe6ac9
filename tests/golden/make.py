"""Make network.npz: a small network forward, backward and 20 steps of the paper's recipe, in float64, with
nothing but PyTorch's stock layers and a hand-written Adagrad. Run by hand: `python tests/golden/make.py`."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

WIDTHS, SIDE, IMAGES, STEPS, BATCH = (3, 4, 5), 16, 12, 20, 4


def draw(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Weights in Caffe's layout: convolutions (out, in, 3, 3), deconvolutions (in, out, 3, 3)."""
    inputs = (3, *WIDTHS[:-1])
    weights = {}
    for block, (a, b) in enumerate(zip(inputs, WIDTHS, strict=True), 1):
        layers = [
            (f"conv{block}_1", b, a),
            (f"conv{block}_2", b, b),
            (f"deconv{block}_1", b, b),
            (f"deconv{block}_2", b, a),
        ]
        for name, first, second in layers:
            shape = (first, second, 3, 3)
            # Caffe's fan-in: everything but the first axis, for both kinds.
            bound = (3 / (second * 9)) ** 0.5
            weights[f"{name}.weight"] = (
                torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
            ) * bound
            outputs = first if name.startswith("conv") else second
            weights[f"{name}.bias"] = torch.randn(outputs, generator=generator, dtype=torch.float64) * 0.1
    weights["bias_code"] = torch.rand(WIDTHS[-1], generator=generator, dtype=torch.float64) + 0.5
    return weights


def forward(weights: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    masks = []
    for block in range(1, len(WIDTHS) + 1):
        for layer in (1, 2):
            name = f"conv{block}_{layer}"
            x = F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
        x, mask = F.max_pool2d(x, 2, return_indices=True)
        masks.append(mask)
    y = weights["bias_code"].view(1, -1, 1, 1).expand_as(x)
    for block in range(len(WIDTHS), 0, -1):
        y = F.max_unpool2d(y, masks[block - 1], 2)
        for layer in (1, 2):
            name = f"deconv{block}_{layer}"
            y = F.conv_transpose2d(y, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)
            y = y if (block, layer) == (1, 2) else F.relu(y)
    return y, masks


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = draw(generator)
    data = torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), generator=generator).double()
    mean = data.mean(0)
    arrays = {"images": data.byte().numpy(), "mean": mean.numpy()}
    arrays |= {f"start.{name}": value.numpy().copy() for name, value in weights.items()}
    trained = [name for name in weights if not name.startswith("conv")]
    for name in trained:
        weights[name].requires_grad_()

    output, masks = forward(weights, data - mean)
    loss = (output - (data - mean)).square().sum() / (2 * IMAGES)
    gradients = torch.autograd.grad(loss, [weights[name] for name in trained])
    arrays |= {"output": output.detach().numpy(), "loss": loss.item()}
    arrays |= {f"mask{level}": mask.to(torch.int32).numpy() for level, mask in enumerate(masks, 1)}
    arrays |= {f"grad.{name}": gradient.numpy() for name, gradient in zip(trained, gradients, strict=True)}

    history, losses = {name: torch.zeros_like(weights[name]) for name in trained}, []
    for step in range(STEPS):
        batch = (data - mean)[[(step * BATCH + i) % IMAGES for i in range(BATCH)]]
        output, _ = forward(weights, batch)
        loss = (output - batch).square().sum() / (2 * BATCH)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, [weights[name] for name in trained])
        with torch.no_grad():
            for name, gradient in zip(trained, gradients, strict=True):
                rate = 0.01 if name.endswith("weight") else 0.02
                history[name] += gradient**2
                weights[name] -= rate * gradient / (history[name].sqrt() + 1e-8)
    arrays["losses"] = np.array(losses)
    np.savez_compressed(Path(__file__).with_name("network.npz"), **arrays)


if __name__ == "__main__":
    main()
