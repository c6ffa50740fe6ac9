"""What a run was asked for, kept in its folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from maxtunnel.models.provenance import LEARNED
from maxtunnel.models.strong import WIDTH
from maxtunnel.support.choices import DecoderKind, Logger, Resize
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.records import from_json, to_json
from maxtunnel.training.recipes import FAST, PhaseName, Recipe


@dataclass(frozen=True)
class TrainingConfig:
    """What a run was asked for: `config.json`, and all that it takes to resume the run.

    Attributes:
        phase: `pretrain` for the encoder, `train` for the decoder, or both together.
        recipe: with the steps that are really run and, once the run has started, the precision it runs in.
        seed: draws the order of the photographs, and the network where it is new.
        decoder: `mirrored`, the paper's, or `strong`.
        width: channels of a new strong decoder.
        start: the model whose decoder is trained further, and its encoder where that learns; None for a new
            one.
        encoder: `random`, `learned` for one that is trained with the decoder, or the name of the model whose
            encoder was taken.
        data, val: where the photographs came from.
        size, resize: how they were read.
        minutes: bound on the whole run; turned into `recipe.steps` after a short measurement, which are
            corrected where the pace becomes another.
        target_rmse: stop as soon as the RMSE on the photographs of `val` is as low as this.
        stopped_at: the step at which that was so; the rate was that of all the recipe's steps.
        devices, nodes: processes that share each batch.
        logger: where its figures go besides metrics.csv.
        history: keep the network of steps 0, 1, 2, 5, 10, 20, 50, ..., and of the last, too (see `history`).
    """

    phase: PhaseName = "train"
    recipe: Recipe = FAST
    seed: int = 0
    decoder: DecoderKind = "mirrored"
    width: int = WIDTH
    start: str | None = None
    encoder: str = "random"
    data: str = ""
    val: str | None = None
    size: int = 128
    resize: Resize = "bilinear"
    minutes: float | None = None
    target_rmse: float | None = None
    stopped_at: int | None = None
    devices: int = 1
    nodes: int = 1
    logger: Logger | None = None
    history: bool = False

    @property
    def learned(self) -> bool:
        """Whether the encoder is trained with the decoder, through its switches."""
        return self.phase == "train" and self.encoder == LEARNED

    @property
    def taken(self) -> str | None:
        """The model whose encoder is taken and stays as it is; None where none is."""
        return None if self.encoder in ("random", LEARNED) else self.encoder

    @property
    def last_step(self) -> int:
        """Steps after which the run ends."""
        return self.recipe.steps if self.stopped_at is None else min(self.stopped_at, self.recipe.steps)

    def save(self, run: Path) -> None:
        """Write RUN/config.json."""
        with replacing(run / "config.json") as temporary:
            temporary.write_text(json.dumps(to_json(self), indent=2) + "\n")

    @classmethod
    def load(cls, run: Path) -> "TrainingConfig":
        """Read RUN/config.json; FormatError where it is missing or no config."""
        path = run / "config.json"
        if not path.exists():
            raise FormatError(f"{run} is no run: it holds no config.json")
        try:
            values = json.loads(path.read_text())
            if isinstance(values, Mapping) and "recipe" not in values:
                raise ValueError("it has no recipe")
            return from_json(cls, values)
        except (OSError, ValueError) as error:
            raise FormatError(f"{path} is not the config of a run: {one_line(error)}") from None

    def begun(self, run: Path, resume: bool) -> "TrainingConfig":
        """The same with its precision settled: for a new run by this machine, for an old one as it began.

        Raises:
            ValueError: a new run is asked for, and `run` holds one already.
            FormatError: there is no run to resume.
        """
        if resume:
            precision = TrainingConfig.load(run).recipe.precision
            recipe = (
                replace(self.recipe, precision=precision) if self.recipe.precision == "auto" else self.recipe
            )
            return replace(self, recipe=recipe.resolved())
        if (run / "config.json").exists():
            raise ValueError(f"{run} holds a run already: go on with it (`resume`), or name another folder")
        return replace(self, recipe=self.recipe.resolved())


DEFAULTS = TrainingConfig()
