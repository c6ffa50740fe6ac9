"""The audit as one page that can be mailed: no network, no scripts, pictures inside."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from maxtunnel.auditing.conclusions import Conclusions, readable_minutes
from maxtunnel.auditing.learning import learning, two_readers
from maxtunnel.auditing.outcome import AuditedLevel, AuditResult, MitigationResult
from maxtunnel.auditing.readers import READERS
from maxtunnel.auditing.rows import Row, Shares
from maxtunnel.data.images import write_png
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, details, element, facts, figure, joined, number, page, table
from maxtunnel.report.pictures import inline, jpeg, strip
from maxtunnel.support.files import replacing
from maxtunnel.support.records import to_json
from maxtunnel.switches.recording import Evidence

RESULT = "audit.json"  # the same in numbers


def write_report(result: AuditResult, out: str | Path) -> Path:
    """Write OUT/audit.html, OUT/audit.json and the pictures; the page's path.

    Pictures are strips, one a file, in the order of the photographs in `originals.png`.
    """
    out = Path(out)
    for key, images in result.pictures.items():
        write_png(out / "pictures" / f"{key.replace(' ', '-')}.png", strip(images))
    Conclusions(result).save(out / RESULT)
    with replacing(out / "audit.html") as temporary:
        temporary.write_text(audit_page(result), encoding="utf-8")
    return out / "audit.html"


def audit_page(result: AuditResult) -> str:
    """The HTML; what is withheld is replaced by the reason."""
    conclusions = Conclusions(result)
    result = conclusions.without_withheld()
    return page(
        f"What the pooling indices of {result.target} give away",
        "audit",
        _who_could_read_what(result),
        element("p", conclusions.verdict, class_="mt-verdict"),
        Html(
            "<p><small>RMSE: root of the mean squared error of pixel values between 0 and 1; 0 would be the "
            "photograph itself.</small></p>"
        ),
        _picture(result, "originals", "Photographs that no decoder was trained on."),
        _picture(result, "known", "The same, rebuilt from their pooling indices alone: no feature value."),
        _picture(result, "random", "Rebuilt by a decoder that trained on random indices: it knows nothing."),
        _warnings(conclusions),
        two_readers(result),
        _refined(result),
        _controls(result),
        _levels(result, conclusions),
        _what_and_where(result, conclusions),
        _transplants(result),
        _identification(result),
        _mitigations(result),
        learning(result),
        _method(result, conclusions),
        _record(result),
        mark=svg.COLOURS[0],
    )


def _who_could_read_what(result: AuditResult) -> Html:
    names = joined(*(element("b", name) for name in result.returned), between=", ")
    returns = {
        Evidence.YES: f"This model returns the indices of {names} with its output: whoever gets the output "
        "has them.",
        Evidence.UNKNOWN: "Whether this model returns indices with its output cannot be known: "
        f"{escape(result.returning.how)}.",
        Evidence.NONE: "No evidence was found that this model returns indices with its output.",
    }[result.returning.evidence]
    unpools = {
        Evidence.YES: "It uses its own indices to unpool: "
        f"{escape(result.unpooling.how)}; times in one pass: {result.unpoolings}.",
        Evidence.UNKNOWN: f"Whether it uses its own indices cannot be known: {escape(result.unpooling.how)}.",
        Evidence.NONE: "No evidence was found that it unpools with indices itself.",
    }[result.unpooling.evidence]
    withheld = result.record.withheld
    part = (
        f" <b>This audit gives the observer a part of the levels only</b>; withheld: level "
        f"{escape(', '.join(withheld))}."
        if withheld
        else ""
    )
    return Html(f"""
<p>A max-pooling layer keeps the largest value of each small window of its input. Its <em>indices</em> (also:
switches) only say <em>where</em> in the window that value was. This page measures how much of a photograph
can be rebuilt from them.</p>
<div class="mt-box"><p><b>Who could read what</b></p><ul>
<li>Indices that never leave the process that computes them leak to nobody.</li>
<li>Indices that are sent, stored or logged leak to whoever sees them: the numbers below are what such an
observer can do, given photographs of the same kind and the model to make training pairs with.</li>
<li>An unpooling decoder inside a model uses them whether one wants it or not: what it puts out may come from
them, not from the features.</li></ul><p>{returns} {unpools}{part}</p></div>""")


def _warnings(conclusions: Conclusions) -> Html:
    found = conclusions.warnings()
    if not found:
        return Html()
    heading = element("p", element("b", "Before you trust a number"))
    items = element("ul", *(element("li", text) for text in found))
    return element("div", heading, items, class_="mt-box")


def _refined(result: AuditResult) -> Html:
    found = result.refined
    if found is None:
        return Html()
    text = Html(f"""<h2>Refined</h2>
<p>A decoder draws in one pass, and {found.wrong_decoded:.1%} of the switches of what it drew are not those
that it was given. Whoever trained it had the model, and can move the picture, by the model's own gradient, to
where its switches are right: {found.wrong_refined:.1%} were wrong after {found.rounds} rounds. Of
{found.photographs:,} photographs, by the decoder of known switches.</p>""")
    return joined(
        text,
        _table(result, [found.refined, found.decoded], "Pictures of known switches, refined and not", main=0),
        _picture(result, "refined", "The first of the photographs above, refined."),
    )


def _controls(result: AuditResult) -> Html:
    rows = [result.rows[key] for key in ("known", "mean", "random", "fixed", "other") if key in result.rows]
    text = Html("""<h2>Against controls</h2>
<p>A decoder can paint a plausible average without knowing anything. So the leak is measured against four
ways to know nothing about a photograph: the mean of the training photographs; a decoder trained on random
switches; one trained with every switch fixed to its window's first cell; and the known-switch decoder
given the switches of <em>another</em> photograph (it then paints that other one).</p>""")
    return joined(
        text,
        _table(result, rows, "Known switches and controls", main=0),
        _picture(result, "fixed", "Fixed switches, the decoder trained for them."),
    )


def _levels(result: AuditResult, conclusions: Conclusions) -> Html:
    if not result.levels:
        return Html()
    lines = [
        (
            Cell(
                element("b", level.name),
                f"{level.window}, {level.channels} channels, "
                f"{level.size[1]}x{level.size[0]} to {level.pooled[1]}x{level.pooled[0]} (width x height)",
            ),
            number(level.nominal_bits, ",.0f"),
            number(level.coded_bits, ",.0f"),
            *_leak(level.alone),
            *_together(level),
        )
        for level in result.levels
    ]
    head = ("level, in call order", "bits", "bits, coded", "alone: RMSE", "explained",
            "with all coarser: RMSE", "explained")  # fmt: skip
    pictures = [
        picture
        for level in result.levels
        for picture in (
            _picture(result, f"alone {level.number}", f"{level.name} alone"),
            Html()
            if level.surpassed_by
            else _picture(result, f"from deepest {level.number}", f"{level.name} and all coarser levels"),
        )
    ]
    total = sum(level.nominal_bits for level in result.levels)
    text = Html(f"""<h2>Level by level</h2>
<p>All levels: {total:,.0f} bits a photograph at log2(cells) for each switch, {result.bits_per_pixel:.3g}
per pixel and colour channel. Coded: what they take in a switch file, entropy-coded without loss by a
coder that learns from the file alone. What all levels together give away is what the known-switch decoder
read. One other decoder, started from it, learned all other cases, so each of those is a lower bound, and
somewhat lower than what a decoder of its own would read.</p>""")
    whole = table(head, lines, "What each level gives away")
    if "levels" in conclusions.withheld:
        return joined(text, _withheld(conclusions, "levels"), whole)
    return joined(text, whole, details("Pictures of every level", *pictures))


def _what_and_where(result: AuditResult, conclusions: Conclusions) -> Html:
    rows = [result.rows[key] for key in ("fixed", "what", "where", "both", "untrained") if key in result.rows]
    if not rows:
        return Html()
    withheld = "shares" in conclusions.withheld
    text = Html(f"""<h2>Features or positions?</h2>
<p>The same decoder, as many steps each, fed the features of the coarsest level unpooled without positions,
the switches without features, or both. {"" if withheld else _shares(result.shares)} The untrained copy, its
weights drawn anew, tells whether it is the training that leaks or the architecture.</p>""")
    why = _withheld(conclusions, "shares") if withheld else Html()
    return joined(text, why, _table(result, rows, "Features and switches"))


def _withheld(conclusions: Conclusions, part: str) -> Html:
    """Why a part of the page says nothing."""
    reasons = "; ".join(conclusions.withheld[part])
    text = f"The {part} are withheld: {reasons}. {conclusions.advice}"
    return element("p", element("b", text), class_="mt-box")


def _shares(found: Shares | None) -> str:
    if found is None:
        return "Both together rebuilt too little to share it out among them."
    low, high = found.where_ci95
    return (
        "Of what both together explain beyond neither, the switches account for "
        f"<b>{found.where:.0%}</b> ({low:.0%} to {high:.0%}) and the features for {found.what:.0%} "
        "(Shapley's shares: each part's gain, averaged over adding it first and second)."
    )


def _transplants(result: AuditResult) -> Html:
    found = result.transplant
    if found is None:
        return Html()
    text = Html(f"""<h2>Transplants</h2>
<p>Switches of the photographs above with the features of others. The result is nearer to the photograph
that gave the <em>switches</em> in {found.nearer_to_where:.0%} of pairs (RMSE {found.rmse_to_where:.3f} to it,
{found.rmse_to_what:.3f} to the one that gave the features).</p>""")
    return joined(
        text,
        _picture(result, "originals", "Switches from here,"),
        _picture(result, "donors", "features from here,"),
        _picture(result, "transplant", "and what the decoder of both makes of them."),
    )


def _identification(result: AuditResult) -> Html:
    if not result.identified:
        return Html()
    lines = [
        (
            f"nearest in {found.by}, among {found.among:,}",
            number(found.found, ".1%"),
            f"{found.found_ci95[0]:.1%} to {found.found_ci95[1]:.1%}",
            number(found.chance, ".1%"),
        )
        for found in result.identified
    ]
    text = Html("""<h2>Which photograph was it?</h2>
<p>For each reconstruction from switches alone, the nearest original photograph is looked up: by its
pixels, and by a histogram of edge directions in 8x8 cells, which ignores colour and brightness.</p>""")
    head = ("", "right one found", "95 % interval", "blind guess")
    return joined(text, table(head, lines, "How often the right photograph is found"))


def _mitigations(result: AuditResult) -> Html:
    if not result.mitigations:
        return Html()
    text = Html("""<h2>What helps</h2>
<p>Each mitigation with a decoder retrained against it, as an attacker would: all start from the
known-switch decoder and take as many steps. A larger RMSE is less leak. Average pooling and strided
convolution leave no switches; what the features then give away stands in the column beside. The model itself
was not retrained for any of them.</p>""")
    leaks = [(found.name, found.bits, found.leak.rmse) for found in result.mitigations if found.leak]
    metrics = [
        (found.name, found.metric, found.leak.rmse)
        for found in result.mitigations
        if found.metric is not None and found.leak
    ]
    leak = "RMSE of switches alone"
    return joined(
        text,
        _mitigation_table(result.mitigations),
        svg.points(leaks, "bits of a photograph's switches, at most", leak),
        svg.points(metrics, "the model's own metric", leak) if metrics else "",
    )


def _mitigation_table(mitigations: Sequence[MitigationResult]) -> Html:
    with_metric = any(found.metric is not None for found in mitigations)
    head = ("", "bits left", "switches alone: RMSE", "explained", "with features: RMSE", "explained")
    lines = [
        (
            found.name,
            number(found.bits, ",.0f"),
            *(_leak(found.leak) if found.leak else ("no switches", "")),
            *(_leak(found.with_features) if found.with_features else ("", "")),
            *((number(found.metric, ".4g"),) if with_metric else ()),
        )
        for found in mitigations
    ]
    return table((*head, "metric") if with_metric else head, lines, "What each mitigation leaves")


def _method(result: AuditResult, conclusions: Conclusions) -> Html:
    kinds = dict.fromkeys(training.reader for training in result.decoders)
    readers = "; ".join(f"{READERS[kind].title}: {READERS[kind].about}" for kind in kinds)
    return Html(f"""<h2>What the numbers mean</h2><ul>
<li>RMSE: root of the mean squared error over all photographs, channels and pixels, values in [0, 1], the
output not clipped. PSNR and SSIM: means over photographs of the clipped output.</li>
<li>Variance explained: 1 - MSE / MSE of the mean image; 0 % is knowing nothing, 100 % the photograph
itself.</li>
<li>Intervals: 95 %, 2,000 bootstrap draws over photographs. {conclusions.interval_note}.</li>
<li>Withheld: a verdict, shares or levels whose decoders had fewer than
{conclusions.of.config.least_steps} steps, or whose controls are out of order.</li>
<li>Decoders: {readers}. All of one kind have the same initial weights, but those of levels and mitigations,
which start from the known-switch decoder. Every decoder is of the same kind as what it is put against: the
random control, the levels and the mitigations as the known-switch decoder that read more; fixed switches,
features, switches, both and the untrained copy as one another. A leak found is a lower bound.</li>
<li>Still falling: over the last tenth of its curve a decoder's RMSE was more than 1 % below the tenth
before.</li></ul>""")


def _record(result: AuditResult) -> Html:
    """What is needed to do the audit again."""
    record, origin, counts = result.record, result.record.origin, result.images
    settings = ", ".join(f"{name} {value}" for name, value in to_json(result.config).items())
    lines = {
        "date": record.date,
        "command": origin.command,
        "model": origin.model or result.target,
        "SHA-256 of its weights": record.weights_sha256,
        "preprocessing": origin.preprocess,
        "photographs": origin.data,
        "held-out photographs": origin.holdout,
        "how many": f"{counts['trained']:,} of {counts['given']:,} to train on, {counts['measured']:,} "
        f"others to measure on, {counts['searched']:,} to search among",
        "size": f"{result.size[1]}x{result.size[0]} pixels"
        + (f", warped by {origin.resize}" if origin.resize else ""),
        "levels given to the observer": ", ".join(map(str, record.observed)),
        "levels withheld": ", ".join(record.withheld) or "none",
        "time": f"{result.seconds:,.0f} s without mitigations, {record.seconds_per_step:.3g} s a step; "
        f"the least sensible `minutes` here: {readable_minutes(result.enough_minutes)}",
        "decoders": ", ".join(dict.fromkeys(READERS[done.reader].title for done in result.decoders)),
        "settings": settings,
        "versions": ", ".join(f"{name} {value}" for name, value in result.versions.items()),
    }
    rows = [(name, value, "") for name, value in lines.items() if value]
    return joined(
        element("h2", "Record"),
        facts(rows),
        element("p", element("small", "The same numbers, with the curves, are in audit.json.")),
    )


def _table(result: AuditResult, rows: Sequence[Row], label: str, main: int | None = None) -> Html:
    """Rows with the kind of decoder that read each, where there are two."""
    kinds = {done.name: done.reader for done in result.decoders}
    several = len(set(kinds.values())) > 1
    head = ("", "variance explained", "", "RMSE", "95 % interval", "PSNR", "SSIM")
    lines = [
        (
            Cell(row.name, f"{kinds[row.decoder]} decoder" if several and row.decoder else ""),
            number(row.explained, ".1%"),
            Cell(element("span", style=f"width:{max(0, row.explained):.0%}"), classes="mt-bar"),
            number(row.rmse, ".4f"),
            f"{row.rmse_ci95[0]:.4f} to {row.rmse_ci95[1]:.4f}",
            number(row.psnr, ".2f", unit=" dB"),
            number(row.ssim, ".3f"),
        )
        for row in rows
    ]
    return table(head, lines, label, main)


def _leak(row: Row | None) -> tuple[Cell, Cell]:
    """RMSE with its interval, and the variance explained; dashes where it was not measured."""
    if row is None:
        return number(None, ".4f"), number(None, ".0%")
    return number(row.rmse, ".4f", row.rmse_ci95, between=" to "), number(row.explained, ".0%")


def _together(level: AuditedLevel) -> tuple[Cell, Cell]:
    """The same of a level with all coarser ones, or why nothing is said."""
    if not level.surpassed_by:
        return _leak(level.from_deepest)
    return Cell("not enough steps to say", f"less was read than of {level.surpassed_by}"), number(None, ".0%")


def _picture(result: AuditResult, key: str, caption: str) -> Html:
    if key not in result.pictures:
        return Html()
    return figure(inline(jpeg(strip(result.pictures[key])), "image/jpeg", caption), caption)
