"""evaluate, models, summary and import-caffe."""

import json

import pytest

from maxtunnel.zoo.names import shipped
from tools.command_line import call, run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_evaluate_writes_json(tmp_path, photographs_folder):
    (photographs_folder / "bad.png").write_bytes(b"\x89PNG")
    result = tmp_path / "r.json"
    output, errors = run(
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


def test_import_caffe_says_what_a_missing_mean_costs(shared, tmp_path):
    snapshot = shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel"
    output, errors = run("import-caffe", snapshot, tmp_path / "net.safetensors")
    assert "5-9 %" in output + errors
    assert (tmp_path / "net.safetensors").exists()
