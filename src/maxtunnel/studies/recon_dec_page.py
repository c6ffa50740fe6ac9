"""What `study recon-dec` tells: its verdict, and its page."""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from maxtunnel.report.html import Cell, Html, details, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.recon_dec import STUDY, ReconDecStudy
from maxtunnel.studies.recon_dec_conclusions import (
    ALMOST_ALL,
    QUOTE,
    Share,
    against_classes,
    depths,
    explained,
    kinds,
    known_against_fixed,
    less,
    rmse,
    top1,
    verdict,
)
from maxtunnel.studies.recon_dec_config import GIVEN, READERS
from maxtunnel.studies.recon_dec_depths import COARSE, DepthRow
from maxtunnel.studies.recon_dec_tables import WORDS, tabulate
from maxtunnel.studies.report import Report
from maxtunnel.studies.seeds import Estimate, estimate
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.records import to_json


def report_of(study: ReconDecStudy) -> Report:
    """What the study tells."""
    body = (_carried(study), _reconstructions(study), _networks(study), _pictures(study), _method())
    return Report(
        _verdict(study), study.folder, tuple(tabulate(study)), tuple(_notes(study)), body, _record(study)
    )


def _only_networks(study: ReconDecStudy) -> bool:
    return bool(study.networks) and not study.depths


def _title(study: ReconDecStudy) -> str:
    """Of which encoder, where one was given: a document may hold several."""
    if _only_networks(study):
        return "Does a decoder beside a classifier help it?"
    given, title = study.facts.get("encoder"), "What activations carry, and what switches"
    return f"{title}: {Path(given).stem}" if given else title


def _question(study: ReconDecStudy) -> str:
    beside = (
        "train decoders beside a classifier, of known switches (SWWAE) and of fixed ones (SAE), that rebuild "
        "the image (first), every pooled plane besides (all), or each block from the encoder's own plane "
        "(layerwise)"
    )
    if _only_networks(study):
        return f"Zhang, Lee and Lee (2016) {beside}. Does the classifier err less then?"
    return (
        "Zhang, Lee and Lee (2016) rebuild images from the activations of a pretrained VGG16 with its "
        "pooling switches, and conclude what stands below. The paper under reproduction replies that there "
        "is already enough information in the switches. Here readers are given the activations, the "
        f"switches, or both.{f' They also {beside}.' if study.networks else ''}"
    )


def _verdict(study: ReconDecStudy) -> Verdict:
    return Verdict(
        study=STUDY,
        title=_title(study),
        question=_question(study),
        quote="" if _only_networks(study) else QUOTE,
        answers={
            f"pool {each.level}, {READERS[reader]}": each.answer
            for reader in READERS
            for each in depths(study, reader)
        },
        sentences=tuple(verdict(study)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: ReconDecStudy) -> Iterator[str]:
    yield (
        "What a reader explains is a lower bound: another one, or a longer training, may read more. "
        "Intervals of reconstructions are over photographs, of one training each."
    )
    slower = [
        row
        for row in study.depths
        if row.learning_rate < study.settings.reader_recipe(row.reader).learning_rate
    ]
    if slower:
        names = ", ".join(f"pool {row.level}, {row.given}, {row.reader}" for row in slower)
        yield f"Did not learn at the usual rate, and were trained at a lower one: {names}."
    if study.settings.encoder == "trained here":
        yield "The encoder is a small one that was trained here, not a pretrained large-scale network."
    if study.networks:
        seeds = study.grid.seeds
        yield (
            f"Of the networks with classes intervals are Student's over {seeds} "
            f"{'seeds' if seeds > 1 else 'seed, so there are none'}, each of nine differences being tested "
            "at 5 %; they are trained from scratch on "
            f"{study.classes} classes, where Zhang et al. go on from a VGG16 that knows ImageNet."
        )


def _share(share: Share | None, form: str = ".1%") -> Cell:
    return number(None, form) if share is None else number(share.value, form, share.interval)


def _carried(study: ReconDecStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            f"pool {each.level}, {reader}",
            *(_share(each.explained[given]) for given in GIVEN),
            *(_share(each.coarse[given]) for given in GIVEN),
            _share(each.switches, ".0%"),
            each.answer,
        ]
        for reader in READERS
        for each in depths(study, reader)
    ]
    if not rows:
        return Html()
    heads = (
        "",
        *(f"explained by {given}" for given in GIVEN),
        *(f"without local detail, by {given}" for given in GIVEN),
        "switches’ share of both",
        "the sentence",
    )
    return joined(
        element("h2", "How much each carries at each depth"),
        table(heads, rows, "Share of the variance by depth"),
    )


def _reconstructions(study: ReconDecStudy) -> Html:
    if not study.depths:
        return Html()
    of_mean = study.of_mean
    ssim = fmean(of_mean["ssim"])
    rows: list[list[str | Cell]] = [
        [
            "the mean photograph", _share(rmse(of_mean["mse"]), ".4f"), number(fmean(of_mean["psnr"]), ".2f"),
            number(None if ssim != ssim else ssim, ".3f"), number(0.0, ".1%"), "", "",
        ],
        *(_row(row, study) for row in study.depths),
    ]  # fmt: skip
    heads = ("", "RMSE", "PSNR", "SSIM", "explained", "RMSE: another’s switches", "RMSE: another’s features")
    return joined(
        element("h2", "Reconstructions"), table(heads, rows, "Reconstructions of held-out photographs")
    )


def _row(row: DepthRow, study: ReconDecStudy) -> list[str | Cell]:
    swapped = (row.swapped.get(name) for name in ("switches", "features"))
    return [
        f"pool {row.level}, {GIVEN[row.given]}, {row.reader}",
        _share(rmse(row.mse), ".4f"),
        number(fmean(row.psnr), ".2f"),
        number(None if row.ssim is None else fmean(row.ssim), ".3f"),
        _share(explained(row.mse, study.of_mean["mse"])),
        *(number(None if errors is None else rmse(errors).value, ".4f") for errors in swapped),
    ]


def _networks(study: ReconDecStudy) -> Html:
    differences = against_classes(study)
    rows: list[list[str | Cell]] = []
    for kind, found in kinds(study).items():
        right = top1(found)
        own = [row.own for row in found if row.own is not None]
        rows.append(
            [
                kind,
                number(right.count, "d"),
                number(right.mean, ".2%", right.interval),
                *_told(differences.get(kind)),
                number(estimate(own).mean if own else None, ".4f"),
            ]
        )
    if not rows:
        return Html()
    heads = (
        "", "seeds", "top-1", "error less that of classes", "could have been seen", "errs",
        "own decoder’s RMSE",
    )  # fmt: skip
    return joined(
        element("h2", "Decoders beside a classifier"),
        table(heads, rows, "Top-1 of networks with and without a decoder"),
        _modes(study),
    )


def _modes(study: ReconDecStudy) -> Html:
    rows = [[mode, *_told(each)] for mode, each in known_against_fixed(study).items()]
    if not rows:
        return Html()
    heads = ("", "error with known switches less that with fixed ones", "could have been seen", "errs")
    return table(heads, rows, "Decoders of known switches against those of fixed ones")


def _told(difference: Estimate | None) -> list[str | Cell]:
    """How far two errors differ, what could have been seen, and which is lower."""
    if difference is None:
        return [number(None, ""), number(None, ""), ""]
    return [
        number(difference.mean, "+.2%", difference.interval, between=" to "),
        number(difference.detectable, ".2%"),
        WORDS[less(difference)],
    ]


def _pictures(study: ReconDecStudy) -> Html:
    shown = []
    for row in study.depths:
        name = f"pool{row.level}-{row.given}-{row.reader}"
        path = study.folder / "runs" / f"{name}.png"
        if path.is_file():
            caption = f"pool {row.level}, {GIVEN[row.given]}, {READERS[row.reader]}"
            shown.append(figure(inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption))
    return details("Pictures: photographs, and below them what is rebuilt.", *shown) if shown else Html()


def _method() -> Html:
    return joined(
        element("h2", "What the numbers mean"),
        element(
            "ul",
            element(
                "li",
                "Explained: 1 - MSE / MSE of the mean photograph. Without local detail: the same of "
                f"photographs averaged over squares of {COARSE} pixels.",
            ),
            element(
                "li",
                "Switches’ share: of what both explain, the mean of what the switches add to nothing and "
                "what they add to the features (Shapley’s value); the rest is the features’.",
            ),
            element(
                "li",
                f"The sentence is supported where features alone explain at least {ALMOST_ALL:.0%} without "
                "local detail, with the whole interval; contradicted where they explain less and the "
                "switches alone explain more of the photographs; supported in part where they explain less, "
                "but more than the switches; withheld where it is not sure that they explain 2 % of the "
                "photographs, as that reader may not have learnt; open where an interval does not tell.",
            ),
            element(
                "li",
                "Another’s: the reader is given its own photograph’s features with the switches of one of "
                "another class, or the other way round.",
            ),
        ),
    )


def _record(study: ReconDecStudy) -> dict[str, str]:
    seconds = sum(row.seconds for row in study.depths)
    trained = sum(row.seconds[0] for row in study.networks)
    return {
        "architecture read": study.encoder,
        "photographs": f"{study.trained:,} to train on, {study.measured:,} to measure on",
        "settings": ", ".join(f"{name} {value}" for name, value in to_json(study.settings).items()),
        "readers": f"{len(study.depths)}, trained for {seconds:,.0f} s",
        "networks": f"{len(study.networks)}, trained for {trained:,.0f} s",
    }
