"""The strong decoder: what it takes, how far a switch reaches, and its file."""

from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maxtunnel.models import tiling
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.mirrored import Level, levels_of
from maxtunnel.models.strong import StrongDecoder, _expected
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window

WINDOWS = (
    Window(),
    Window(3, 2),
    Window(3, 2, 1),
    Window(3, 1, 1),
    Window((2, 1), (2, 1)),
    Window(4),
    Window(5, 1, 2),
    Window(16),
)


def awake(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with no layer at zero, so that all of it has a say."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.ndim == 4:
            bound = (3 / parameter[0].numel()) ** 0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return module


def network(widths: tuple[int, ...] = (4, 6, 5)) -> TunnelNetwork:
    mean = torch.full((3, 16, 16), 0.5)
    made = TunnelNetwork(Architecture(widths), mean, 4.0, strong_width=8)
    awake(made.decoder)
    return made


def codes_of(code: SwitchCode) -> list[Tensor]:
    return [level.codes for level in code.levels]


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(WINDOWS), st.integers(16, 32), st.integers(16, 32)),
        min_size=1,
        max_size=3,
    ),
    st.tuples(st.integers(9, 40), st.integers(9, 40)),
)
@settings(max_examples=20, deadline=None)
def test_levels_of_any_window_and_size_make_an_image(
    levels: list[tuple[int, Window, int, int]], size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    made = []
    for channels, window, height, width in levels:
        plane = torch.randn(2, channels, height, width, generator=generator)
        made.append(SwitchLevel(pool(plane, window)[1], window, (height, width)))
    code = SwitchCode(tuple(made), size)
    decoder = awake(StrongDecoder(levels_of(code), size, width=4))
    image = decoder(codes_of(code))
    assert image.shape == (2, 3, *size)
    assert bool(image.isfinite().all())
    # Every level reaches the image.
    for number, (level, window) in enumerate(zip(code.levels, (entry[1] for entry in levels), strict=True)):
        other = pool(torch.randn(2, level.codes.shape[1], *level.size, generator=generator), window)[1]
        changed = codes_of(code)
        changed[number] = other
        if not torch.equal(other, level.codes):
            assert not torch.equal(decoder(changed), image)
    image.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in decoder.parameters())


def test_a_missing_level_is_not_looked_at() -> None:
    made = network()
    images = torch.rand(1, 3, 32, 32)
    codes = codes_of(made.encode(images))
    other = [torch.zeros_like(codes[0]), *codes[1:]]
    with torch.no_grad():
        assert torch.equal(made.decoder(codes, None, {1}), made.decoder(other, None, {1}))
        assert not torch.equal(made.decoder(codes), made.decoder(other))


@pytest.mark.parametrize(
    "window",
    [
        Window(4),
        Window(4, 2),
        Window(5, 2, 2),
        Window(5, 1),
        Window(4, 3, 2, 2),
        Window(4, 4, ceil_mode=True),
    ],
)
def test_a_missing_level_of_large_windows_is_the_mean_over_their_codes(window: Window) -> None:
    """A cell at the border, of which some windows lie in the padding, is as likely as any other."""
    size = (13, 14)
    ones = torch.full((2, 3, *window.output_size(size)), 0.5)
    expected = torch.zeros(size)
    for i, j in product(*map(range, ones.shape[-2:])):
        rows, columns = (
            [at * step - padding + cell * dilation for cell in range(kernel)]
            for at, step, padding, dilation, kernel in zip(
                (i, j), window.stride, window.padding, window.dilation, window.kernel, strict=True
            )
        )
        cells = [(y, x) for y in rows for x in columns if 0 <= y < size[0] and 0 <= x < size[1]]
        for y, x in cells:
            expected[y, x] += 0.5 / len(cells)
    torch.testing.assert_close(_expected(ones, window, size), expected.expand(2, 3, *size))


def test_a_large_image_piece_by_piece_is_the_whole() -> None:
    # In float64, where a margin that is too small is seen however little the farthest switches say.
    made = network((4, 6)).double()
    # Pieces with margins on all sides that end inside the image, on the borders and beyond them.
    assert 2 * made.decoder_reach + 64 < 240
    image = torch.randint(0, 256, (3, 260, 244), dtype=torch.uint8)
    whole = made.encode(image[None].double() / 255)
    output = made.decode(whole)[0]
    pieces = torch.empty_like(output)
    for rows, columns, part in tiling.decode_pieces(made, whole, side=64):
        pieces[:, rows, columns] = part
    assert float((pieces - output).abs().max()) < 1e-9
    rebuilt, _ = tiling.reconstruct(made, image, side=64)
    expected = (output.clamp(0, 1) * 255).round().to(torch.uint8)
    assert int((rebuilt.int() - expected.int()).abs().max()) <= 1


def test_a_switch_reaches_no_farther_than_said() -> None:
    decoder = awake(StrongDecoder([Level(1, 2)], width=4))
    side = 128
    codes = torch.zeros(1, 2, side, side, dtype=torch.uint8)
    other = codes.clone()
    other[..., side // 2, side // 2] = 3
    with torch.no_grad():
        changed = (decoder([codes]) != decoder([other])).any(1)[0].nonzero()
    assert len(changed)
    assert int((changed - side).abs().max()) <= decoder.reach


def test_features_need_a_decoder_that_was_made_for_them() -> None:
    levels = [Level(1, 2)]
    codes = [torch.zeros(1, 2, 8, 8, dtype=torch.uint8)]
    what = torch.randn(1, 2, 8, 8)
    with pytest.raises(ValueError, match="switches alone"):
        StrongDecoder(levels, width=4)(codes, what)
    decoder = awake(StrongDecoder(levels, width=4, what=2))
    with torch.no_grad():
        assert not torch.equal(decoder(codes, what), decoder(codes, 2 * what))


def test_its_file_brings_it_back(tmp_path: Path) -> None:
    made = network()
    images = torch.rand(2, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    made.save(tmp_path / "whole.safetensors")
    again = TunnelNetwork.load(tmp_path / "whole.safetensors")
    assert again.strong_width == 8
    assert torch.equal(again(images), made(images))

    made.save(tmp_path / "half.safetensors", half=True)
    half = TunnelNetwork.load(tmp_path / "half.safetensors")
    assert half.identity() == made.identity()
    assert half.encode(images) == made.encode(images)
    assert 0 < float((half(images) - made(images)).abs().max()) < 5e-3
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]


@pytest.mark.parametrize(
    "decoder", ["strong", "strong 0", "strong 99999", "strong 0000089999", "weak 8", "strong ²"]
)
def test_a_file_that_asks_for_another_decoder_is_refused(tmp_path: Path, decoder: str) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    made, path = network(), tmp_path / "a.safetensors"
    made.save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata | {"decoder": decoder})
    for read in (TunnelNetwork.load, read_header):
        with pytest.raises(FormatError, match="damaged network: the decoder is"):
            read(path)


def test_a_new_decoder_draws_from_its_seed_alone() -> None:
    before = torch.get_rng_state()
    first, second = (StrongDecoder([Level(1, 2)], width=4, seed=seed) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    again = StrongDecoder([Level(1, 2)], width=4, seed=0)
    same, other = (
        all(torch.equal(a, b) for a, b in zip(first.parameters(), each.parameters(), strict=True))
        for each in (again, second)
    )
    assert same
    assert not other
