"""Pictures of `study transplant`: pairs and what becomes of them, and faces whose light is moved."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.models.swwae import Swwae
from maxtunnel.report.pictures import strip
from maxtunnel.studies.transplant_data import Pairs, Parts
from maxtunnel.studies.transplant_edits import FILLS, OWN, PIXELS, REBUILT, TRUE, UNEDITED, edits, scenes
from maxtunnel.studies.transplant_reading import HALF, level_sets, name_of, transplants

_SHOWN, _GAP = 8, 4


def pair_rows(levels: int) -> dict[str, str]:
    """Below the images whose features and whose switches are taken: what is drawn, by name and in words."""
    if not levels:
        return {"none": "the former rebuilt", HALF: "features half way"}
    every = tuple(range(1, levels + 1))
    deepest = [each for each in level_sets(levels) if each and each[-1] == levels]
    rows = {"none": "the former rebuilt"}
    for each in sorted({*deepest, every}, key=len):
        rows[name_of(each)] = f"with the latter's switches on {_levels(each)}"
    return rows | {HALF: "features half way, the former's switches"}


def edit_rows(levels: int) -> dict[str, str]:
    """Below the photographs in the old and in the new light: what is drawn, by name and in words."""
    rows = {
        UNEDITED: "the old light rebuilt", REBUILT: "the new light rebuilt", PIXELS: "pixels edited",
        OWN: "features edited, own switches" if levels else "features edited",
    }  # fmt: skip
    if levels:
        rows[TRUE] = "the new light's features, own switches"
        rows |= {f"{fill}:none": f"features edited, {words}" for fill, words in FILLS.items()}
    return rows


def _levels(levels: Sequence[int]) -> str:
    if len(levels) == 1:
        return f"level {levels[0]}"
    return f"levels {levels[0]} to {levels[-1]}"


def draw_pairs(network: Swwae, levels: int, pairs: Sequence[Pairs]) -> UInt8[Tensor, "3 H W"]:
    """The first pairs of some kinds side by side, with the rows of `pair_rows` below them."""
    each = max(1, _SHOWN // len(pairs))
    some = Pairs(
        torch.cat([kind.what[:each] for kind in pairs]), torch.cat([kind.where[:each] for kind in pairs])
    )
    drawn = transplants(network, some)
    return _stacked([to_float(some.what), to_float(some.where)], drawn, tuple(pair_rows(levels)))


def draw_edits(network: Swwae, levels: int, parts: Parts) -> UInt8[Tensor, "3 H W"] | None:
    """The first people of each edit side by side, with the rows of `edit_rows` below; None without edits."""
    found = list(scenes(parts))
    if not found:
        return None
    each = max(1, _SHOWN // len(found))
    drawn = [edits(network, scene) for scene in found]
    names = tuple(edit_rows(levels))
    rows = {name: torch.cat([one[name][:each] for one in drawn]) for name in names}
    before, after = (
        to_float(torch.cat([pixels[:each] for pixels in side]))
        for side in zip(*((scene.before, scene.after) for scene in found), strict=True)
    )
    return _stacked([before, after], rows, names)


def _stacked(
    images: Sequence[Float[Tensor, "n c s s"]], drawn: Mapping[str, Tensor], names: Sequence[str]
) -> UInt8[Tensor, "3 H W"]:
    """Rows one below the other, with white between them."""
    rows = [*images, *(drawn[name][: len(images[0])].cpu() for name in names)]
    strips = [strip(to_uint8(row.expand(-1, 3, -1, -1)), _GAP) for row in rows]
    return torch.cat([F.pad(row, (0, 0, 0, _GAP), value=255) for row in strips], 1)[:, :-_GAP]
