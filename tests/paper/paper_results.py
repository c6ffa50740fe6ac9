"""Results and evidence with the numbers that a test asks for."""

import numpy as np

from maxtunnel.evaluation.records import BitsPerPixel, Evaluation, PerImage
from maxtunnel.models.provenance import PhaseRecord, Provenance
from maxtunnel.paper.evidence import Evidence, Measured
from maxtunnel.paper.results import Result, tabulate
from maxtunnel.paper.table import ROWS


def trained(steps, seed=0, encoder="random", batch=16):
    """The provenance of a network that was trained for so many steps."""
    recipe = {"name": "fast", "steps": steps, "batch": batch}
    return Provenance(PhaseRecord(recipe, seed, encoder, "folder/train", 12, 16, "bilinear", 1.0, "2.11"))


def result(name, origin, errors, provenance=None, width=None, switches=None):
    """A result with these errors of its photographs; with a width, of a strong decoder.

    Unless they are given, its switches are those of all networks of this name and origin.
    """
    row = next(row for row in ROWS if row.name == name)
    mse = np.square(errors)
    found = Evaluation(
        name, str(row.architecture), len(errors), float(np.sqrt(mse.mean())), (0.0, 1.0), 20.0, (19.0, 21.0),
        0.5, (0.4, 0.6), BitsPerPixel(row.bits_per_pixel, None, None), None, 0, "bilinear", 16,
        PerImage([float(error) for error in errors], [], []),
    )  # fmt: skip
    switches = f"{name} {origin}" if switches is None else switches
    return Result(row, origin, found, provenance or Provenance(), "", width, switches)


def evidence(results, colours=None, strong=None, replaced=None):
    """Evidence from these results, on ten photographs; `colours` are the paper's decoder's."""
    measured = {
        "mirrored": Measured(colours or {}, (replaced or {}).get("mirrored", {}), {}),
        "strong": Measured(strong or {}, (replaced or {}).get("strong", {}), {}),
    }
    return Evidence(tabulate(results), measured, 10, 4, ("maxtunnel reproduce",))
