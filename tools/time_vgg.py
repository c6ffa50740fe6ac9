"""What an encoder of VGG's size costs, in time and memory: the table of docs/benchmarks.md.

maxtunnel import vgg16.pth vgg16.safetensors && python tools/time_vgg.py vgg16.safetensors
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.benchmark.turns import Measured, take_turns
from maxtunnel.codec import dumps, loads
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.mirrored import levels_of, mirrored_decoder
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork, code_of
from maxtunnel.switches.capture import capture
from maxtunnel.switches.codes import SwitchCode

BATCH = 8
OPERATIONS = (
    "encode a photograph",
    "capture the same in a PyTorch module",
    "write its switches, entropy-coded",
    "read them",
    "decode, mirrored",
    "decode, strong",
    f"step of a mirrored decoder, {BATCH} photographs",
    f"step of a strong decoder, {BATCH} photographs",
)


def plain(network: TunnelNetwork) -> nn.Module:
    """The encoder as a PyTorch user has it, with the same weights."""
    layers: list[nn.Module] = []
    convs = iter(network.encoder.convs)
    for count in network.architecture.layers:
        for _ in range(count):
            ours = next(convs)
            conv = nn.Conv2d(ours.weight.shape[1], ours.weight.shape[0], 3, padding=1)
            conv.load_state_dict(ours.state_dict())
            layers += [conv, nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def random_code(network: TunnelNetwork, images: int, size: int) -> SwitchCode:
    """Switches that no photograph has."""
    height, width = network.architecture.padded_size((size, size))
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (images, filters, height >> level, width >> level)
        for level, filters in enumerate(network.architecture.widths, 1)
    ]
    codes = [torch.randint(4, shape, dtype=torch.uint8, generator=generator) for shape in shapes]
    return code_of([x.contiguous(memory_format=torch.channels_last) for x in codes], (size, size))


def photographs_of(size: int) -> Float[Tensor, "n 3 s s"]:
    """As many as a batch has, of so many pixels a side."""
    photographs = [resize(photograph, (size, size)) for photograph in demo_photographs().values()]
    return to_float(torch.stack([photographs[i % len(photographs)] for i in range(BATCH)]))


def keep_switches(path: str, size: int, file: Path) -> None:
    """Encode a photograph into a switch file, for the processes in which the codec is timed.

    They encode nothing themselves: what an encoder leaves behind in memory would serve the codec.
    """
    network = TunnelNetwork.load(path)
    file.write_bytes(dumps(network.encode(photographs_of(size)[:1]), network))


def build(path: str, file: Path, size: int, operation: str) -> Callable[[], object]:
    """What one call of an operation does, at so many pixels a side, with everything it needs made before."""
    network = TunnelNetwork.load(path)
    images = photographs_of(size)
    if operation == OPERATIONS[0]:
        return lambda: network.encode(images[:1])
    if operation == OPERATIONS[1]:
        model, x = plain(network).eval(), network.normalise(images[:1])
        return lambda: capture(model, x)
    if operation == OPERATIONS[2]:
        kept = loads(file.read_bytes())
        return lambda: dumps(kept, network)
    if operation == OPERATIONS[3]:
        data = file.read_bytes()
        return lambda: loads(data)
    # Any codes will do here.
    code = random_code(network, BATCH if operation.endswith("photographs") else 1, size)
    strong = "strong" in operation
    decoder = StrongDecoder(levels_of(code)) if strong else mirrored_decoder(network.architecture)
    network.decoder = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if operation.startswith("decode"):
        return lambda: network.decode(code)
    codes, target = [level.codes for level in code.levels], network.normalise(images)
    optimizer = torch.optim.AdamW(network.decoder.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        network.decoder.squared_error(codes, target).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="file of a network")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--only", default="", help="operations with this text in their name")
    parser.add_argument("--repeats", type=int, default=2, help="turns of every operation")
    arguments = parser.parse_args()
    network = TunnelNetwork.load(arguments.network)
    side, encoder = arguments.size, network.provenance.imported or network.provenance.encoder
    print(f"{network.architecture}, encoder {encoder}")
    print(f"{side}x{side} pixels, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print("\n| operation | median (10 to 90 %) | peak | first call |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "switches")
        keep_switches(arguments.network, side, file)
        for operation in (each for each in OPERATIONS if arguments.only in each):
            way = arguments.network, file, side, operation
            (found,) = take_turns([way], build, arguments.repeats)
            print(line(operation, found), flush=True)


def line(operation: str, found: Measured) -> str:
    """A row of the table."""
    low, median, high = torch.tensor(found.seconds).quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    peak = "" if found.peak is None else f"{found.peak / 1e6:,.0f} MB"
    times = f"{1e3 * median:,.0f} ({1e3 * low:,.0f} to {1e3 * high:,.0f}) ms"
    return f"| {operation} | {times} | {peak} | {1e3 * found.first:,.0f} ms |"


if __name__ == "__main__":
    main()
