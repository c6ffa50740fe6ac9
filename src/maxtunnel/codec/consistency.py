"""Whether the levels of a switch file fit each other, its network and its prior, before any is decoded.

Each level may be valid by itself, and the file still be hostile: a learned model looks up the codes of the
level above in its tables, and codes of a larger window would lead it out of them.
"""

from maxtunnel.codec.format import Header
from maxtunnel.codec.prior import Prior, prior_of_identity
from maxtunnel.models.architecture import Architecture
from maxtunnel.support.files import FormatError
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import find_shipped, shipped_architecture


def check_consistency(header: Header, name: str) -> Prior | None:
    """The prior that the learned levels need; None where there are no such levels.

    Raises:
        FormatError: the levels are not those of the shipped network, or of the prior, that the file names; or
            it needs a prior that is not here, or names one that it does not need.
    """
    network = find_shipped(header.network)
    if network is not None and not are_levels_of(header, shipped_architecture(network).widths):
        raise FormatError(f"{name} is damaged: its levels are not those of {network}, which it names")
    if all(part.coding != "learned" for part in header.parts):
        if header.prior != bytes(8):
            raise FormatError(f"{name} is damaged: it names prior {header.prior.hex()} but needs none")
        return None
    prior = prior_of_identity(header.prior)
    if prior is None:
        raise FormatError(
            f"{name} needs prior {header.prior.hex()}, which this version of maxtunnel does not have: "
            "read it with the version that wrote it"
        )
    if not are_levels_of(header, prior.channels):
        raise FormatError(f"{name} is damaged: its levels are not those of its prior")
    return prior


def are_levels_of(header: Header, widths: tuple[int, ...]) -> bool:
    """Whether an encoder of these widths gives such levels of images of this size."""
    height, width = Architecture(widths).padded_size(header.image_size)
    expected = [(c, Window(), (height >> level, width >> level)) for level, c in enumerate(widths)]
    return [(part.channels, part.window, part.size) for part in header.parts] == expected
