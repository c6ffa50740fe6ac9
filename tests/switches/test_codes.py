import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from maxtunnel.switches.codes import SwitchCode, SwitchLevel, entropy_of
from maxtunnel.switches.window import Window


def make_code(images=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = [
        SwitchLevel(
            torch.randint(4, (images, 2, side, side), generator=generator, dtype=torch.uint8),
            Window(),
            (2 * side, 2 * side),
        )
        for side in (8, 4)
    ]
    return SwitchCode(tuple(levels), (16, 16))


def test_switch_code_counts_bits():
    code = make_code()
    assert code.nominal_bits == 2 * 2 * (64 + 16)
    assert code.nominal_bits_per_pixel == 320 / (3 * 256)
    level = SwitchLevel(torch.zeros(1, 1, 3, 3, dtype=torch.uint8), Window(3, 2), (7, 7))
    assert level.nominal_bits == pytest.approx(9 * 3.169925)


def test_switch_code_names_both_sides_of_its_images():
    level = SwitchLevel(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), Window(), (8, 10))
    text = "SwitchCode(2 images of height 8, width 10: (3, 4, 5) of 2x2 window with stride 2x2)"
    assert repr(SwitchCode((level,), (8, 10))) == text


def test_switch_code_slices_compares_and_moves():
    code = make_code()
    assert len(code) == 3
    assert len(code[1]) == 1
    assert code[-1] == code[2] == code[2:]
    assert code[0] != code[1]
    assert code == make_code()
    assert code != make_code(seed=1)
    assert code.to("cpu") == code
    assert code != "a code"
    with pytest.raises(IndexError):
        code[3]


def test_switch_code_refuses_what_does_not_fit_together():
    code = make_code()
    with pytest.raises(ValueError, match="different numbers"):
        SwitchCode((code.levels[0], code[:1].levels[1]), (16, 16))
    with pytest.raises(ValueError, match="at least one level"):
        SwitchCode((), (16, 16))
    with pytest.raises(ValueError, match="gives"):
        SwitchLevel(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), Window(), (8, 8))
    with pytest.raises(ValueError, match="a code is 1"):
        SwitchCode((code.levels[0].with_codes(code.levels[0].codes + 9),), (16, 16)).check()


class Codes(Dataset):
    """A code of one image, and its number."""

    def __len__(self):
        return 5

    def __getitem__(self, number):
        return code_of_one(number), number


def code_of_one(seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(4, (1, 3, 4, 4), dtype=torch.uint8, generator=generator)
    return SwitchCode((SwitchLevel(codes, Window(2), (8, 8)),), (8, 8))


def test_a_data_loader_makes_batches_of_codes():
    (first, numbers), (second, _) = DataLoader(Codes(), batch_size=3)
    assert first == SwitchCode.concatenate([code_of_one(seed) for seed in (0, 1, 2)])
    assert numbers.tolist() == [0, 1, 2]
    assert len(second) == 2


def test_counts_add_up_to_the_entropy():
    codes = SwitchCode.concatenate([code_of_one(seed) for seed in range(6)])
    parts = [codes[slice(0, 2)].levels[0].counts, codes[slice(2, 6)].levels[0].counts]
    assert entropy_of(sum(parts)) / 6 == codes.levels[0].entropy_bits
