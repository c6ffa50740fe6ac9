"""Which networks the page offers, the table of them, and controls for as many levels as they have."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from maxtunnel.data.images import read_image, resize, to_float
from maxtunnel.paper.table import ROWS
from maxtunnel.web import networks, table
from maxtunnel.web.networks import level_label, network
from maxtunnel.zoo.names import list_shipped, shipped

ENCODERS = [name for name in shipped() if not name.endswith("-strong")]
LEARNED = [name for name in ENCODERS if name.endswith("-learned")]
pytestmark = pytest.mark.usefixtures("one_thread")


def test_networks_are_read_once():
    assert network("8-8-8") is network("8-8-8")


def test_only_what_ships_is_offered():
    assert [name for _, name in networks.options()] == ENCODERS
    assert networks.most_channels() == 192
    assert networks.depths() == dict.fromkeys(ENCODERS, 3)
    for name in ("/etc/passwd", None, ["8-8-8"], 8):
        with pytest.raises(ValueError, match="there is no network"):
            network(name)


def test_a_strong_decoder_is_one_of_the_same_switches():
    strong = [name for name in shipped() if name not in ENCODERS]
    pairs = [name for name in ENCODERS if networks.strong_of(name) and name not in LEARNED]
    assert [networks.strong_of(name) for name in pairs] == strong
    for name in pairs:
        paper, other = networks.reader(name, "mirrored"), networks.reader(name, "strong")
        assert other.strong_width is not None
        assert other.identity() == paper.identity() == networks.network(name).identity()
    with pytest.raises(ValueError, match="no strong decoder ships for the switches of 32-32-32"):
        networks.reader("32-32-32", "strong")
    with pytest.raises(ValueError, match="there is no network"):
        networks.reader("sing", "strong")


def test_a_learned_encoder_has_the_decoder_that_learned_with_it():
    for name in LEARNED:
        assert networks.decoders_of(name) == ("strong",)
        assert networks.reader(name, "strong") is networks.network(name)
        with pytest.raises(ValueError, match=f"{name} learned with the strong decoder alone"):
            networks.reader(name, "mirrored")


def test_the_chooser_has_both_errors_in_one_entry():
    errors = {entry.name: f"{entry.rmse:.3f}" for entry in list_shipped()}
    for text, name in networks.options():
        strong = networks.strong_of(name)
        assert text.startswith(f"{name} ")
        both = strong not in (None, name)
        assert text.endswith(f", {errors[name]} / {errors[strong]}" if both else f" bits, {errors[name]}")


def test_the_table_shows_what_models_lists():
    html = table.show()
    for entry in list_shipped():
        assert f"{entry.rmse:.4f}" in html
    paper = {row.name: row.rmse for row in ROWS}
    assert [line.paper_rmse for line in table.lines()] == [paper.get(name) for name in ENCODERS]
    # The strong decoder of an encoder stands in its row.
    rows = {line.shipped.name: row for line, row in zip(table.lines(), rows_of(html), strict=True)}
    errors = {entry.name: f"{entry.rmse:.4f}" for entry in list_shipped()}
    for name, cells in rows.items():
        own, strong = errors[name], errors.get(f"{name}-strong", "–")
        assert cells[4:6] == (["–", own] if name in LEARNED else [own, strong])
    assert html.count("<tr>") == 1 + len(ENCODERS) + 1
    assert f">{networks.MEAN_RMSE:.4f}<" in html
    # A mark for each network of ours and of the paper's, and one or two of each in the legend.
    assert html.count("mt-filled") == len(ENCODERS) - len(LEARNED) + 2
    assert html.count("mt-strong") == len(shipped()) - len(ENCODERS) + len(LEARNED) + 1
    assert html.count("mt-hollow") == len(ROWS) + 2
    assert "ours on 3,925 photographs of imagenette/val" in table.explanation()


def rows_of(html):
    """The texts of the cells of the table's rows, without the head and the mean image."""
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in html.split("<tbody>")[1].split("</tr>")]
    return [row for row in rows if row and row[0] != "mean image"]


def test_the_mean_image_errs_as_the_table_says(shared):
    folder = shared / "data" / "imagenette" / "val"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}")
    means = [network(name).mean for name in shipped() if name not in LEARNED]
    assert all(torch.equal(mean, means[0]) for mean in means)
    some = sorted(path for path in folder.rglob("*") if path.is_file())[::40]
    images = [to_float(resize(read_image(path), (128, 128))) for path in some]
    squares = torch.stack([(image - means[0]).double().square().mean() for image in images])
    # Of some photographs the mean squared error is that of all, as far as chance allows.
    chance = 4 * float(squares.std()) / len(some) ** 0.5
    assert float(squares.mean()) == pytest.approx(networks.MEAN_RMSE**2, abs=chance)
    assert chance < 0.25 * networks.MEAN_RMSE**2


def test_the_plot_has_room_for_every_network():
    html = table.show()
    marks = re.findall(
        r'<(circle|rect) class="mt-mark mt-(?:filled|hollow|strong)" c?x="([\d.-]+)" c?y="([\d.-]+)"',
        html,
    )
    places = [(float(x) + 5 * (name == "rect"), float(y) + 5 * (name == "rect")) for name, x, y in marks]
    assert len(places) == len(shipped()) + len(ROWS) + 5
    assert all(76 <= x <= 702 and 14 <= y <= 324 for x, y in places[:-5])
    for tick in ("1.75", "3.5", "14"):
        assert f">{tick}</text>" in html
    errors = [*(row.rmse for row in ROWS), *(entry.rmse for entry in list_shipped())]
    ticks = [float(tick) for tick in re.findall(r">(0\.\d\d)</text>", html)]
    assert min(ticks) <= min(errors)
    assert max(ticks) >= max(errors)


def test_levels_are_called_finest_and_deepest():
    assert [level_label(level, 3) for level in (1, 2, 3)] == [
        "Level 1 (finest)",
        "Level 2",
        "Level 3 (deepest)",
    ]
    assert level_label(2, 2) == "Level 2 (deepest)"
    assert level_label(1, 1) == "Level 1"


# In a process of its own: Gradio leaves event loops behind, and a network here is deeper than any that ships.
_BUILD = """
import json, sys
from pathlib import Path
from maxtunnel.web import page
from maxtunnel.web.inputs import Limits
from maxtunnel.web.networks import favourite
from maxtunnel.web.results import Results

page.depths = lambda: {favourite(): 2, "deeper": 4}
blocks = page.build(Limits(), Path(sys.argv[1]), Results())
fit = next(each.fn for each in blocks.fns.values() if len(each.outputs) == 8)
parts = [item["props"] for item in blocks.get_config_file()["components"]]
fitted = [fit(name) for name in ("deeper", None, ["deeper"])]
json.dump({"parts": parts, "fitted": fitted}, sys.stdout, default=str)
"""


@pytest.mark.skipif(find_spec("gradio") is None, reason="no Gradio: pip install 'gradio>=6.31,<7'")
def test_the_page_has_controls_for_the_deepest_network(tmp_path):
    quiet = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)], env=quiet, capture_output=True, text=True, check=True
    )
    built = json.loads(done.stdout)
    levels = [part for part in built["parts"] if (part.get("elem_id") or "").startswith("change-")]
    assert [part["elem_id"] for part in levels] == ["change-1", "change-2", "change-3", "change-4"]
    assert [part["label"] for part in levels[:2]] == ["Level 1 (finest)", "Level 2 (deepest)"]
    rows = [part for part in built["parts"] if part.get("elem_classes") == ["mt-level"]]
    assert [row["visible"] for row in rows] == [True, True, False, False]
    deeper, *nonsense = built["fitted"]
    assert [update["visible"] for update in deeper[:4]] == [True] * 4
    assert [update["label"] for update in deeper[4:]] == [level_label(level, 4) for level in (1, 2, 3, 4)]
    assert not any({"visible", "label"} & set(update) for updates in nonsense for update in updates)
