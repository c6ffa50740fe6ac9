"""The paper's network (Table I): an encoder that yields only switches, a decoder that is given only those.

image -> [conv-ReLU, conv-ReLU, pool] per block -> deepest features (what): thrown away
                                  |
                              switches (where), a level a block
                                  |
image <- [deconv-ReLU, deconv-ReLU, unpool] per block <- bias code, a learned constant
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models import hub
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import (
    Checkpoint,
    hash_encoder,
    hash_tensors,
    read_checkpoint,
    write_checkpoint,
)
from maxtunnel.models.encoder import Encoder
from maxtunnel.models.file_parts import damaged, take_weights
from maxtunnel.models.mirrored import MirroredDecoder, mirrored_decoder, new_decoder
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.strong import StrongDecoder, strong_decoder
from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches import pending
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.indices import largest_of
from maxtunnel.switches.pooling import nan_in
from maxtunnel.switches.window import Pair, Window

ALL = slice(None)
_EXPECTED = "expected RGB in [0, 1]; divide grey levels by 255"


class TunnelNetwork(nn.Module):
    """Encoder and decoder with all they need to take photographs in and give photographs back.

    Inside, an image is (image - mean) x scale. Images are float32 RGB in [0, 1], (n, 3, h, w), of any size:
    sides that are no multiple of 2^blocks are padded right and below by repeating the edge, and the result
    is cropped back.

    Args:
        architecture: filters per block.
        mean: (3, h, w) RGB in [0, 1], the training images' mean; resized bilinearly to each image.
        scale: 255 for the paper's networks.
        seed: draws the encoder's, then the decoder's initial weights, uniform in +-sqrt(3 / fan-in).
        strong_width: channels of a strong decoder (`models.strong`); None for the paper's mirrored one.

    Attributes:
        provenance: how the network came about.

    Source: Tables I and II; Sections III-B and VIII of the paper.
    """

    mean: Tensor

    def __init__(
        self,
        architecture: Architecture,
        mean: Float[Tensor, "3 h w"],
        scale: float = 255.0,
        seed: int = 0,
        strong_width: int | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.architecture, self.strong_width = architecture, strong_width
        self.scale = float(scale)
        self.provenance = Provenance()
        self.encoder = Encoder(architecture, generator).requires_grad_(False)
        self.decoder: MirroredDecoder | StrongDecoder = (
            mirrored_decoder(architecture, generator)
            if strong_width is None
            else strong_decoder(architecture, strong_width, seed)
        )
        self.register_buffer("mean", mean.to(torch.float32).clone())

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.mean.device

    @property
    def decoder_kind(self) -> DecoderKind:
        """`mirrored`, the paper's, or `strong`."""
        return "mirrored" if self.strong_width is None else "strong"

    @property
    def mirrored(self) -> MirroredDecoder:
        """The paper's decoder; ValueError where the network has a strong one."""
        if not isinstance(self.decoder, MirroredDecoder):
            raise ValueError(f"this {self.architecture} has a strong decoder: take one with the paper's")
        return self.decoder

    @property
    def untrained(self) -> bool:
        """Whether the decoder is still the one that comes with an encoder alone, and paints noise.

        Such encoders are those that were imported, and those that were pretrained.
        """
        decoder = self.decoder
        if not isinstance(decoder, MirroredDecoder) or self.provenance.training is not None:
            return False
        # Only where all biases are 0, as in a new one, is it worth drawing that.
        if any(bool(x.any()) for name, x in decoder.named_parameters() if name.endswith(".bias")):
            return False
        drawn = new_decoder(self.architecture).state_dict()
        return all(torch.equal(x.cpu(), drawn[name]) for name, x in decoder.state_dict().items())

    @property
    def multiple(self) -> int:
        """Pixels on whose multiples a part of an image must begin to be decoded like the whole."""
        decoder = self.decoder
        return 2**decoder.scales if isinstance(decoder, StrongDecoder) else self.architecture.multiple

    @property
    def decoder_reach(self) -> int:
        """Pixels of the image beyond which a switch has no say in a pixel, at most."""
        decoder = self.decoder
        return decoder.reach if isinstance(decoder, StrongDecoder) else self.architecture.reach

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "n 3 h w"]) -> SwitchCode:
        """The switches of `images`; ValueError where they hold NaN or infinity, or are no RGB batch.

        On a GPU, what the images hold is looked at when switches, or what is made of them, leave it
        (`switches.pending`).
        """
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
            raise ValueError(f"images are {tuple(images.shape)}: expected (n, 3, height, width)")
        if not images.is_floating_point():
            raise ValueError(f"images are {images.dtype}: {_EXPECTED}")
        looks = [pending.Check(images.max(), _too_bright)] if images.numel() else []
        checks = (*pending.checks_of(images), *pending.awaited(looks))
        what, codes = self.encoder(self.normalise(pending.plain(images)), check=False)
        if what.numel():
            checks = (*checks, *pending.awaited([nan_in(what)]))
        return code_of(pending.carrying(codes, checks), (images.shape[-2], images.shape[-1]))

    @torch.no_grad()
    def decode(
        self,
        code: SwitchCode,
        levels: Collection[int] | None = None,
        what: Float[Tensor, "n c _ _"] | None = None,
    ) -> Float[Tensor, "n 3 h w"]:
        """Images from switches alone, float32, not clipped.

        Args:
            code: what `encode` gave.
            levels: the levels to make use of, 1 the finest; by default all. The others are unpooled by
                replication, which costs quality (docs/codec.md).
            what: features that take the place of the bias code, of the shape of the deepest level; the
                paper's decoder gets none.

        Raises:
            ValueError: the code comes from another architecture, or a code is none of its window; of codes on
                a GPU that is looked at when the images, or what is made of them, leave it.
        """
        self._refuse_other(code)
        looks = [largest_of(level.codes, level.window) for level in code.levels if level.codes.numel()]
        return self._decode(code, pending.awaited(looks), what, self.missing(levels))

    @torch.no_grad()
    def _decode(
        self,
        code: SwitchCode,
        checks: Sequence[pending.Check] = (),
        what: Tensor | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, "n 3 h w"]:
        """Images from codes that are known to fit, or are checked when the images leave."""
        given = [level.codes for level in code.to(self.device).levels]
        checks = (*checks, *pending.checks_of([given, what]))
        output = self.decoder(pending.plain(given), pending.plain(what), missing)
        images = self.denormalise(output, code.image_size)
        return pending.carrying(images, checks)

    def missing(self, levels: Collection[int] | None) -> set[int]:
        """The levels that are not among `levels`; none for None."""
        return set() if levels is None else {*range(1, len(self.architecture.widths) + 1)} - {*levels}

    def check(self, code: SwitchCode) -> None:
        """Raise ValueError unless `code` comes from an encoder of this architecture."""
        self._refuse_other(code)
        code.check()

    def _refuse_other(self, code: SwitchCode) -> None:
        """Raise ValueError unless channels, windows and sizes are this architecture's."""
        channels = tuple(level.codes.shape[1] for level in code.levels)
        sizes = [level.size for level in code.levels]
        padded = self.architecture.padded_size(code.image_size)
        if (
            channels != self.architecture.widths
            or any(level.window != Window() for level in code.levels)
            or sizes != [(padded[0] >> i, padded[1] >> i) for i in range(len(sizes))]
        ):
            raise ValueError(f"{code} does not fit the network {self.architecture}")

    def reconstruct(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Images rebuilt from their own switches, float32, not clipped."""
        # Codes that an encoder has just made need not be looked at.
        return self._decode(self.encode(images))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """As `reconstruct`."""
        return self.reconstruct(images)

    @torch.no_grad()
    def activations(
        self, given: Float[Tensor, "n 3 h w"] | SwitchCode
    ) -> list[tuple[str, Float[Tensor, "n _ _ _"]]]:
        """Name and output of every layer in execution order, on the network's inner scale.

        Args:
            given: images, which go through the encoder (`conv1_1` to `pool3`) and the decoder (`bias code` to
                `deconv1_2`); or their switches, which go through the decoder alone.
        """
        found: list[tuple[str, Tensor]] = []
        if isinstance(given, SwitchCode):
            self.check(given)
            codes = [level.codes for level in given.to(self.device).levels]
        else:
            codes = []
            found += self.encoder.layers(self.normalise(given), codes)
        found += self.decoder.layers(codes)
        # A view of a parameter asks for gradients even here.
        return [(name, x.detach()) for name, x in found]

    def normalise(
        self,
        images: Float[Tensor, "n 3 h w"],
        size: Pair | None = None,
        rows: slice = ALL,
        columns: slice = ALL,
    ) -> Float[Tensor, "n 3 ph pw"]:
        """Pad images, subtract the mean and scale: what the encoder sees and the decoder aims at.

        Args:
            images: whole, or the part of larger ones that lies in `rows` and `columns`.
            size: (height, width) of the whole images; by default that of `images`.
            rows, columns: of the padded images.
        """
        height, width = images.shape[-2:]
        padded = self.architecture.padded_size(size or (height, width))
        images = images.to(self.device, torch.float32)
        below, right = len(range(padded[0])[rows]) - height, len(range(padded[1])[columns]) - width
        if below or right:
            images = F.pad(images, (0, right, 0, below), mode="replicate")
        return (images - self.mean_at(padded, rows, columns)).mul_(self.scale)

    def denormalise(
        self, output: Float[Tensor, "n 3 ph pw"], size: Pair, rows: slice = ALL, columns: slice = ALL
    ) -> Float[Tensor, "n 3 h w"]:
        """Undo `normalise` for images of `size`, or for the part of them in `rows` and `columns`."""
        padded = self.architecture.padded_size(size)
        images = output.float() / self.scale + self.mean_at(padded, rows, columns)
        height, width = (len(range(side)[part]) for side, part in zip(size, (rows, columns), strict=True))
        return images[..., :height, :width].contiguous()

    def mean_at(self, size: Pair, rows: slice = ALL, columns: slice = ALL) -> Float[Tensor, "3 h w"]:
        """The mean image, resized bilinearly to `size`, or some rows and columns of that."""
        return _stretch(_stretch(self.mean, -2, size[0], rows), -1, size[1], columns)

    def encoder_hash(self) -> str:
        """Hash of the encoder's weights, in hexadecimal."""
        return hash_tensors(dict(self.encoder.named_parameters()))

    def identity(self) -> bytes:
        """The first 16 bytes of a hash of all that decides the switches: encoder, mean image and scale."""
        return hash_encoder(self.encoder_hash(), self.mean, self.scale, self.architecture)

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write one safetensors file with weights, mean, scale and provenance, in one step.

        A decoder that is `untrained` is left out: `load` draws it again.

        Args:
            path: of the file.
            half: store the decoder's weights in half precision (float16); the encoder's stay as they are,
                and with them every switch.
        """
        out = "decoder." if self.untrained else ()
        tensors = {name: x for name, x in self.state_dict().items() if not name.startswith(out)}
        checkpoint = Checkpoint(self.architecture, self.strong_width, self.scale, self.provenance, tensors)
        write_checkpoint(path, checkpoint, half)

    @classmethod
    def load(cls, path: str | Path) -> "TunnelNetwork":
        """Read a file that `save` wrote; FormatError for any other."""
        checkpoint = read_checkpoint(path)
        # Nothing is allocated for what the metadata claims: shapes are compared on the meta device.
        with torch.device("meta"):
            network = cls(
                checkpoint.architecture,
                checkpoint.tensors["mean"].to("meta"),
                checkpoint.scale,
                strong_width=checkpoint.strong_width,
            )
        try:
            take_weights(network, _completed(network, checkpoint))
        except ValueError as error:
            raise damaged(path, "network", error) from None
        network.encoder.requires_grad_(False)
        network.decoder.requires_grad_(True)
        if isinstance(network.decoder, StrongDecoder):
            # A fifth faster than with weights as they lie in the file.
            network.decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.provenance = checkpoint.provenance
        return network

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder in the hub's layout: model.safetensors, config.json and a model card."""
        self.save(Path(folder) / hub.WEIGHTS)
        size, parameters = (
            (self.mean.shape[-2], self.mean.shape[-1]),
            sum(p.numel() for p in self.parameters()),
        )
        hub.write_layout(
            Path(folder), self.architecture, self.scale, size, parameters, self.provenance, self.strong_width
        )

    def push_to_hub(self, name: str, **options: Unpack[hub.Push]) -> str:
        """Put the network into the repository `name` (`owner/name`) of the hub; made where there is none.

        Args:
            name: of the repository.
            options: `revision` (a branch), `token`, `private`, `commit_message` and `create_pr`.

        Returns:
            The address of the commit.

        Raises:
            FormatError: huggingface_hub is not installed, or the hub refuses.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return hub.push(Path(folder), name, self.provenance, **options)

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Unpack[hub.Fetch]) -> "TunnelNetwork":
        """Read what `save_pretrained` wrote, from a folder or, by `owner/name`, from the hub.

        Args:
            source: a folder, or a name on the hub.
            options: of the hub: `revision`, `token`, `cache_dir` and `local_files_only`.

        Raises:
            FormatError: there is no such folder or name, or it holds no network of ours.
        """
        return cls.load(hub.find_weights(source, **options))


def _completed(network: TunnelNetwork, checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """The tensors of a file, with the decoder that `save` left out; ValueError for another encoder's."""
    tensors = checkpoint.tensors
    left_out = checkpoint.strong_width is None and checkpoint.provenance.training is None
    if not left_out or any(name.startswith("decoder.") for name in tensors):
        return tensors
    # First of all: a decoder is then no larger than the encoder, which the file does hold.
    encoder = {name[8:]: x for name, x in tensors.items() if name.startswith("encoder.")}
    take_weights(network.encoder, encoder)
    drawn = new_decoder(network.architecture).state_dict()
    return {**tensors, **{f"decoder.{name}": x for name, x in drawn.items()}}


def _too_bright(largest: float) -> str:
    return f"images go up to {largest:g}: {_EXPECTED}" if largest > 2 else ""


def code_of(codes: Collection[UInt8[Tensor, "n _ _ _"]], size: Pair) -> SwitchCode:
    """The switch code of images of `size` from an encoder's codes, finest level first."""
    levels = (SwitchLevel(where, Window(), (2 * where.shape[-2], 2 * where.shape[-1])) for where in codes)
    return SwitchCode(tuple(levels), size)


def _stretch(image: Tensor, axis: int, size: int, part: slice) -> Tensor:
    """Some places of an axis resized bilinearly to `size`, as `interpolate` with `align_corners=False`."""
    start, stop, _ = part.indices(size)
    length = image.shape[axis]
    if length == size:
        return image.narrow(axis, start, stop - start)
    place = torch.arange(start, stop, device=image.device, dtype=torch.float64)
    place = ((place + 0.5) * (length / size) - 0.5).clamp(0, length - 1)
    below = place.long()
    above = (below + 1).clamp(max=length - 1)
    share = (place - below).to(image.dtype)
    share = share[:, None] if axis == -2 else share
    return torch.lerp(image.index_select(axis, below), image.index_select(axis, above), share)
