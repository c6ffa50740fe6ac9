"""Claims say what the numbers say, and only as much as the comparisons carry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from paper_results import evidence, result, trained

from maxtunnel.paper.claims import evaluate_claims, write_claims
from maxtunnel.paper.colours import Colours
from maxtunnel.paper.measurements import Replaced


def test_claims_say_what_the_numbers_say():
    flat = np.full(10, 0.1)
    found = evaluate_claims(
        evidence(
            [
                *(result("8-8-8", f"seed{seed}", flat + 0.01 * seed) for seed in range(3)),
                *(result("8-8-8-pretrained", f"seed{seed}", flat + 0.02 + 0.01 * seed) for seed in range(3)),
                *(result("6-12-24", f"seed{seed}", flat + (0.01, -0.03, 0.05)[seed]) for seed in range(3)),
                result("16-16-16", "seed0", flat - 0.03),
                result("16-16-16-pretrained", "seed0", flat - 0.05),
            ]
        )
    )
    more, doubling, pretraining, *rest = (claim.readings[0] for claim in found)
    assert (more.verdict, more.answer) == ("Yes", "The error falls in 1 of 1 steps to more filters.")
    assert doubling.verdict == "Undecided"
    assert doubling.answer == "Over draws of the encoder: 6-12-24 against 8-8-8: undecided."
    # Draws decide before single networks do.
    assert pretraining.verdict == "Yes"
    assert "Over draws of the encoder: 8-8-8: raises it. With one draw of each" in pretraining.answer
    assert "16-16-16: lowers it" in pretraining.answer
    assert found[2].evidence[0][4:] == ("+0.0200", "0.0200 to 0.0200", "3 seeds")
    assert all("Not measured" in reading.verdict for reading in rest)
    # No strong decoder is there, so nothing is said of the switches, and why.
    for claim in found[:3]:
        assert claim.outcome.verdict == "Undecided"
        assert claim.outcome.reason.startswith("There is no strong decoder here")


def claim_on_pretraining(random, pretrained):
    """The claim about two shipped networks with these provenances; the pretrained one errs twice as much."""
    results = [
        result("8-8-8", "shipped", [0.1] * 5, random),
        result("8-8-8-pretrained", "shipped", [0.2] * 5, pretrained),
    ]
    return evaluate_claims(evidence(results))[2]


def test_unequal_training_decides_nothing():
    claim = claim_on_pretraining(trained(6000), trained(1000))
    assert "8-8-8: undecided" in claim.readings[0].answer
    assert claim.readings[0].verdict == "Undecided"
    assert claim.evidence[0][3] == "1,000 / 6,000"
    for random, pretrained, said in (
        (trained(1000, seed=4), trained(1000, seed=0), "8-8-8: undecided"),
        (trained(1000, seed=4), trained(1000, seed=4), "8-8-8: raises"),
        (trained(1000, batch=64), trained(1000), "8-8-8: undecided"),
    ):
        assert said in claim_on_pretraining(random, pretrained).readings[0].answer


@pytest.mark.parametrize(("seed", "verdict"), [(4, "Yes"), (0, "Undecided")])
def test_doubling_is_judged_for_equal_seeds_alone(seed, verdict):
    constant = result("8-8-8", "shipped", [0.1] * 5, trained(1000, seed=4))
    doubling = result("6-12-24", "shipped", [0.05] * 5, trained(1000, seed))
    assert evaluate_claims(evidence([constant, doubling]))[1].readings[0].verdict == verdict


def test_networks_of_different_origins_are_not_compared():
    random = result("8-8-8", "shipped", [0.1] * 5)
    claim = evaluate_claims(evidence([random, result("8-8-8-pretrained", "seed0", [0.2] * 5)]))[2]
    assert "Not measured" in claim.readings[0].verdict


def test_seeds_of_other_lengths_are_not_mixed():
    found = [
        result(name, f"seed{seed}", [error + 0.01 * seed] * 5, trained(1000 if seed < 2 else 3000, seed))
        for name, error in (("8-8-8", 0.1), ("8-8-8-pretrained", 0.2))
        for seed in range(5)
    ]
    assert evaluate_claims(evidence(found))[2].evidence[0][3:] == (
        *("3,000 / 3,000", "+0.1000", "0.1000 to 0.1000", "3 seeds"),
    )


def test_a_claim_names_the_calls_that_it_rests_on():
    asked = replace(evidence([]), commands=("train", "measure"))
    assert asked.command([result("8-8-8", "shipped", [0.1])]) == "measure"
    assert (
        asked.command([result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.1])])
        == "train\nmeasure"
    )


def test_claims_without_networks_say_so():
    for claim in evaluate_claims(evidence([])):
        assert all(reading.verdict in ("Not measured here", "Not asked") for reading in claim.readings)
        assert claim.outcome is None or claim.outcome.verdict == "Undecided"


def test_worse_with_more_filters_is_not_called_a_yes():
    claim = evaluate_claims(
        evidence([result("8-8-8", "seed0", [0.1] * 5), result("16-16-16", "seed0", [0.2] * 5)])
    )[0]
    reading = claim.readings[0]
    assert (reading.verdict, reading.answer[:24]) == ("No", "The error falls in 0 of ")


DULL, WHY, FIXED = 4, 5, 7  # places of claims


def colours(luma=0.9, chroma=0.5, edges=0.8, factor=1.0):
    """Measured colours of four photographs: strengths, correlation of edges and the best factor as given."""
    strength = torch.tensor([luma, chroma], dtype=torch.float64)[:, None, None].expand(2, 3, 4)
    return Colours(
        saturation=torch.full((4,), 0.9).double(),
        edges=torch.full((4,), edges).double(),
        edges_other=torch.zeros(4).double(),
        power=torch.ones(2, 3, 4).double(),
        shared=strength.clone(),
        own=strength / factor,
        grey_flips=0.2,
    )


@pytest.mark.parametrize(
    ("measured", "shown", "verdict"),
    [
        (colours(edges=0.501), ("0.50", "0.90", "0.90", "0.50"), "Yes"),
        (colours(edges=0.499), ("0.50", "0.90", "0.90", "0.50"), "In part"),
        (colours(luma=0.704, chroma=0.701), ("0.70", "0.70", "0.90", "0.80"), "Yes"),
        (colours(luma=0.701, chroma=0.704), ("0.70", "0.70", "0.90", "0.80"), "In part"),
    ],
)
def test_dull_colours_are_judged_by_numbers_that_look_alike_when_rounded(measured, shown, verdict):
    claim = evaluate_claims(evidence([], {"8-8-8": measured}))[DULL]
    strengths, rest = claim.evidence[0][2:4], claim.evidence[0][5:7]
    assert (*strengths, *rest) == shown
    assert claim.readings[0].verdict == verdict


@pytest.mark.parametrize(("factor", "near"), [(1.096, 1), (1.104, 0), (0.904, 1), (0.896, 0)])
def test_the_best_factor_is_judged_by_its_number(factor, near):
    claim = evaluate_claims(evidence([], {"8-8-8": colours(factor=factor)}))[WHY]
    assert claim.evidence[0][2] in ("1.10", "0.90")
    assert f"as squared error wants them in {near} of 1" in claim.readings[0].answer


def test_filters_matter_to_one_reader_and_not_to_the_other():
    def ladder(errors, width=None):
        return [
            result(name, "shipped", np.full(10, error), trained(1000), width)
            for name, error in zip(("8-8-8", "16-16-16", "64-64-64"), errors, strict=True)
        ]

    def outcome(mirrored, strong):
        return evaluate_claims(evidence(ladder(mirrored) + ladder(strong, 8)))[0].outcome

    down, up = (0.3, 0.2, 0.1), (0.1, 0.2, 0.3)
    assert outcome(down, down).verdict == "Holds for both readers"
    assert outcome(down, down).reason.startswith(
        "For the one encoder that was drawn of each: 8-8-8 to 16-16-16, 16-16-16 to 64-64-64."
    )
    assert outcome(down, up).verdict == "Only for the paper's decoder"
    assert outcome(down, (0.3, 0.2, 0.4)).verdict == "Undecided"
    assert "networks differ" in outcome(down, (0.3, 0.2, 0.4)).reason
    assert outcome(down, (0.1, 0.1, 0.1)).verdict == "Undecided"
    assert "no number decides" in outcome(down, (0.1, 0.1, 0.1)).reason


def test_the_papers_decoder_is_asked_of_the_steps_of_the_strong_one():
    mirrored = [result(name, "shipped", [0.3 - 0.1 * n] * 5) for n, name in enumerate(LADDER)]
    strong = [
        result(name, "shipped", [0.2 - 0.1 * n] * 5, width=8) for n, name in enumerate(LADDER) if n != 1
    ]
    claim = evaluate_claims(evidence(mirrored + strong))[0]
    assert list(claim.readings[0].items) == ["8-8-8 to 16-16-16", "16-16-16 to 32-32-32", "8-8-8 to 32-32-32"]
    assert list(claim.readings[1].items) == ["8-8-8 to 32-32-32"]
    assert claim.outcome.reason.startswith(f"{ONE_DRAW}: 8-8-8 to 32-32-32. How large")


ONE_DRAW = "For the one encoder that was drawn of each"
LADDER = ("8-8-8", "16-16-16", "32-32-32")


def pretrained_draws(gap, noise, width=None, seeds=3):
    """Both encoders of 8-8-8, a pair a seed: pretrained ones err more by the gap, give or take the noise."""
    return [
        result(name, f"seed{seed}", [0.2 + more] * 5, trained(1000, seed), width)
        for seed in range(seeds)
        for name, more in (("8-8-8", 0.0), ("8-8-8-pretrained", gap + (-1) ** seed * noise))
    ]


@pytest.mark.parametrize(
    ("strong", "verdict"),
    [
        (pretrained_draws(0.02, 0.001, 8), "Holds for both readers"),
        (pretrained_draws(-0.02, 0.001, 8), "Only for the paper's decoder"),
        (pretrained_draws(0.001, 0.05, 8), "Undecided"),
        # Draws against one draw are no like with like.
        (pretrained_draws(0.02, 0.001, 8, seeds=1), "Undecided"),
    ],
)
def test_pretraining_is_put_to_both_readers_over_draws(strong, verdict):
    claim = evaluate_claims(evidence(pretrained_draws(0.03, 0.001) + strong))[2]
    assert claim.outcome.verdict == verdict
    assert [row[0] for row in claim.evidence] == ["paper's", "strong"]
    if verdict != "Undecided":
        assert claim.outcome.reason.startswith("Over draws of the encoder: 8-8-8. How large, ")


@pytest.mark.parametrize(
    ("strong", "dull", "why"),
    [
        (colours(chroma=0.7), "Holds for both readers", "Holds for both readers"),
        (colours(chroma=0.95), "Only for the paper's decoder", "Only for the paper's decoder"),
        (None, "Undecided", "Undecided"),
    ],
)
def test_colours_are_put_to_both_readers(strong, dull, why):
    read = None if strong is None else {"8-8-8": strong}
    found = evaluate_claims(evidence([], {"8-8-8": colours(), "16-16-16": colours()}, read))
    assert (found[DULL].outcome.verdict, found[WHY].outcome.verdict) == (dull, why)
    assert all("the switches know" not in reading.answer.lower() for reading in found[WHY].readings)
    if strong is not None:
        # Only the network that both were asked of counts.
        start = "For the one encoder that was drawn of each: 8-8-8. How large, "
        assert found[WHY].outcome.reason.startswith(start)


def test_a_strength_that_photographs_do_not_settle_is_undecided():
    mixed = colours(luma=0.5, chroma=0.5)
    mixed.shared[1] += torch.tensor([0.1, -0.1, 0.1, -0.1]).double()
    found = evaluate_claims(evidence([], {"8-8-8": colours()}, {"8-8-8": mixed}))
    assert found[DULL].readings[1].items["8-8-8"].holds is None
    assert found[DULL].outcome.verdict == "Undecided"


def replaced(times):
    """Fixed switches that err so many times as much."""
    return Replaced(0.1, 0.1 * times, 0.1 * times, 0.3, 0.4, 0.2, (times, times), (times, times))


def test_fixed_switches_are_put_to_both_readers():
    def outcome(times):
        both = {"mirrored": {"8-8-8": replaced(2.0)}, "strong": {"8-8-8": replaced(times)}}
        return evaluate_claims(evidence([], replaced=both))[FIXED]

    assert outcome(3.0).outcome.verdict == "Holds for both readers"
    assert outcome(1.4).outcome.verdict == "Only for the paper's decoder"
    assert outcome(3.0).evidence[1][5] == "≥ 0.3000"


def test_the_layers_of_a_strong_decoder_are_not_asked():
    claim = evaluate_claims(evidence([]))[6]
    assert claim.readings[1].verdict == "Not asked"
    assert "only one that was trained with finer levels withheld can be asked" in claim.readings[1].answer


def test_the_claims_file_begins_with_what_is_about_the_switches(tmp_path):
    found = evaluate_claims(evidence([], {"8-8-8": colours()}, {"8-8-8": colours(chroma=0.95)}))
    write_claims(found, tmp_path / "claims.md", [("date", "today")])
    text = (tmp_path / "claims.md").read_text()
    summary = text[text.index("## About the switches") : text.index("## Do more filters")]
    rows = [line.split(" | ") for line in summary.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 7
    by_name = {row[0].removeprefix("| "): row[3] for row in rows}
    assert by_name["Less is read of colour than of brightness"] == "Only for the paper's decoder"
    assert by_name["More filters give a lower error"] == "Undecided"
    assert "The strong decoder: **It reads no less of colour.**" in text
    assert "leak" not in text.lower()


def test_readers_of_other_switches_decide_nothing_together():
    def outcomes(switches):
        ours = [result("8-8-8", "shipped", [0.2] * 5), result("16-16-16", "shipped", [0.1] * 5)]
        strong = [
            result("8-8-8", "shipped", [0.1] * 5, width=8, switches=switches),
            result("16-16-16", "shipped", [0.05] * 5, width=8),
        ]
        found = evaluate_claims(evidence(ours + strong, {"8-8-8": colours()}, {"8-8-8": colours()}))
        return found[0].outcome.verdict, found[DULL].outcome.verdict, found[WHY].outcome.verdict

    assert outcomes("8-8-8 shipped") == ("Holds for both readers",) * 3
    assert outcomes("others") == ("Undecided",) * 3
