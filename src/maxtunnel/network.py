"""The paper's network (Table I): an encoder that yields only switches, a decoder that is given only those."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel import planar
from maxtunnel.architecture import Architecture
from maxtunnel.convolution import Conv3x3
from maxtunnel.files import FormatError, replacing
from maxtunnel.hub import WEIGHTS, find_weights, model_card, write_layout
from maxtunnel.switches import SwitchCode, SwitchLevel, pool, refuse_nan, unpool
from maxtunnel.window import Pair, Window

FORMAT = "maxtunnel network 1"


class Encoder(nn.Module):
    """Blocks of conv3x3-ReLU, conv3x3-ReLU, pool; what leaves it are the codes, finest level first.

    Attributes:
        convs: the convolutions in execution order, conv1_1, conv1_2, conv2_1, ...
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.widths = architecture.widths
        self.convs = nn.ModuleList(
            Conv3x3(a, b, 9 * a, relu=True, generator=generator) for a, b in architecture.encoder_channels()
        )

    def forward(
        self, x: Float[Tensor, "n 3 h w"], *, check: bool = True
    ) -> tuple[Float[Tensor, "n c oh ow"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
        """The deepest features (the *what*, which the paper's decoder never sees) and the codes.

        Raises:
            ValueError: a NaN arose anywhere; it reaches the deepest features, so they alone are looked at,
                and not even they with `check=False`.
        """
        if not torch.is_grad_enabled() and x.dtype == torch.float32 and planar.pays(*self._planar()):
            features, levels = planar.encode(x, *self._planar())
            if check:
                refuse_nan(features)
            return features, levels
        codes = []
        x = x.contiguous(memory_format=torch.channels_last)
        for first, second in zip(self.convs[::2], self.convs[1::2], strict=True):
            x, where = pool(second(first(x)), check=False)
            codes.append(where)
        if check:
            refuse_nan(x)
        return x, tuple(codes)

    def _planar(self) -> tuple[tuple[int, ...], list[Tensor]]:
        return self.widths, list(self.parameters())


class Decoder(nn.Module):
    """Blocks of unpool, deconv3x3-ReLU, deconv3x3-ReLU; no ReLU after the last layer.

    A deconvolution of stride 1 equals the convolution whose kernel is flipped and whose channel axes are
    swapped, so the layers are convolutions.

    Attributes:
        bias_code: one learned value a channel of the deepest level, in the place of the features.
        convs: the layers in execution order, deconv3_1, deconv3_2, deconv2_1, ...
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.widths = architecture.widths
        deepest = architecture.widths[-1]
        self.bias_code = nn.Parameter(torch.empty(deepest).uniform_(-1, 1, generator=generator))
        self.bias_code.data *= math.sqrt(3 / deepest)
        last = 2 * len(architecture.widths) - 1
        # Caffe keeps a deconvolution's weights as (in, out, 3, 3), so its fan-in counts outputs.
        self.convs = nn.ModuleList(
            Conv3x3(a, b, 9 * b, relu=layer < last, generator=generator)
            for layer, (a, b) in enumerate(architecture.decoder_channels())
        )

    def forward(
        self,
        codes: Sequence[UInt8[Tensor, "n _ _ _"]],
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, "n 3 h w"]:
        """Decode codes (finest level first); `what` takes the place of the bias code where given.

        Levels in `missing`, 1 the finest, are unpooled by replication: their codes are not looked at.
        """
        if what is None:
            if not (missing or torch.is_grad_enabled()) and planar.pays(*self._planar()):
                return planar.decode(codes, *self._planar())
            what = self.bias_code[:, None, None].expand(codes[-1].shape)
        x = what
        for block, where in enumerate(reversed(codes)):
            replicate = len(codes) - block in missing
            x = F.interpolate(x, scale_factor=2) if replicate else unpool(x, where, check=False)
            x = self.convs[2 * block + 1](self.convs[2 * block](x))
        return x

    def squared_error(
        self, codes: Sequence[UInt8[Tensor, "n _ _ _"]], target: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, ""]:
        """Sum of (decoded codes - target)^2, for training."""
        if torch.is_grad_enabled() and planar.pays(*self._planar()):
            return planar.squared_error(codes, target, *self._planar())
        return _SquaredError.apply(self(codes), target.contiguous(memory_format=torch.channels_last))

    def _planar(self) -> tuple[tuple[int, ...], list[Tensor]]:
        return self.widths, list(self.parameters())


class _SquaredError(torch.autograd.Function):
    """Sum of (y - x)^2, with a gradient of one pass."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor) -> Tensor:
        error = output.float() - target
        ctx.save_for_backward(error)
        return error.square().sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (error,) = ctx.saved_tensors
        return error * (2 * gradient), None


class Classifier(nn.Module):
    """What pretraining puts on the encoder: fully connected 1024-ReLU, 1024-ReLU, classes.

    Args:
        architecture: of the encoder below.
        classes: number of outputs.
        size: (height, width) of the images; unlike the encoder, it takes no other.
        generator: draws the weights, uniform in +-sqrt(3 / fan-in).

    Source: Section III-B; layer widths from the published model files.
    """

    def __init__(
        self, architecture: Architecture, classes: int, size: Pair, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        height, width = architecture.padded_size(size)
        features = architecture.widths[-1] * height * width // architecture.multiple**2
        self.layers = nn.ModuleList(
            _linear(a, b, generator) for a, b in ((features, 1024), (1024, 1024), (1024, classes))
        )

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits from the encoder's deepest features."""
        x = features.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


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

    Source: Tables I and II; Sections III-B and VIII of the paper.
    """

    mean: Tensor

    def __init__(
        self,
        architecture: Architecture,
        mean: Float[Tensor, "3 h w"],
        scale: float = 255.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.architecture = architecture
        self.scale = float(scale)
        self.info: dict[str, Any] = {}
        self.encoder = Encoder(architecture, generator).requires_grad_(False)
        self.decoder = Decoder(architecture, generator)
        self.register_buffer("mean", mean.to(torch.float32).clone())

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.mean.device

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "n 3 h w"]) -> SwitchCode:
        """The switches of `images`; ValueError where they hold NaN or infinity, or are no RGB batch."""
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
            raise ValueError(f"images are {tuple(images.shape)}: expected (n, 3, height, width)")
        if not images.is_floating_point() or (images.numel() and float(images.max()) > 2):
            raise ValueError(
                f"images are {images.dtype} up to {float(images.max()):g}: expected RGB in [0, 1]; "
                "divide grey levels by 255"
            )
        size = images.shape[-2], images.shape[-1]
        _, codes = self.encoder(self.normalise(images))
        planes = [(2 * where.shape[-2], 2 * where.shape[-1]) for where in codes]
        return SwitchCode(tuple(map(_level, codes, planes)), size)

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
            ValueError: the code comes from another architecture.
        """
        self.check(code)
        missing = set() if levels is None else {*range(1, len(code.levels) + 1)} - {*levels}
        output = self.decoder([level.codes for level in code.to(self.device).levels], what, missing)
        return self.denormalise(output, code.image_size)

    def check(self, code: SwitchCode) -> None:
        """Raise ValueError unless `code` comes from an encoder of this architecture."""
        channels = tuple(level.codes.shape[1] for level in code.levels)
        sizes = [level.size for level in code.levels]
        padded = self.architecture.padded_size(code.image_size)
        if (
            channels != self.architecture.widths
            or any(level.window != Window() for level in code.levels)
            or sizes != [(padded[0] >> i, padded[1] >> i) for i in range(len(sizes))]
        ):
            raise ValueError(f"{code} does not fit the network {self.architecture}")
        code.check()

    def reconstruct(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Images rebuilt from their own switches, float32, not clipped."""
        return self.decode(self.encode(images))

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 ph pw"]:
        """Pad images, subtract the mean and scale: what the encoder sees and the decoder aims at."""
        height, width = images.shape[-2:]
        padded = self.architecture.padded_size((height, width))
        images = images.to(self.device, torch.float32)
        if padded != (height, width):
            images = F.pad(images, (0, padded[1] - width, 0, padded[0] - height), mode="replicate")
        return (images - self.mean_at(padded)).mul_(self.scale)

    def denormalise(self, output: Float[Tensor, "n 3 ph pw"], size: Pair) -> Float[Tensor, "n 3 h w"]:
        """Undo `normalise` for images of `size`."""
        images = output.float() / self.scale + self.mean_at((output.shape[-2], output.shape[-1]))
        return images[..., : size[0], : size[1]].contiguous()

    def mean_at(
        self, size: Pair, rows: slice = slice(None), columns: slice = slice(None)
    ) -> Float[Tensor, "3 h w"]:
        """The mean image, resized bilinearly to `size`, or some rows and columns of that."""
        resized = _stretch(self.mean, -2, size[0], rows)
        return _stretch(resized, -1, size[1], columns)

    def encoder_identity(self) -> str:
        """Hash of the encoder's weights, in hexadecimal."""
        return hash_tensors(dict(self.encoder.named_parameters()))

    def identity(self) -> bytes:
        """The first 16 bytes of a hash of all that decides the switches: encoder, mean image and scale."""
        return identity_of(self.encoder_identity(), self.mean, self.scale)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with the weights, the mean, the scale and `info`, in one step."""
        metadata = {
            "format": FORMAT,
            "architecture": str(self.architecture),
            "scale": repr(self.scale),
            "info": json.dumps(self.info, sort_keys=True),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "TunnelNetwork":
        """Read a file that `save` wrote; FormatError for any other."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path} cannot be read as a safetensors file: {_line(error)}") from None
        if metadata.get("format") != FORMAT:
            raise FormatError(f"{path} is no maxtunnel network: its metadata does not say {FORMAT!r}")
        try:
            return cls._build(metadata, tensors)
        except (ValueError, KeyError, RuntimeError) as error:
            raise FormatError(f"{path} is a damaged network: {_line(error)}") from None

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder in the hub's layout: model.safetensors, config.json and a model card."""
        size = self.mean.shape[-2], self.mean.shape[-1]
        bits = self.architecture.bits_per_pixel(size)
        config = {
            "model_type": "maxtunnel",
            "format": FORMAT,
            "architecture": str(self.architecture),
            "widths": self.architecture.widths,
            "scale": self.scale,
            "size": size,
            "bits_per_pixel": bits,
            "info": self.info,
        }
        parameters = sum(p.numel() for p in self.parameters())
        self.save(Path(folder) / WEIGHTS)
        card = model_card(str(self.architecture), parameters, bits, self.architecture.widths, self.info)
        write_layout(Path(folder), config, card)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "TunnelNetwork":
        """Read what `save_pretrained` wrote, from a folder or, by `owner/name`, from the hub.

        Raises:
            FormatError: there is no such folder or name, or it holds no network of ours.
        """
        return cls.load(find_weights(source))

    @classmethod
    def _build(cls, metadata: dict[str, str], tensors: dict[str, Tensor]) -> "TunnelNetwork":
        architecture, scale = Architecture.parse(metadata["architecture"]), float(metadata["scale"])
        info, mean = json.loads(metadata["info"]), tensors["mean"]
        if mean.ndim != 3 or mean.shape[0] != 3 or mean.numel() == 0:
            raise ValueError(f"mean is {tuple(mean.shape)}, expected (3, height, width)")
        if not (math.isfinite(scale) and scale > 0 and isinstance(info, dict)):
            raise ValueError(f"scale {scale} or info {type(info).__name__} is not what was saved")
        if any(t.dtype != torch.float32 or not bool(t.isfinite().all()) for t in tensors.values()):
            raise ValueError("a tensor is not float32 or not finite")
        # Nothing is allocated for what the metadata claims: shapes are compared on the meta device.
        with torch.device("meta"):
            network = cls(architecture, mean.to("meta"), scale)
        network.load_state_dict(tensors, assign=True)
        network.encoder.requires_grad_(False)
        network.decoder.requires_grad_(True)
        network.info = info
        return network


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and little-endian float32 values, sorted by name; in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def identity_of(encoder: str, mean: Float[Tensor, "3 h w"], scale: float) -> bytes:
    """`TunnelNetwork.identity` from the hash of the encoder and what else counts."""
    return hashlib.sha256(f"{encoder} {hash_tensors({'mean': mean})} {scale!r}".encode()).digest()[:16]


def _level(codes: Tensor, size: Pair) -> SwitchLevel:
    return SwitchLevel(codes, Window(), size)


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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = math.sqrt(3 / inputs)
    with torch.no_grad():
        linear.weight.uniform_(-bound, bound, generator=generator)
        linear.bias.zero_()
    return linear
