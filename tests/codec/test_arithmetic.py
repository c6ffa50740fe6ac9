import math
import random

import numpy as np

from maxtunnel.codec.arithmetic import LEAST, Coder, squash_table, stretch_table


def test_tables_are_the_logistic_function_and_its_inverse():
    logits = np.arange(-2048, 2048)
    exact = 65536 / (1 + np.exp(-logits / 256))
    assert np.abs(squash_table() - exact.clip(LEAST, 65536 - LEAST))[1:].max() <= 0.501
    assert (np.diff(squash_table().astype(int)) >= 0).all()
    inner = stretch_table()[64:-64]
    probability = (np.arange(4096)[64:-64] + 0.5) / 4096
    assert np.abs(inner - 256 * np.log(probability / (1 - probability))).max() < 1.6


def test_the_coder_comes_close_to_the_entropy():
    generator = random.Random(0)
    bits = [
        (int(generator.random() < p / 65536), p) for p in (generator.randint(64, 65472) for _ in range(20000))
    ]
    writer = Coder()
    for bit, probability in bits:
        writer.code(bit, probability)
    data = writer.finish()
    ideal = sum(-math.log2(p / 65536 if bit else 1 - p / 65536) for bit, p in bits)
    assert ideal <= 8 * len(data) < ideal * 1.001 + 16
    reader = Coder(data)
    assert [reader.code(0, probability) for _, probability in bits] == [bit for bit, _ in bits]
