"""Claims say what the numbers say, and only as much as the comparisons carry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from paper_results import evidence, result, trained

from maxtunnel.paper.claims import evaluate_claims
from maxtunnel.paper.colours import Colours


def test_claims_say_what_the_numbers_say():
    flat = np.full(10, 0.1)
    more, doubling, pretraining, *rest = evaluate_claims(
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
    assert (more.verdict, more.answer) == ("Yes", "The error falls in 1 of 1 steps to more filters.")
    assert doubling.verdict == "Undecided"
    assert doubling.answer == "Over draws of the encoder: 6-12-24 against 8-8-8: undecided."
    # Draws decide before single networks do.
    assert pretraining.verdict == "Yes"
    assert "Over draws of the encoder: 8-8-8: raises it. With one draw of each" in pretraining.answer
    assert "16-16-16: lowers it" in pretraining.answer
    assert pretraining.evidence[0][3:] == ("+0.0200", "0.0200 to 0.0200", "3 seeds")
    assert all("Not measured" in claim.verdict for claim in rest)


def claim_on_pretraining(random, pretrained):
    """The claim about two shipped networks with these provenances; the pretrained one errs twice as much."""
    results = [
        result("8-8-8", "shipped", [0.1] * 5, random),
        result("8-8-8-pretrained", "shipped", [0.2] * 5, pretrained),
    ]
    return evaluate_claims(evidence(results))[2]


def test_unequal_training_decides_nothing():
    claim = claim_on_pretraining(trained(6000), trained(1000))
    assert "8-8-8: undecided" in claim.answer
    assert claim.verdict == "Undecided"
    assert claim.evidence[0][2] == "1,000 / 6,000"
    assert "8-8-8: undecided" in claim_on_pretraining(trained(1000, seed=4), trained(1000, seed=0)).answer
    assert "8-8-8: raises" in claim_on_pretraining(trained(1000, seed=4), trained(1000, seed=4)).answer


@pytest.mark.parametrize(("seed", "verdict"), [(4, "Yes"), (0, "Undecided")])
def test_doubling_is_judged_for_equal_seeds_alone(seed, verdict):
    constant = result("8-8-8", "shipped", [0.1] * 5, trained(1000, seed=4))
    doubling = result("6-12-24", "shipped", [0.05] * 5, trained(1000, seed))
    assert evaluate_claims(evidence([constant, doubling]))[1].verdict == verdict


def test_networks_of_different_origins_are_not_compared():
    random = result("8-8-8", "shipped", [0.1] * 5)
    claim = evaluate_claims(evidence([random, result("8-8-8-pretrained", "seed0", [0.2] * 5)]))[2]
    assert "Not measured" in claim.verdict


def test_seeds_of_other_lengths_are_not_mixed():
    found = [
        result(name, f"seed{seed}", [error + 0.01 * seed] * 5, trained(1000 if seed < 2 else 3000, seed))
        for name, error in (("8-8-8", 0.1), ("8-8-8-pretrained", 0.2))
        for seed in range(5)
    ]
    assert evaluate_claims(evidence(found))[2].evidence[0][2:] == (
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
    assert all("Not measured" in claim.verdict for claim in evaluate_claims(evidence([])))


def test_worse_with_more_filters_is_not_called_a_yes():
    claim = evaluate_claims(
        evidence([result("8-8-8", "seed0", [0.1] * 5), result("16-16-16", "seed0", [0.2] * 5)])
    )[0]
    assert (claim.verdict, claim.answer[:24]) == ("No", "The error falls in 0 of ")


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
    claim = evaluate_claims(evidence([], {"8-8-8": measured}))[3]
    assert claim.evidence[0][1:5] == shown
    assert claim.verdict == verdict


@pytest.mark.parametrize(("factor", "near"), [(1.096, 1), (1.104, 0), (0.904, 1), (0.896, 0)])
def test_the_best_factor_is_judged_by_its_number(factor, near):
    claim = evaluate_claims(evidence([], {"8-8-8": colours(factor=factor)}))[4]
    assert claim.evidence[0][1] in ("1.10", "0.90")
    assert f"within 0.1 of 1 in {near} of 1 networks" in claim.answer
