import pytest
import torch

from maxtunnel.switches.packing import bits_of, pack, packed_size, unpack


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 9, 16, 20, 100, 200, 256])
@pytest.mark.parametrize("shape", [(1, 1003), (3, 5, 4, 2), (2, 7), (0, 8), (1, 300_000)])
def test_what_is_unpacked_equals_what_was_packed(cells, shape):
    bits = bits_of(cells)
    codes = torch.randint(cells, shape, generator=torch.Generator().manual_seed(cells), dtype=torch.uint8)
    packed = pack(codes, bits)
    count = codes[0].numel() if len(codes) else 8
    assert packed.shape == (len(codes), packed_size(count, bits))
    assert torch.equal(unpack(packed, shape[1:], bits), codes)


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 9, 16, 200, 256])
def test_codes_take_the_least_whole_bits_from_the_lowest_on(cells):
    codes = torch.randint(cells, (2, 1003), generator=torch.Generator().manual_seed(cells), dtype=torch.uint8)
    bits = max(cells - 1, 0).bit_length()
    for row, packed in zip(codes.tolist(), pack(codes, bits_of(cells)), strict=True):
        # Python's own integers as the oracle.
        number = sum(code << bits * place for place, code in enumerate(row))
        assert bytes(packed.tolist()) == number.to_bytes(-(-1003 * bits // 8), "little")


def test_codes_of_any_memory_format():
    codes = torch.randint(4, (2, 3, 6, 6), dtype=torch.uint8).permute(0, 2, 3, 1)
    assert not codes.is_contiguous()
    assert torch.equal(unpack(pack(codes, 2), codes.shape[1:], 2), codes)
