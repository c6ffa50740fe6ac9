"""Measure a trained network, and store it as it ships: with what it reached, its decoder in half precision.

python tools/ship.py RUN src/maxtunnel/zoo/weights/8-8-8-strong.safetensors --val imagenette/val [--data NAME]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from maxtunnel.data import read_photographs
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.zoo.names import load

# Half precision may cost no more than this.
MOST_LOST = 0.0002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--data", help="what to call the photographs that it was trained on")
    parser.add_argument(
        "--whole", action="store_true", help="compare with whole precision, on 200 photographs"
    )
    asked = parser.parse_args()
    network = load(asked.run)
    val = read_photographs(asked.val, 128, "bilinear").pixels
    if asked.whole:
        some = val[torch.linspace(0, len(val) - 1, 200).long()]
        network.save(asked.out, half=True)
        rmse = [evaluate(each, some, bits_images=0).rmse for each in (network, load(asked.out))]
        print(f"half precision: {rmse[1]:.6f}, whole: {rmse[0]:.6f}")
        if rmse[1] - rmse[0] > MOST_LOST:
            raise SystemExit(f"half precision costs {rmse[1] - rmse[0]:.6f}: more than {MOST_LOST}")
    network.save(asked.out, half=True)
    network = TunnelNetwork.load(asked.out)
    if network.provenance.training is None:
        raise SystemExit(f"{asked.run} does not say how it was trained: train it to its end")
    result = evaluate(network, val, on_progress=lambda phase, done, of, note: print(done, of, end="\r"))
    record = replace(
        network.provenance.training,
        data=asked.data or network.provenance.training.data,
        val="/".join(asked.val.resolve().parts[-2:]),
        val_images=result.images,
        rmse=result.rmse,
        rmse_ci95=result.rmse_ci95,
        stored_bits_per_pixel=result.bits_per_pixel.stored,
        bits_images=result.bits_images,
    )
    network.provenance = replace(network.provenance, training=record)
    network.save(asked.out, half=True)
    print(
        f"{asked.out.stem}: RMSE {result.rmse:.4f} on {result.images:,} photographs, "
        f"PSNR {result.psnr:.2f} dB, SSIM {result.ssim:.3f}"
    )


if __name__ == "__main__":
    main()
