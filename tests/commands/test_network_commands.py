"""evaluate, models, summary and import."""

import csv
import json

import pytest
from PIL import Image

from maxtunnel.codec.files import encode_files
from maxtunnel.commands import tables
from maxtunnel.native import disabled
from maxtunnel.zoo.names import list_shipped, load, shipped
from tools.command_line import call, here, run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_evaluate_writes_json(tmp_path, photographs_folder):
    (photographs_folder / "bad.png").write_bytes(b"\x89PNG")
    result = tmp_path / "r.json"
    output, errors = here(
        "evaluate", "8-8-8", "--data", photographs_folder, "--size", 32, "--json", result, "--limit", 6
    )
    assert json.loads(result.read_text())["architecture"] == "8-8-8"
    # One of the six cannot be read.
    assert json.loads(result.read_text())["images"] == 5
    assert "1.75" in output
    assert "bad.png" in errors


def test_models_and_summary():
    output = call("models")
    assert all(name in output for name in shipped())
    output = call("summary", "48-96-192")
    assert "deconv1_2" in output
    assert "14 bits per pixel" in output
    assert "128x128" in call("summary", "8-8-8")


def test_import_of_a_snapshot_says_what_a_missing_mean_costs(shared, tmp_path):
    snapshot = shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel"
    output, errors = run("import", snapshot, tmp_path / "net.safetensors")
    assert "5-9 %" in output + errors
    assert (tmp_path / "net.safetensors").exists()


def test_evaluate_sets_networks_beside_each_other(tmp_path, photographs_folder):
    """A run, what ships and the file of the same name are told apart; differences are from the first."""
    load("8-8-8").save(tmp_path / "8-8-8" / "model.safetensors")
    models = ("8-8-8", tmp_path / "8-8-8", "16-16-16")
    files = ("--csv", tmp_path / "t.csv", "--latex", tmp_path / "t.tex", "--json", tmp_path / "t.json")
    arguments = ("--data", photographs_folder, "--size", 32, "--label", "ours", *files)
    output = call("evaluate", *models, *arguments)
    assert "Difference from ours, paired by photograph" in output
    assert [line.split("  ")[0] for line in output.splitlines()[4:7]] == [
        "ours",
        "8-8-8 (run)",
        "16-16-16 (shipped)",
    ]
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row[0] for row in rows[:4]] == ["network", "ours", "8-8-8 (run)", "16-16-16 (shipped)"]
    content = json.loads((tmp_path / "t.json").read_text())
    assert float(rows[3][rows[0].index("rmse")]) == content["evaluations"][2]["rmse"]
    # The run holds what ships: nothing differs.
    assert rows[6] == ["8-8-8 (run)", "RMSE", "0.0", "0.0", "0.0"]
    assert (tmp_path / "t.tex").read_text().count(r"\begin{tabular}") == 2


def test_evaluate_says_why_there_are_no_stored_bits(photographs_folder):
    with disabled():
        output = call("evaluate", "8-8-8", "--data", photographs_folder, "--size", 32)
    assert "Stored bits: not measured (native code is turned off or cannot be compiled here" in output


def test_the_models_table_can_be_written(tmp_path):
    call("models", "--csv", tmp_path / "t.csv", "--latex", tmp_path / "t.tex")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["network"] for row in rows] == shipped()
    assert [row["decoder"] for row in rows] == [entry.decoder for entry in list_shipped()]
    # As the names say, and from the files.
    assert {row["network"] for row in rows if row["decoder"] == "strong"} == {
        name for name in shipped() if load(name).strong_width is not None
    }
    assert float(rows[0]["rmse"]) == list_shipped()[0].rmse
    assert all(f"\n{name} & " in (tmp_path / "t.tex").read_text() for name in shipped())


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "8-8-8", "24-48-96-pretrained", "--data", "photographs", "--size", 32),
        ("models",),
        ("summary", "48-96-192"),
        ("inspect", "wide.mxt"),
    ],
)
def test_no_table_is_cut_or_wrapped_at_80_columns(arguments, tmp_path, photographs_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    if "wide.mxt" in arguments:
        Image.new("RGB", (1024, 512)).save("wide.png")
        encode_files("wide.png", "8-8-8")
    monkeypatch.setattr(tables.output, "width", 80)
    table = call(*arguments).split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)


@pytest.mark.parametrize("command", ["figure", "reconstruct"])
def test_advice_on_a_snapshot_without_a_mean_image_can_be_followed(
    command, shared, photographs_folder, tmp_path, caplog
):
    snapshot = shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel"
    photographs = ["1", "--data", photographs_folder] if command == "figure" else [photographs_folder]
    _, errors = here(command, *photographs, "--model", snapshot, "--out", tmp_path / "out")
    # A process writes warnings on standard error; here pytest has them.
    said = errors + caplog.text
    assert "maxtunnel import FILE" in said
    # Neither has that option, so nobody may be sent to it.
    assert "with --mean" not in said


def test_what_there_is_none_of_is_a_dash_and_null(tmp_path, photographs_folder):
    """SSIM needs 11 pixels a side, an interval two photographs, and JSON knows no NaN."""

    def refuse_nan(name):
        raise AssertionError(name)

    arguments = ("8-8-8", "8-8-8-strong", "--data", photographs_folder, "--size", 8, "--limit", 1)
    output = call("evaluate", *arguments, "--json", tmp_path / "r.json")
    assert "nan" not in output
    assert " to " not in output
    found = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse_nan)
    assert [result["ssim"] for result in found["evaluations"]] == [None, None]
    call("evaluate", "8-8-8", *arguments[2:], "--json", tmp_path / "one.json")
    found = json.loads((tmp_path / "one.json").read_text(), parse_constant=refuse_nan)
    assert (found["ssim"], found["per_image"]["ssim"]) == (None, [None])
    assert " to " in call("evaluate", *arguments[:-1], 2)
