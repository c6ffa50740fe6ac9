"""The training runs that a reproduction needs: which are left, how long they take, and doing them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maxtunnel.data import open_store
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.strong import WIDTH
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.colours import more_colourful
from maxtunnel.paper.pace import Pace
from maxtunnel.paper.table import ROWS, Row
from maxtunnel.paper.trial import seconds_per_image
from maxtunnel.support.choices import DecoderKind, RecipeName
from maxtunnel.support.numbers import counted
from maxtunnel.support.parts import Spread, here
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.loop import TrainingStopped
from maxtunnel.training.recipes import PhaseName, Recipe, recipe_of
from maxtunnel.training.runs import Options, make_config, resume_run, start_run
from maxtunnel.zoo.names import load, shipped

# The experiment on dull colours: how much stronger the encoder sees chroma, and the row that it is done with.
CHROMA = 4.0
COLOURFUL = ROWS[0]
# The experiment on the deepest levels: of how many batches finer ones are withheld, and its row.
WITHHELD = 2 / 3
COARSE = ROWS[0]
_FEWEST_STEPS = 50


@dataclass(frozen=True)
class Job:
    """One run of one phase.

    Attributes:
        row: the row of Table II that needs it.
        phase: `pretrain` makes the encoder of a pretrained row, `train` the decoder of any.
        seed: draws the encoder, the decoder and the order of the photographs.
        steps: batches.
        folder: of the run.
        chroma: how much stronger the encoder sees colours: 1, but for the experiment on dull colours.
        decoder: its kind.
        withheld: of the batches without the finer levels: 0, but for the experiment on the deepest levels.
    """

    row: Row
    phase: PhaseName
    seed: int
    steps: int
    folder: Path
    chroma: float = 1.0
    decoder: DecoderKind = "mirrored"
    withheld: float = 0.0

    @property
    def name(self) -> str:
        """What progress calls it."""
        kind = "encoder of " if self.phase == "pretrain" else ""
        purpose = " with more colourful sight, for the claim on dull colours" if self.chroma != 1 else ""
        purpose += " with finer levels withheld, for the claim on the deepest ones" if self.withheld else ""
        name = self.row.name if self.phase == "pretrain" else self.row.network(self.decoder)
        return f"{kind}{name}, seed {self.seed}{purpose}"


@dataclass(frozen=True)
class Training:
    """How all runs of a reproduction are made.

    Attributes:
        train, test: prepared stores.
        out: the reproduction's folder; the runs lie in its `runs`.
        recipe: one of `maxtunnel.training.recipes`.
        steps: of every run; None for the recipe's.
        size: side of the photographs in pixels.
        images: number of training photographs.
        width: channels of strong decoders.
        batch: photographs a step, of every run; None for the recipe's.
    """

    train: Path
    test: Path
    out: Path
    recipe: RecipeName
    steps: int | None
    size: int
    images: int
    width: int = WIDTH
    batch: int | None = None

    def jobs(self, row: Row, seed: int, decoder: DecoderKind = "mirrored") -> list[Job]:
        """The runs behind one network, in order; encoders that are there already need none."""
        there = decoder == "strong" and self._encoder_at_hand(row, seed) is not None
        jobs = [self._job(row, "train", seed, decoder)]
        # An encoder is pretrained for both kinds of decoder alike.
        return [self._job(row, "pretrain", seed, "mirrored"), *jobs] if row.pretrained and not there else jobs

    def colourful(self, row: Row, decoder: DecoderKind = "mirrored") -> Job:
        """The run whose encoder is that of seed 0 but sees colours stronger."""
        plain = self.jobs(row, 0, decoder)[-1]
        return replace(plain, chroma=CHROMA, folder=colourful_folder(self.out, row, decoder))

    def coarse(self, row: Row) -> Job:
        """The run whose strong decoder also learns to do without the finer levels."""
        plain = self.jobs(row, 0, "strong")[-1]
        return replace(plain, withheld=WITHHELD, folder=coarse_folder(self.out, row))

    def folder(
        self, row: Row, seed: int, phase: PhaseName = "train", decoder: DecoderKind = "mirrored"
    ) -> Path:
        """Where a run lies."""
        return run_folder(self.out, row, seed, phase, decoder)

    def seconds(self, job: Job) -> float:
        """About how long a run takes on this machine."""
        encoded = min(self.images, job.steps * self.recipe_for(job).batch)
        return job.steps * self.seconds_per_step(job) + encoded * self.seconds_per_encoding(job)

    def seconds_per_step(self, job: Job) -> float:
        """About how long a step of a run takes on this machine."""
        recipe = self.recipe_for(job)
        bf16 = recipe.precision == "bf16"
        width = self.width if job.decoder == "strong" else None
        return recipe.batch * seconds_per_image(job.row.architecture, job.phase, self.size, bf16, width)

    def seconds_per_encoding(self, job: Job) -> float:
        """About how long the encoder takes for a photograph, where a run keeps the switches; else 0."""
        return seconds_per_image(job.row.architecture, "encode", self.size) if job.phase == "train" else 0.0

    def run(self, job: Job, on_progress: OnProgress) -> None:
        """Do a run, or what is left of it.

        Raises:
            TrainingStopped: interrupted; the same command goes on.
            ValueError: the folder holds a run of another recipe, length or data.
        """
        # First, as a run is refused an encoder that is not there.
        if job.chroma != 1 and not Path(self._encoder(job)).exists():
            source = self._encoder(replace(job, chroma=1.0))
            mean = open_store(self.train).mean
            plain = (
                TunnelNetwork(job.row.architecture, mean, self.recipe_for(job).scale, job.seed)
                if source == "random"
                else load(source)
            )
            more_colourful(plain, job.chroma).save(self._encoder(job))
        config = self._config(job)
        try:
            if (job.folder / "config.json").exists():
                _check_same(job.folder, config)
                resume_run(job.folder, on_progress)
            else:
                start_run(str(job.row.architecture), config, job.folder, on_progress)
        except TrainingStopped:
            raise TrainingStopped(
                f"stopped in {job.name}; everything is saved, and the same command goes on"
            ) from None

    def _job(self, row: Row, phase: PhaseName, seed: int, decoder: DecoderKind) -> Job:
        steps = self.steps or recipe_of(phase, self.recipe, decoder).steps
        return Job(row, phase, seed, steps, self.folder(row, seed, phase, decoder), decoder=decoder)

    def recipe_for(self, job: Job) -> Recipe:
        """What a run is trained by, but for its steps."""
        recipe = recipe_of(job.phase, self.recipe, job.decoder)
        return recipe if self.batch is None else replace(recipe, batch=self.batch)

    def _config(self, job: Job) -> TrainingConfig:
        options: Options = {
            "seed": job.seed,
            "size": self.size,
            "encoder": self._encoder(job),
            "decoder": job.decoder,
        }
        if job.decoder == "strong":
            options["width"] = self.width
        # Decoders are measured afterwards, all alike; the accuracy of an encoder only now.
        val = self.test if job.phase == "pretrain" else None
        withheld = job.withheld or None
        return make_config(
            job.phase,
            self.recipe,
            self.train,
            val,
            steps=job.steps,
            batch=self.batch,
            withheld=withheld,
            **options,
        )

    def _encoder(self, job: Job) -> str:
        """The model whose encoder a run takes, or `random`."""
        if job.chroma != 1:
            return str(job.folder.parent / "encoder.safetensors")
        at_hand = self._encoder_at_hand(job.row, job.seed) if job.decoder == "strong" else None
        if at_hand is not None:
            return at_hand
        if job.row.pretrained and job.phase == "train":
            return str(self.folder(job.row, job.seed, "pretrain"))
        return "random"

    def _encoder_at_hand(self, row: Row, seed: int) -> str | None:
        """The network whose switches a strong decoder is to read: that of the paper's decoder.

        It is the run of the same seed, or else for seed 0 what ships; None where there is neither: then the
        same seed draws, or pretrains, the encoder that such a run would have.
        """
        run = self.folder(row, seed)
        if is_finished(run):
            return str(run)
        return row.name if seed == 0 and row.name in shipped() else None


def run_folder(
    out: Path, row: Row, seed: int, phase: PhaseName = "train", decoder: DecoderKind = "mirrored"
) -> Path:
    """Where a run of a reproduction in `out` lies."""
    name = f"{row.architecture}-encoder" if phase == "pretrain" else row.network(decoder)
    return out / "runs" / name / f"seed{seed}"


def colourful_folder(out: Path, row: Row, decoder: DecoderKind) -> Path:
    """Where the run of the experiment on colours lies."""
    name = f"{row.name}-colourful"
    return out / "runs" / (name if decoder == "mirrored" else f"{name}-strong") / "seed0"


def coarse_folder(out: Path, row: Row) -> Path:
    """Where the run of the experiment on the deepest levels lies."""
    return out / "runs" / f"{row.name}-coarse-strong" / "seed0"


def finished_runs(out: Path, row: Row, decoder: DecoderKind) -> list[Path]:
    """The folders of a row's finished runs, by their seeds; those of an earlier call count too."""
    siblings = run_folder(out, row, 0, decoder=decoder).parent.glob("seed*")
    seeds = (re.fullmatch(r"seed(\d+)", path.name) for path in siblings)
    numbers = sorted(int(seed[1]) for seed in seeds if seed)
    folders = (run_folder(out, row, number, decoder=decoder) for number in numbers)
    return [folder for folder in folders if is_finished(folder)]


def is_finished(run: Path) -> bool:
    """Whether a run came to its end: only then does its network's file say how it was trained."""
    path = run / "model.safetensors"
    if not path.exists():
        return False
    provenance = read_header(path).provenance
    pretrained = TrainingConfig.load(run).phase == "pretrain"
    return (provenance.pretraining if pretrained else provenance.training) is not None


def pending(jobs: Sequence[Job]) -> list[Job]:
    """The runs that are not finished."""
    return [job for job in jobs if not is_finished(job.folder)]


def steps_in(minutes: float, jobs: Sequence[Job], training: Training) -> int:
    """Steps a run, the same for all, so that all of them together take about so many minutes.

    Raises:
        ValueError: there is no time for even 50 steps each.
    """
    encoding = training.images * sum(training.seconds_per_encoding(job) for job in jobs)
    per_step = sum(training.seconds_per_step(job) for job in jobs)
    steps = int((60 * minutes - encoding) / per_step)
    if steps < _FEWEST_STEPS:
        need = math.ceil(10 * (encoding + _FEWEST_STEPS * per_step) / 60) / 10
        raise ValueError(_too_few(minutes, need, jobs))
    return steps


def _too_few(minutes: float, need: float, jobs: Sequence[Job]) -> str:
    """Names only what would help: a single row or seed cannot become fewer."""
    runs = ", ".join(job.name for job in jobs)
    advice = [f"give at least {need:g}"]
    if len({job.row for job in jobs}) > 1:
        advice.append("fewer rows (`only`)")
    if len({job.seed for job in jobs}) > 1:
        advice.append("fewer `seeds`")
    return (
        f"`minutes` is {minutes:g}, too few for {counted(len(jobs), 'run')} ({runs}): {', or '.join(advice)}"
    )


def do_all(
    jobs: Sequence[Job],
    training: Training,
    on_progress: OnProgress,
    announce: Callable[[str], None] = lambda text: None,
    spread: Spread = here,
) -> None:
    """Do runs one after the other, or those that need nothing of each other side by side.

    Args:
        jobs: the runs.
        training: how they are made.
        on_progress: told the progress of each run, and of all together the seconds that have passed and those
            that it will be in the end, going by the pace so far.
        announce: told where the end has moved far from what was said before.
        spread: an engine does as many runs at a time as it has nodes, or GPUs where each takes one, and tells
            only of whole ones.
    """
    if spread is not here:
        _do_apart(jobs, training, on_progress, spread)
        return
    pace = Pace([training.seconds(job) for job in jobs], announce)
    for number, job in enumerate(jobs):
        training.run(job, _with_all(on_progress, job, training, pace, number))
        pace.move(number, 1.0)
        on_progress("all runs, seconds", pace.passed, pace.total, "")


@dataclass(frozen=True)
class Runner:
    """Does runs: a work that can be pickled. A run whose worker is lost goes on elsewhere."""

    training: Training

    def __call__(self, job: Job) -> str:
        """Do a run, or what is left of it; its name."""
        self.training.run(job, silent)
        return job.name


def _do_apart(jobs: Sequence[Job], training: Training, on_progress: OnProgress, spread: Spread) -> None:
    """Do runs side by side, wave by wave: what a run takes from another is there before it begins."""
    done = 0
    for wave in _waves(jobs):
        for _, name in spread(Runner(training), wave, whole_node=True):
            done += 1
            on_progress("runs", done, len(jobs), name)


def _waves(jobs: Sequence[Job]) -> list[list[Job]]:
    """What may be done side by side: encoders, then the paper's decoders, then what needs one of these."""
    waves: list[list[Job]] = [[], [], []]
    for job in jobs:
        last = job.decoder == "strong" or job.chroma != 1
        waves[0 if job.phase == "pretrain" else 2 if last else 1].append(job)
    return [wave for wave in waves if wave]


def _with_all(on_progress: OnProgress, job: Job, training: Training, pace: Pace, number: int) -> OnProgress:
    """Tell the progress of a run, and beside it that of all runs."""
    encoding = 1 - job.steps * training.seconds_per_step(job) / training.seconds(job)
    goes_on = (job.folder / "config.json").exists()

    def tell(phase: str, done: int, of: int, note: str) -> None:
        nonlocal goes_on
        on_progress(phase, done, of, note)
        if phase not in ("encode", "train"):
            return
        if phase == "encode":
            pace.move(number, encoding * done / of)
        else:
            # Where a run goes on, its first report tells what an earlier call did.
            pace.move(number, encoding + (1 - encoding) * done / of, earlier=goes_on)
            goes_on = False
        on_progress("all runs, seconds", pace.passed, pace.total, job.name)

    return tell


def _check_same(run: Path, asked: TrainingConfig) -> None:
    """Refuse to go on with a run that was asked for differently."""
    there = TrainingConfig.load(run)
    asked_and_there = (
        ("recipe", asked.recipe.name, there.recipe.name),
        ("steps", asked.recipe.steps, there.recipe.steps),
        ("batch", asked.recipe.batch, there.recipe.batch),
        ("training data", asked.data, there.data),
        ("size", asked.size, there.size),
        ("width", asked.width, there.width),
    )
    refuse_unequal(run, asked_and_there)


def refuse_unequal(run: Path, asked_and_there: Sequence[tuple[str, object, object]]) -> None:
    """Refuse a run where of a name, what is asked for and what is there, these two differ."""
    for name, new, old in asked_and_there:
        if new != old:
            raise ValueError(
                f"{run} holds a run with {name} {old}, but {name} {new} is asked for: ask for {old}, "
                "or name another `out`"
            )


def evaluation_seconds(
    architecture: Architecture, images: int, size: int, strong_width: int | None = None
) -> float:
    """About how long it takes to measure a network on so many images."""
    return images * seconds_per_image(architecture, "evaluate", size, strong_width=strong_width)
