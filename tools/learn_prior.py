"""Learn the prior of an encoder's switches (src/maxtunnel/codec/prior.py) from photographs.

    python tools/learn_prior.py 8-8-8 STORE --out src/maxtunnel/codec/priors/8-8-8.safetensors \
        --rounds 12000x16+14000x32,7000x16,6000x16

A round is so many steps of Adam on so many blocks of 8x8 windows each, with the rate on a cosine.
docs/codec.md has the rounds of the priors that ship.
"""

import argparse
import ctypes
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from maxtunnel.codec.prior import FORMAT, HIDDEN, MIDDLE, OWN
from maxtunnel.data import read_photographs
from maxtunnel.data.batches import PIECE, Pixels, cut
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import replacing
from maxtunnel.zoo.names import load

ARRAYS = ("bias", "trunk", "above", "middle", "middle_bias", "own", "out", "out_bias")
MARGIN, BLOCK, RATE, BOUND = 4, 8, 4e-3, 1.98


class Geometry(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in (
            "channels",
            "height",
            "width",
            "channels_above",
            "height_above",
            "width_above",
            "reach",
            "above_reach",
        )
    )


class Layout(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in ARRAYS)


class Learner:
    """The weights of one level in floating point, and the steps that improve them.

    Args:
        codes: uint8, (n, c, h, w).
        above: of the level above, with no channels for the deepest.
        reach: sides of the neighbourhoods in the level and in the one above.
    """

    def __init__(self, codes: np.ndarray, above: np.ndarray, reach: tuple[int, int]) -> None:
        self.library = compile_library()
        self.codes, self.above = pad(codes), pad(above)
        self.images, channels, height, width = codes.shape
        self.geometry = Geometry(channels, height, width, *above.shape[1:], *reach)
        areas = reach[0] ** 2, reach[1] ** 2
        self.shapes = {
            "bias": (channels, HIDDEN),
            "trunk": (channels, areas[0], 4, HIDDEN),
            "above": (above.shape[1], areas[1], 4, 4, HIDDEN),
            "middle": (channels, HIDDEN, MIDDLE),
            "middle_bias": (channels, MIDDLE),
            "own": (channels, len(OWN), 4, MIDDLE),
            "out": (channels, 3, MIDDLE),
            "out_bias": (channels, 3),
        }
        ends = np.cumsum([math.prod(shape) for shape in self.shapes.values()])
        self.layout = Layout(0, *ends[:-1].tolist())
        self.weights = np.zeros(ends[-1], np.float32)
        self._draw({
            "bias": 0.1,
            "trunk": 0.7 / math.sqrt(areas[0] * max(4, channels / 3)),
            "above": 0.5 / math.sqrt(areas[1] * max(1, above.shape[1])),
            "middle": 1.4 / math.sqrt(HIDDEN),
            "own": 0.2,
            "out": 0.5 / math.sqrt(MIDDLE),
        })  # fmt: skip

    def learn(self, steps: int, blocks: int, seed: int) -> None:
        """One round."""
        random = np.random.default_rng(seed)
        gradient, mean, square = (np.zeros_like(self.weights) for _ in range(3))
        for step in range(1, steps + 1):
            places = self._places(blocks, random)
            bits = self._bits(places, gradient)
            rate = RATE * min(1, step / 100) * (1 + math.cos(math.pi * step / steps)) / 2 + 1e-5
            self.library.adam(
                *(pointer(array) for array in (self.weights, gradient, mean, square)),
                ctypes.c_int64(len(self.weights)),
                ctypes.c_int64(step),
                *(ctypes.c_float(value) for value in (rate, 1 / len(places), BOUND)),
            )
            if step % 500 == 0:
                print(
                    f"step {step}: {bits / len(places) / self.geometry.channels:.4f} bits a switch",
                    flush=True,
                )

    def whole_numbers(self) -> dict[str, np.ndarray]:
        """The weights as a prior holds them: rows in 64ths in a byte, sums of products in 4096ths."""
        kinds = {"bias": (64, np.int16), "middle_bias": (4096, np.int32), "out_bias": (4096, np.int32)}
        arrays = {}
        for name, shape in self.shapes.items():
            scale, kind = kinds.get(name, (64, np.int8))
            start = getattr(self.layout, name)
            values = self.weights[start : start + math.prod(shape)].reshape(shape)
            arrays[name] = np.rint(values * scale).astype(kind)
        return arrays

    def _draw(self, scales: dict[str, float]) -> None:
        random = np.random.default_rng(0)
        for name, scale in scales.items():
            start, count = getattr(self.layout, name), math.prod(self.shapes[name])
            self.weights[start : start + count] = random.standard_normal(count) * scale

    def _places(self, blocks: int, random: np.random.Generator) -> np.ndarray:
        sides = min(BLOCK, self.geometry.height), min(BLOCK, self.geometry.width)
        image = random.integers(0, self.images, blocks)
        top = random.integers(0, self.geometry.height - sides[0] + 1, blocks)
        left = random.integers(0, self.geometry.width - sides[1] + 1, blocks)
        rows, columns = (
            top[:, None, None] + np.arange(sides[0])[:, None],
            left[:, None, None] + np.arange(sides[1]),
        )
        places = np.stack(np.broadcast_arrays(image[:, None, None], rows, columns), axis=-1)
        return np.ascontiguousarray(places.reshape(-1, 3), np.int32)

    def _bits(self, places: np.ndarray, gradient: np.ndarray) -> float:
        self.library.bits.restype = ctypes.c_double
        return self.library.bits(
            ctypes.byref(self.geometry),
            ctypes.byref(self.layout),
            *(pointer(array) for array in (self.codes, self.above, places)),
            ctypes.c_int64(len(places)),
            pointer(self.weights),
            pointer(gradient),
        )


def compile_library() -> ctypes.CDLL:
    target = Path(tempfile.mkdtemp()) / "learn_prior.so"
    flags = ("-Ofast", "-march=native", "-std=c++17", "-fPIC", "-shared")
    subprocess.run(["c++", *flags, str(Path(__file__).with_suffix(".cpp")), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def pad(codes: np.ndarray) -> np.ndarray:
    edges = ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    return np.ascontiguousarray(np.pad(codes, edges, constant_values=4))


def capture(network: TunnelNetwork, pixels: Pixels, drawn: np.ndarray) -> list[np.ndarray]:
    """The codes of every level of some photographs, finest first, and of the one above the deepest: none."""
    codes = []
    for some in torch.from_numpy(drawn).split(PIECE):
        images = cut(pixels, some, torch.zeros(len(some), dtype=torch.bool), network.device)
        codes.append([level.codes.numpy() for level in network.encode(images).levels])
    levels = [np.concatenate(each) for each in zip(*codes, strict=True)]
    return [*levels, np.zeros((len(drawn), 0, 0, 0), np.uint8)]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", required=True, help="Of each level, finest first.")
    parser.add_argument("--reach", type=int, default=5)
    parser.add_argument("--above", type=int, default=3)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--size", type=int, default=128, help="Side of the photographs in pixels.")
    arguments = parser.parse_args()
    if not re.fullmatch(r"\d+x\d+([+,]\d+x\d+)*", arguments.rounds):
        parser.error(
            f"--rounds is {arguments.rounds!r}: expected steps x blocks, such as 3000x16+500x32,1500x16"
        )
    return arguments


def main() -> None:
    arguments = read_arguments()
    network = load(arguments.model)
    given, needed = len(arguments.rounds.split(",")), len(network.architecture.widths)
    if given != needed:
        sys.exit(f"--rounds has {given} levels, but {arguments.model} has {needed}: give rounds for each")
    pixels = read_photographs(arguments.data, arguments.size).pixels
    drawn = np.sort(np.random.default_rng(1).permutation(len(pixels))[: arguments.images])
    levels = capture(network, pixels, drawn)
    arrays = {}
    for number, rounds in enumerate(arguments.rounds.split(",")):
        learner = Learner(levels[number], levels[number + 1], (arguments.reach, arguments.above))
        for seed, text in enumerate(rounds.split("+"), 1):
            print(f"level {number + 1}, round {text}")
            learner.learn(*(int(part) for part in text.split("x")), seed)
        arrays |= {f"{number}.{name}": array for name, array in learner.whole_numbers().items()}
    info = {"data": arguments.data.name, "images": len(drawn), "rounds": arguments.rounds}
    metadata = {"format": FORMAT, "encoder": network.encoder_hash(), "info": json.dumps(info)}
    with replacing(arguments.out) as temporary:
        save_file(arrays, temporary, metadata)


if __name__ == "__main__":
    main()
