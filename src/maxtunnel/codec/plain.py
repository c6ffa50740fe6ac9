"""Entropy coding of a level in NumPy and Python: codec.cpp's oracle, and its substitute without a compiler.

Both functions write the codes they are given; with `data` they read codes from it into the array instead.
"""

import numpy as np

from maxtunnel.codec.arithmetic import Coder, squash_table, stretch_table
from maxtunnel.codec.contexts import LIMIT, MOST, READS, SLOTS
from maxtunnel.codec.prior import HIDDEN, OWN, LevelPrior
from maxtunnel.switches.window import Pair

TILE = 64
OUTSIDE = 4


def learned(prior: LevelPrior, codes: np.ndarray, above: np.ndarray, data: bytes | None) -> bytes:
    """Code a level, (n, c, h, w), by a learned model, given the level above."""
    coder = Coder(data)
    for plane, plane_above in zip(codes, above, strict=True):
        known = np.full_like(_pad(plane, 2 + prior.reach[0] // 2), OUTSIDE)
        for top in range(0, plane.shape[1], TILE):
            for left in range(0, plane.shape[2], TILE):
                tile = plane[:, top : top + TILE, left : left + TILE]
                _tile(prior, coder, tile, (top, left), known, plane_above)
    return coder.finish()


def _tile(
    prior: LevelPrior, coder: Coder, codes: np.ndarray, place: Pair, known: np.ndarray, above: np.ndarray
) -> None:
    """Code a tile that lies at `place`; `known` has the codes so far, padded, and takes in the new ones."""
    margin = 2 + prior.reach[0] // 2
    _, height, width = codes.shape
    sum_ = _gather_above(prior, above, place, (height, width))
    for channel in range(len(codes)):
        hidden = np.maximum(sum_ + prior.bias[channel], 0).reshape(-1, HIDDEN)
        # Sums stay far below 2^53, so doubles are exact.
        products = hidden.astype(np.float64) @ prior.middle[channel].astype(np.float64)
        units = (products.astype(np.int64) + prior.middle_bias[channel] >> 6).reshape(height, width, -1)
        plane = known[channel, place[0] :, place[1] :]
        for y, x in np.ndindex(height, width):
            cells = [int(plane[y + margin + down, x + margin + right]) for down, right in OWN]
            logits = _logits(prior, channel, units[y, x], cells)
            code = int(codes[channel, y, x])
            row = coder.code(code >> 1, _squash(logits[0]))
            code = row << 1 | coder.code(code & 1, _squash(logits[1 + row]))
            codes[channel, y, x] = plane[y + margin, x + margin] = code
        for cell in range(prior.trunk.shape[1]):
            down, right = (step - prior.reach[0] // 2 + margin for step in divmod(cell, prior.reach[0]))
            sum_ += prior.trunk[channel, cell][plane[down : down + height, right : right + width]]


def _logits(prior: LevelPrior, channel: int, units: np.ndarray, cells: list[int]) -> list[int]:
    units = (units + prior.own[channel, np.arange(len(OWN)), cells].sum(0)).clip(0, 32767)
    logits = prior.out_bias[channel] + prior.out[channel].astype(np.int64) @ units >> 4
    return logits.clip(-2047, 2047).tolist()


def _gather_above(prior: LevelPrior, above: np.ndarray, place: Pair, size: Pair) -> np.ndarray:
    reach, sum_ = prior.reach[1], np.zeros((*size, HIDDEN), np.int16)
    rows, columns = (np.arange(start, start + side) for start, side in zip(place, size, strict=True))
    places = (rows % 2 * 2)[:, None] + columns % 2
    for channel, plane in enumerate(above[: prior.channels_above]):
        for cell in range(reach * reach):
            y, x = rows // 2 + cell // reach - reach // 2, columns // 2 + cell % reach - reach // 2
            inside = ((y >= 0) & (y < plane.shape[0]))[:, None] & (x >= 0) & (x < plane.shape[1])
            seen = plane[y.clip(0, plane.shape[0] - 1)[:, None], x.clip(0, plane.shape[1] - 1)]
            sum_ += prior.above[channel, cell][np.where(inside, seen, OUTSIDE), places]
    return sum_


def _squash(logit: int) -> int:
    return int(squash_table()[logit + 2048])


def adaptive(codes: np.ndarray, cells: int, peers: np.ndarray, data: bytes | None) -> bytes:
    """Code a level, (n, c, h, w), of windows of `cells` cells by a model that learns as it goes."""
    bits = (cells - 1).bit_length()
    coder, mixer = Coder(data), _Mixer(bits)
    known = np.zeros_like(_pad(codes, 2))
    for channel in range(codes.shape[1]):
        mixer.forget()
        sources = [channel, *peers[channel].tolist()]
        reads = [
            [(sources[source], down + 2, right + 2) for source, down, right in reads if sources[source] >= 0]
            for reads in READS
        ]
        for image, y, x in np.ndindex(len(codes), *codes.shape[2:]):
            planes = known[image]
            hashes = [
                _hash([int(planes[c, y + down, x + right]) for c, down, right in read], cells, bits)
                for read in reads
            ]
            code = _window(coder, mixer, hashes, cells, bits, int(codes[image, channel, y, x]))
            codes[image, channel, y, x] = planes[channel, y + 2, x + 2] = code
    return coder.finish()


def _hash(seen: list[int], cells: int, bits: int) -> int:
    value = 0
    for code in seen:
        value = (value * cells + code) & 0xFFFFFFFF
    return (value << bits & 0xFFFFFFFF) % SLOTS


def _window(coder: Coder, mixer: "_Mixer", slots: list[int], cells: int, bits: int, code: int) -> int:
    node = 1
    for left in reversed(range(bits)):
        # Where the upper half names no cell there is nothing to decide.
        upper = ((node << 1 | 1) << left) - (1 << bits)
        node = node << 1 | (mixer.decide(coder, slots, node, code >> left & 1) if upper < cells else 0)
    return node - (1 << bits)


class _Mixer:
    """Counters of what followed each context, and the weights that mix their predictions."""

    def __init__(self, bits: int) -> None:
        start = 65536 * 16 // (10 * len(READS))
        self.weights = np.full((1 << bits, len(READS) + 1), start, np.int64)
        self.forget()

    def forget(self) -> None:
        self.probability = np.full((len(READS), SLOTS), 32768, np.int64)
        self.seen = np.zeros((len(READS), SLOTS), np.int64)

    def decide(self, coder: Coder, slots: list[int], node: int, bit: int) -> int:
        at = np.arange(len(READS)), np.array(slots) + node
        probability, seen, weights = self.probability[at], self.seen[at], self.weights[node]
        confidence = 256 * (10 * seen + 4) // (10 * seen + 19)
        inputs = np.append(stretch_table()[probability >> 4] * confidence >> 8, 256)
        logit = int((weights * inputs).sum()) >> 16
        mixed = _squash(max(-2047, min(2047, logit)))
        bit = coder.code(bit, mixed)
        step = inputs * (((bit << 16) - mixed) * 6) + (1 << 17) >> 18
        self.weights[node] = (weights + step).clip(-MOST, MOST)
        step = ((65535 if bit else 0) - probability) * (327680 // (10 * seen + 16)) >> 15
        self.probability[at] = probability + step
        self.seen[at] = np.minimum(seen + 1, LIMIT)
        return bit


def _pad(codes: np.ndarray, margin: int) -> np.ndarray:
    return np.pad(codes, [(0, 0)] * (codes.ndim - 2) + [(margin, margin)] * 2)
