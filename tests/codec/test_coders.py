"""The compiled coder against the plain one: the same bytes, on any codes."""

from contextlib import nullcontext

import numpy as np
import pytest

from maxtunnel.codec import coders, plain
from maxtunnel.codec.contexts import choose_peers
from maxtunnel.codec.prior import shipped_priors
from maxtunnel.native import coder, disabled

needs_compiler = pytest.mark.skipif(not coder.supported(), reason="no C++ compiler here")


@needs_compiler
def test_compiled_and_plain_make_the_same_bytes():
    assert coders.is_fast()
    generator = np.random.default_rng(0)
    prior = shipped_priors()[-1]
    for level, size in zip(prior.levels, [(5, 70), (3, 5), (2, 2)], strict=True):
        codes = generator.integers(0, 4, (2, level.channels, *size)).astype(np.uint8)
        codes[:, 1:3] = codes[:, :1]
        codes[0, :, : size[0] // 2] = 0
        above = generator.integers(0, 4, (2, level.channels_above, 2, 35)).astype(np.uint8)
        data = plain.learned(level, codes.copy(), above, None)
        # Noise takes more than two bits a code, for which the compiled version has no room.
        assert coders.learned(level, codes, above, None) in (data, None)
        for function in (plain.learned, coders.learned):
            back = np.zeros_like(codes)
            function(level, back, above, data)
            assert (back == codes).all()
    for cells in (4, 9, 200):
        codes = (generator.random((2, 3, 7, 6)) ** 3 * cells).astype(np.uint8)
        codes[:, 2] = codes[:, 0]
        peers = choose_peers(codes, cells)
        data = plain.adaptive(codes.copy(), cells, peers, None)
        assert coders.adaptive(codes, cells, peers, None) == data
        for function in (plain.adaptive, coders.adaptive):
            back = np.zeros_like(codes)
            function(back, cells, peers, data)
            assert (back == codes).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_learned_model_has_no_rows_for_other_codes(compiled):
    level = shipped_priors()[0].levels[0]
    codes = np.zeros((1, level.channels, 2, 2), np.uint8)
    above = np.zeros((1, level.channels_above, 1, 1), np.uint8)
    with nullcontext() if compiled else disabled():
        for wrong in (codes + 4, above + 255):
            given = (wrong, above) if wrong.shape == codes.shape else (codes, wrong)
            with pytest.raises(ValueError, match="codes 0 to 3 only"):
                coders.learned(level, *given, b"" if wrong.shape != codes.shape else None)
