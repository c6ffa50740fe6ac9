"""`maxtunnel study segmentation` at toy size."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.evaluation.segmentation import count_pixels
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.studies import segmentation
from maxtunnel.studies.dense_conditions import conditions_of
from maxtunnel.studies.segmentation_config import TRAINED, Run, Settings, parse_pixels, preset
from maxtunnel.studies.segmentation_data import VOID, Labelled, Parts, balance, read_parts, usual
from maxtunnel.studies.segmentation_run import Found, NetworkRow, classify, count, run_network
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from tools.command_line import call, refuse

SIZE = (24, 32)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Sky over road with a car that moves, as CamVid lies in folders; a row of void."""
    folder, values = tmp_path_factory.mktemp("camvid"), np.random.default_rng(0)
    for split, images in (("train", 4), ("test", 4)):
        lines = []
        for number in range(images):
            mask = np.zeros(SIZE, np.uint8)
            mask[12:], mask[11] = 3, 11
            mask[10:18, 3 * number + 2 : 3 * number + 10] = 8
            pixels = mask[..., None] * np.uint8(20) + values.integers(0, 20, (*SIZE, 3), dtype=np.uint8)
            save(folder / split / f"{number}.png", pixels)
            save(folder / f"{split}annot" / f"{number}.png", mask)
            lines.append(f"/SegNet/CamVid/{split}/{number}.png /SegNet/CamVid/{split}annot/{number}.png")
        (folder / f"{split}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def parts(streets):
    return read_parts(streets, "camvid", SIZE)


def toy():
    return preset("camvid", "toy").settings


@pytest.mark.usefixtures("one_thread")
def test_the_command_trains_measures_and_reports(tmp_path, streets):
    out, table = tmp_path / "study", tmp_path / "table.csv"
    asked = ("study", "segmentation", "--data", streets, "--toy", "--out", out)
    text = call(*asked, "--csv", table)
    assert sorted(path.stem for path in (out / "runs").glob("*.json")) == sorted(f"{k}-0" for k in TRAINED)
    assert "Left out: segnet-basic of 64 filters; images of 480x360 pixels" in text
    assert "read with another image" in text
    rows = table.read_text().splitlines()
    assert rows[0].startswith("condition,trained,seeds,mean_iou,mean_iou_low,mean_iou_high,class_accuracy")
    assert len([row for row in rows if ",trained so," in row]) == 5
    page = (out / "segmentation.html").read_text()
    # The images and masks, and a picture of each condition.
    assert page.count("<img") == 9
    assert "One training of each kind" in page
    # Networks can be used afterwards, their constant the mean of the features.
    network = DenseNetwork.load(out / "runs" / "switches-0.safetensors")
    assert bool((network.decoder.constant != 0).any())
    assert network.about.startswith("CamVid: 2 steps of 2 of its ")
    assert "images to train on, 32x24 pixels, seed 0; mean IoU " in network.about
    # More of it goes on from there: rows that are there are not made again.
    row = out / "runs" / "fixed-0.json"
    kept = json.loads(row.read_text())
    kept["found"]["known"] = kept["found"]["known"] | {"near_hits": kept["found"]["known"]["near_there"]}
    row.write_text(json.dumps(kept))
    again = tmp_path / "again.csv"
    call(*asked, "--csv", again)
    fixed = next(row for row in again.read_text().splitlines() if row.startswith("fixed switches,"))
    assert "1.0" in fixed.split(",")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pixels", "32"], "--pixels is '32': expected WIDTHxHEIGHT, such as 480x360"),
        (["--learning-rate", "0"], "`learning_rate` is 0.0: expected a number above 0"),
        (["--set", "horses"], "has no folders rgb and figure_ground"),
        (["--full"], "--toy and --full both say"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, streets, options, message):
    out = tmp_path / "study"
    said = refuse("study", "segmentation", "--data", str(streets), "--toy", *options, "--out", str(out))
    assert message.replace("`learning_rate`", "--learning-rate") in said
    assert not out.exists()


def test_a_folder_that_is_no_camvid_is_refused(tmp_path):
    assert "has no train.txt: give CamVid's folder" in refuse(
        "study", "segmentation", "--data", str(tmp_path), "--toy", "--out", str(tmp_path / "study")
    )


def test_a_folder_of_other_settings_is_refused(tmp_path, streets):
    segmentation.Rows(tmp_path, "segmentation", toy(), NetworkRow)
    error = refuse("study", "segmentation", "--data", str(streets), "--toy", "--out", str(tmp_path))
    assert "holds runs with --images 4, not the default: give another folder" in error


@pytest.mark.usefixtures("one_thread")
def test_a_run_comes_out_the_same_again_and_reads_what_it_is_for(parts):
    for trained in ("switches", "bilinear"):
        first, second = (run_network(toy(), Run(trained, 1), parts) for _ in range(2))
        assert first[0].found == second[0].found
        assert set(first[2]) == {condition.given for condition in conditions_of(trained)}
    assert run_network(toy(), Run("switches", 2), parts)[0].found != first[0].found


@pytest.mark.usefixtures("one_thread")
def test_a_decoder_of_switches_alone_leaves_its_encoder_and_learns_a_constant(parts):
    _, known, _ = run_network(toy(), Run("switches", 0), parts)
    _, alone, _ = run_network(toy(), Run("alone", 0), parts, known)
    for name, tensor in known.encoder.state_dict().items():
        assert torch.equal(tensor, alone.encoder.state_dict()[name]), name
    drawn = toy().draw(11, "switches", 0)
    assert not torch.equal(alone.decoder.constant, drawn.decoder.constant)
    with pytest.raises(ValueError, match="`known` is None"):
        run_network(toy(), Run("alone", 0), parts)


def test_what_is_said_is_counted_image_by_image_and_near_borders(parts):
    truth = parts.measured.masks
    right = count(torch.where(truth == VOID, 0, truth), parts, 1)
    assert right.hits == right.there
    assert right.near_hits == right.near_there
    expected = count_pixels(torch.where(truth == VOID, 0, truth).long(), truth, 11, VOID)
    assert torch.equal(right.counts.there, expected.there)
    # What is wrong far from any border alone is right near it.
    wrong = torch.where(truth == VOID, 0, truth)
    wrong[:, :4], wrong[:, -2:] = 5, 5
    found = count(wrong, parts, 1)
    assert found.near_hits == found.near_there
    assert sum(map(sum, found.hits)) < sum(map(sum, found.there))


def test_the_usual_class_of_each_place_and_the_balance_of_classes(parts):
    found = usual(parts)
    assert found.shape == SIZE
    assert int(found[0, 0]) == 0
    assert int(found[-1, 0]) == 3
    assert int(found[14, 8]) == 8
    weights = balance(parts)
    # Classes that occur nowhere weigh nothing; the rare car the most.
    assert [n for n, weight in enumerate(weights.tolist()) if weight] == [0, 3, 8]
    assert weights.argmax() == 8


def test_another_images_switches_are_of_an_image_half_the_set_on(parts):
    network = toy().draw(11, "switches", 0)
    pixels = parts.measured.pixels.clone()
    before = classify(network, pixels, "other")
    pixels[0] = pixels[0].flip(-1)
    after = classify(network, pixels, "other")
    changed = [n for n in range(4) if not torch.equal(before[n], after[n])]
    assert changed == [0, 2]


def test_horses_are_split_and_brought_to_one_size(tmp_path):
    values = np.random.default_rng(0)
    for number in range(4):
        save(tmp_path / "rgb" / f"horse{number}.png", values.integers(0, 255, (20, 30, 3), dtype=np.uint8))
        # Masks are smaller than their images there, and blurred by JPEG.
        mask = np.zeros((10, 15), np.uint8)
        mask[:, 8:] = 255
        path = tmp_path / "figure_ground" / f"horse{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path, quality=60)
    found = read_parts(tmp_path, "horses", SIZE)
    assert (len(found.trained), len(found.measured), found.class_names) == (2, 2, ("background", "horse"))
    assert found.measured.masks.unique().tolist() == [0, 1]
    assert int(found.measured.masks[0, :, -8:].min()) == 1
    Image.fromarray(np.zeros((15, 10), np.uint8)).save(tmp_path / "figure_ground" / "horse0.jpg")
    with pytest.raises(FormatError, match=r"horse0.jpg is of height 15, width 10: expected the proportions"):
        read_parts(tmp_path, "horses", SIZE)


def test_a_stopped_study_keeps_what_is_done(tmp_path, streets, monkeypatch):
    begun = []

    def trained(settings, run, parts, known, on_progress, stop):
        begun.append(run.name)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)
            assert stop()
        found = count(parts.measured.masks % 11, parts, 1)
        given = {condition.given: found for condition in conditions_of(run.trained)}
        row = NetworkRow(run.trained, run.seed, 1, 0.5, given, (0.0, 0.0))
        return row, settings.draw(11, "switches", 0), {}

    monkeypatch.setattr(segmentation, "run_network", trained)
    with pytest.raises(Stopped, match="stopped; 1 of 5 networks are kept"):
        segmentation.study_segmentation(streets, tmp_path, size="toy")
    found = segmentation.study_segmentation(streets, tmp_path, size="toy")
    assert [row.trained for row in found.rows] == list(TRAINED)
    assert begun == ["switches-0", "fixed-0", "fixed-0", "bilinear-0", "alone-0", "untrained-0"]


def test_a_row_that_says_nothing_is_refused():
    found = Found(((1,),), ((2,),), ((3,),), (1,), (1,))
    with pytest.raises(ValueError, match="`found` has known: expected constant, fixed, known, other"):
        NetworkRow("switches", 0, 1, 0.5, {"known": found}, (0.0, 0.0))
    with pytest.raises(ValueError, match="counts are of"):
        Found(((1,),), ((2,),), (), (1,), (1,))
    with pytest.raises(ValueError, match="`width` is 0: expected a number above 0"):
        replace(toy(), width=0)


def test_sizes_are_written_width_first():
    assert parse_pixels("480x360") == (360, 480)
    assert isinstance(preset("horses", "full").settings, Settings)


def test_too_few_images_to_measure_on_are_refused(streets):
    with pytest.raises(ValueError, match="has 1 images to measure on: expected at least 2"):
        read_parts(streets, "camvid", SIZE, images=1)


def test_a_set_of_no_void_is_counted_whole():
    masks = torch.tensor([[[0, 1]], [[1, 0]]], dtype=torch.uint8)
    some = Labelled(torch.zeros(2, 3, 1, 2, dtype=torch.uint8), masks)
    found = count(masks, Parts(some, some, len(some), ("a", "b")), 1)
    assert found.near_there == (2, 2)
    assert found.there == ((1, 1), (1, 1))


def test_as_many_images_as_there_are_leave_none_out(streets, tmp_path):
    few = segmentation.study_segmentation(streets, tmp_path / "few", size="toy", images=2)
    assert few.settings.images == 2
    whole = segmentation.study_segmentation(streets, tmp_path / "whole", size="toy", images=1000)
    assert whole.settings.images is None
    assert "images to measure on" in few.left_out
    assert "images to measure on" not in whole.left_out
