"""scikit-image is the oracle of PSNR and SSIM."""

import json
import math
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import entropy
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from maxtunnel.codec import dumps, is_fast
from maxtunnel.data import read_photographs
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.comparison import evaluate_models
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.zoo.names import load


def photographs(side=64):
    return torch.stack([resize(image, (side, side)) for image in demo_photographs().values()])


def network():
    return TunnelNetwork(Architecture((4, 4)), torch.full((3, 8, 8), 0.45), 4.0)


def test_rmse_is_the_papers_and_not_clipped():
    net, pixels = network(), photographs()
    with torch.no_grad():
        net.decoder.convs[-1].bias += 4.0  # far above white
    outputs = net.reconstruct(to_float(pixels))
    assert outputs.max() > 1
    result = evaluate(net, pixels)
    expected = np.sqrt(((outputs.double() - to_float(pixels).double()) ** 2).mean().item())
    assert result.rmse == pytest.approx(expected, rel=1e-6)
    assert result.rmse_ci95[0] < result.rmse < result.rmse_ci95[1]


def test_psnr_and_ssim_are_scikit_images():
    images = to_float(photographs())
    outputs = images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    _, psnr, ssim = measure(outputs, images)
    for i, (output, image) in enumerate(zip(outputs.clamp(0, 1).numpy(), images.numpy(), strict=True)):
        assert psnr[i].item() == pytest.approx(peak_signal_noise_ratio(image, output, data_range=1), abs=1e-3)
        expected = structural_similarity(
            image,
            output,
            data_range=1,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim[i].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("size", [(11, 11), (64, 64), (40, 61)])
def test_ssim_is_torchmetrics_too(size):
    generator = torch.Generator().manual_seed(0)
    # Noise, and a smooth picture with flat parts, where the variances nearly vanish.
    smooth = torch.rand(3, 3, 4, 4, generator=generator).round()
    for images in (
        torch.rand(3, 3, *size, generator=generator),
        torch.nn.functional.interpolate(smooth, size, mode="bilinear"),
    ):
        outputs = (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
        _, everywhere = structural_similarity_index_measure(
            outputs, images, data_range=1.0, reduction="none", return_full_image=True
        )
        expected = everywhere[..., 5 : size[0] - 5, 5 : size[1] - 5].double().mean(dim=(1, 2, 3))
        assert torch.allclose(measure(outputs, images)[2], expected, atol=1e-5)


def test_a_perfect_reconstruction():
    images = to_float(photographs())
    mse, psnr, ssim = measure(images, images)
    assert mse.eq(0).all()
    assert psnr.eq(100).all()
    assert ssim.numpy() == pytest.approx(np.ones(4))


def test_tiny_images_have_no_ssim():
    images = torch.rand(2, 3, 8, 8)
    assert measure(images, images)[2].isnan().all()


def test_batches_make_no_difference():
    net, pixels = network(), photographs()
    a, b = evaluate(net, pixels, batch=1), evaluate(net, pixels, batch=3)
    assert a.rmse == pytest.approx(b.rmse, rel=1e-6)
    assert a.per_image.psnr == pytest.approx(b.per_image.psnr, abs=2e-3)


def test_no_photographs():
    with pytest.raises(ValueError, match="no photographs"):
        evaluate(network(), photographs()[:0])


def test_json_holds_what_is_promised(tmp_path, photographs_folder):
    network().save(tmp_path / "net.safetensors")
    (photographs_folder / "broken.jpg").write_bytes(b"no image")
    (result,), differences, skipped = evaluate_models(
        [str(tmp_path / "net.safetensors")], photographs_folder, size=32, json_file=tmp_path / "result.json"
    )
    assert differences == []
    content = json.loads((tmp_path / "result.json").read_text())
    keys = (
        "model",
        "architecture",
        "images",
        "rmse",
        "rmse_ci95",
        "psnr",
        "ssim",
        "bits_per_pixel",
        "resize",
        "size",
        "source",
    )
    assert all(key in content for key in keys)
    assert (content["model"], content["source"]) == ("net (file)", str(tmp_path / "net.safetensors"))
    assert content["images"] == 12 == len(content["per_image"]["rmse"]) == len(content["paths"])
    assert content["bits_per_pixel"] == {
        "nominal": result.bits_per_pixel.nominal,
        "entropy": result.bits_per_pixel.entropy,
        "stored": result.bits_per_pixel.stored,
    }
    assert content["bits_images"] == (12 if is_fast() else 0)
    assert math.sqrt(np.mean(np.square(content["per_image"]["rmse"]))) == pytest.approx(
        content["rmse"], abs=1e-5
    )
    assert len(skipped) == len(content["skipped"]) == 1
    assert "broken.jpg" in content["skipped"][0]


@pytest.mark.skipif(not is_fast(), reason="without a C++ compiler stored bits are not measured")
def test_stored_bits_are_those_of_files_and_entropy_that_of_histograms():
    net, pixels = network(), photographs()
    result = evaluate(net, pixels, bits_images=3)
    drawn = torch.randperm(4, generator=torch.Generator().manual_seed(0))[:3]
    codes = net.encode(to_float(pixels[drawn.sort().values]))
    files = [8 * len(dumps(codes[i], net)) / (3 * 64 * 64) for i in range(3)]
    assert result.bits_per_pixel.stored == pytest.approx(np.mean(files))
    assert min(files) <= result.stored_ci95[0] < result.stored_ci95[1] <= max(files)
    total = sum(
        entropy(np.bincount(plane.ravel(), minlength=4), base=2) * plane.size
        for level in codes.levels
        for plane in level.codes.numpy().swapaxes(0, 1)
    )
    assert result.bits_per_pixel.entropy == pytest.approx(total / 3 / (3 * 64 * 64))
    assert result.bits_images == 3
    assert evaluate(net, pixels, bits_images=0).bits_per_pixel.stored is None


def test_names_and_paths_do_as_well_as_networks_and_pixels(tmp_path, photographs_folder, caplog):
    (photographs_folder / "broken.jpg").write_bytes(b"no image")
    found = evaluate("8-8-8", photographs_folder, size=32, limit=5)
    pixels = read_photographs(photographs_folder, 32, limit=5).pixels
    assert found.model == "8-8-8 (shipped)"
    assert found.images == len(pixels)
    assert found.rmse == evaluate(load("8-8-8"), pixels).rmse
    evaluate("8-8-8", str(photographs_folder), size=32)
    assert "broken.jpg" in caplog.text
    net = network()
    with pytest.raises(ValueError, match="`mean` is given, but `network` is no name"):
        evaluate(net, pixels, mean=tmp_path)
    with pytest.raises(ValueError, match="`limit` is given, but `photographs` is no name"):
        evaluate(net, pixels, limit=3)


def test_without_a_compiler_it_says_why_there_are_no_stored_bits():
    net, pixels = network(), photographs()
    with disabled():
        result = evaluate(net, pixels)
    assert result.bits_per_pixel.stored is None
    assert "native code is turned off or cannot be compiled" in result.bits_missing
    assert evaluate(net, pixels, bits_images=0).bits_missing == "not asked for"
    if is_fast():
        assert evaluate(net, pixels).bits_missing == ""


def test_rows_are_kept_and_gone_on_with(tmp_path, photographs_folder):
    (photographs_folder / "class0" / "02.png").write_bytes(b"no image")
    arguments = ["8-8-8", "16-16-16"], photographs_folder, 32
    found, _, skipped = evaluate_models(*arguments, rows=tmp_path / "rows")
    assert (found, skipped) == (evaluate_models(*arguments)[0], evaluate_models(*arguments)[2])
    table = pq.read_table(tmp_path / "rows" / "part-000000.parquet").to_pylist()
    mine = [row for row in table if row["model"] == "8-8-8 (shipped)"]
    assert len(mine) == 11
    assert math.sqrt(sum(row["squared_error"] for row in mine) / 11) == pytest.approx(
        found[0].rmse, rel=1e-12
    )
    assert [row["error"] for row in table if row["model"] is None] == [skipped[0][1]]

    def nothing(work, parts, whole_node=False):
        assert len(parts) == 0
        return iter(())

    again, _, skipped_again = evaluate_models(*arguments, rows=tmp_path / "rows", spread=nothing)
    assert (again, skipped_again) == (found, skipped)
    for other in ({"models": ["8-8-8"]}, {"device": "cpu"}):
        settings = {"models": arguments[0], "data": photographs_folder, "size": 32} | other
        with pytest.raises(ValueError, match="name a new folder, or delete it"):
            evaluate_models(**settings, rows=tmp_path / "rows")
    assert pq.read_table(tmp_path / "rows").to_pylist() == table
    os.truncate(tmp_path / "rows" / "part-000000.parquet", 100)
    assert evaluate_models(*arguments, rows=tmp_path / "rows")[0] == found


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_archives_are_measured_as_folders_are(tmp_path, photographs_folder, kind):
    picture = next(photographs_folder.rglob("*.png"))
    (tmp_path / kind).mkdir()
    if kind == "tar":
        with tarfile.open(tmp_path / kind / "x.tar", "w") as archive:
            archive.add(picture, "x.png")
    else:
        rows = [{"bytes": picture.read_bytes(), "path": "x.png"}]
        pq.write_table(pa.table({"image": rows}), tmp_path / kind / "x.parquet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.png").write_bytes(picture.read_bytes())
    found = [evaluate("8-8-8", place, size=32) for place in (tmp_path / kind, tmp_path / "folder")]
    assert found[0] == found[1]
