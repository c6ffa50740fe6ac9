"""Networks beside each other: NumPy's own resampling is the oracle of paired intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from maxtunnel.evaluation.comparison import compare, evaluate_models
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork

pytestmark = pytest.mark.usefixtures("one_thread")


def results():
    pixels = torch.randint(
        256, (40, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    mean = torch.full((3, 8, 8), 0.45)
    return [
        evaluate(TunnelNetwork(Architecture((4, 4)), mean, 4.0, seed), pixels, model=str(seed), bits_images=0)
        for seed in (0, 1)
    ]


def test_differences_are_paired():
    first, second = results()
    rmse, psnr, ssim = compare(second, first)
    assert (rmse.metric, psnr.metric, ssim.metric) == ("rmse", "psnr", "ssim")
    assert (rmse.model, rmse.reference) == ("1", "0")
    assert rmse.value == second.rmse - first.rmse
    random = np.random.default_rng(0)
    mse = np.square([second.per_image.rmse, first.per_image.rmse])
    draws = [mse[:, random.integers(40, size=40)].mean(1) for _ in range(4000)]
    expected = np.quantile([np.sqrt(one) - np.sqrt(other) for one, other in draws], [0.025, 0.975])
    width = expected[1] - expected[0]
    assert rmse.ci95 == pytest.approx(expected, abs=0.1 * width)
    # Paired: far narrower than the intervals of the two alone would make it.
    assert width < 0.7 * (first.rmse_ci95[1] - first.rmse_ci95[0])
    assert compare(first, first)[0].ci95 == (0, 0)
    assert psnr.ci95[0] < psnr.value < psnr.ci95[1]


def test_only_the_same_photographs_are_compared():
    first, second = results()
    with pytest.raises(ValueError, match="on 40 photographs, 1 on 39"):
        compare(first, replace(second, images=39))


def test_several_models_go_into_one_file(tmp_path, photographs_folder):
    path = tmp_path / "r.json"
    found, differences, _ = evaluate_models(
        ["8-8-8", "16-16-16"], photographs_folder, size=16, labels=["small"], json_file=path, bits_images=0
    )
    content = json.loads(path.read_text())
    names = ["small", "16-16-16 (shipped)"]
    assert [one["model"] for one in content["evaluations"]] == names == [one.model for one in found]
    assert [one["source"] for one in content["evaluations"]] == ["8-8-8", "16-16-16"]
    assert [(one["model"], one["reference"]) for one in content["differences"]] == [(names[1], names[0])] * 3
    assert content["differences"][0]["value"] == differences[0].value == found[1].rmse - found[0].rmse
    assert len(content["paths"]) == 12


def test_a_mean_image_needs_a_snapshot(photographs_folder):
    with pytest.raises(ValueError, match=r"`mean` is for \.caffemodel"):
        evaluate_models(["8-8-8"], photographs_folder, size=16, mean=photographs_folder)
