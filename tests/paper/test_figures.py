"""The paper's figures: chosen by seed, the same bytes every time, and showing what they say."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from maxtunnel.data.images import read_image, to_float, to_uint8
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import draw_figure, drawing, figures
from maxtunnel.paper.canvas import save
from maxtunnel.paper.networks import LabelledNetwork
from maxtunnel.paper.schematic import schematic
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def photographs():
    return torch.randint(256, (12, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def labelled(name="4-6", seed=0, label="", width=None):
    network = TunnelNetwork(Architecture((4, 6)), torch.full((3, 1, 1), 0.5), 4.0, seed, width)
    return LabelledNetwork(name, network, label or f"{name} (run)")


def test_photographs_are_drawn_by_seed(photographs):
    first, again, other = (figures.choose(photographs, 5, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({image.numpy().tobytes() for image in first}) == 5
    assert len(figures.choose(photographs, 99, 0)) == 12


def test_the_same_figure_is_the_same_bytes(photographs, tmp_path):
    for name in "ab":
        save(figures.reconstructions(labelled(), photographs[:2]), tmp_path / name)
    for kind in ("png", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_figure_1_shows_originals_above_reconstructions(photographs):
    network = labelled()
    shown = [axis.images[0].get_array() for axis in figures.reconstructions(network, photographs[:3]).axes]
    rebuilt = to_uint8(network.network.reconstruct(to_float(photographs[:3])))
    for position, image in enumerate(torch.cat([photographs[:3], rebuilt])):
        assert np.array_equal(shown[position], image.permute(1, 2, 0))


def test_figure_3_has_a_row_for_each_network_and_a_close_up(photographs):
    figure = figures.gallery([labelled("4-6"), labelled("4-6-pretrained", 1)], photographs[:4])
    assert len(figure.axes) == 3 * (4 + 1)
    top, left, side = figures.busiest(to_float(photographs[3]))
    close = figure.axes[4].images[0].get_array()
    cut = photographs[3, :, top : top + side, left : left + side].permute(1, 2, 0)
    assert np.array_equal(np.unique(close.reshape(-1, 3), axis=0), np.unique(cut.reshape(-1, 3), axis=0))
    words = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert "4-6 (run)\n4-6, random encoder" in words
    assert "4-6-pretrained (run)\n4-6, pretrained encoder" in words


def test_figure_3_has_a_row_for_the_strong_decoder(photographs):
    figure = figures.gallery([labelled(), labelled("4-6-strong", width=4)], photographs[:2])
    words = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert "4-6-strong (run)\n4-6, random encoder, strong decoder" in words
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert not np.array_equal(shown[3], shown[6])


def test_figures_1_and_4_stay_with_the_papers_decoder(photographs, tmp_path):
    strong = labelled("4-6-strong", width=4)
    with pytest.raises(ValueError, match="4-6-strong has a strong decoder: Figure 4 shows"):
        figures.layers(strong, photographs[0], seed=0)
    names = [png.stem for png, _ in drawing.draw_all([labelled(), strong], photographs, tmp_path, 0)]
    assert names == ["figure1", "figure2", "figure3", "figure4"]
    names = [png.stem for png, _ in drawing.draw_all([strong], photographs, tmp_path, 0)]
    assert names == ["figure2", "figure3"]
    assert drawing._favourite(["8-8-8", "8-8-8-strong"], 1) == "8-8-8"


def test_long_labels_stay_whole_and_beside_the_pictures(photographs):
    name = "a/folder/with/a/very/long/name/of/a/run (run)"
    figure = figures.gallery([labelled(label=name)], photographs[:2])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (text,) = (text for axis in figure.axes for text in axis.texts if name in text.get_text())
    box = text.get_window_extent(canvas.get_renderer())
    assert box.x0 >= 0
    assert box.x1 <= figure.axes[3].get_window_extent(canvas.get_renderer()).x0
    assert text.get_text().splitlines()[0] == name


def test_the_kind_of_encoder_is_told_where_it_is_known():
    network = labelled().network
    assert LabelledNetwork("own", network, "own (file)").kind == "4-6"
    assert LabelledNetwork("net4_6_iter_5.caffemodel", network, "").kind == "4-6, random encoder"
    assert LabelledNetwork("net4_6Pretrain_iter_5.caffemodel", network, "").kind == "4-6, pretrained encoder"
    shipped = LabelledNetwork("x", load("8-8-8-pretrained"), "")
    assert shipped.kind == "8-8-8, pretrained encoder"
    assert LabelledNetwork("x", load("8-8-8"), "").kind == "8-8-8, random encoder"


def test_the_close_up_goes_where_the_edges_are():
    image = torch.full((3, 30, 30), 0.5)
    image[:, 20:26, 4:10] = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    top, left, side = figures.busiest(image)
    assert top <= 20
    assert top + side >= 26
    assert left <= 4
    assert left + side >= 10


def test_figure_4_goes_from_the_bias_code_to_the_image(photographs):
    network = labelled()
    figure = figures.layers(network, photographs[0], seed=0)
    titles = [axis.get_title().split("\n") for axis in figure.axes if axis.get_title()]
    assert [name for name, _ in titles] == [
        *("bias code", "unpool2", "deconv2_1", "deconv2_2", "unpool1", "deconv1_1", "deconv1_2"),
        *("reconstruction", "original"),
    ]
    assert [size for _, size in titles[:3]] == ["8×8", "16×16", "16×16"]
    bias = figure.axes[0].images[0].get_array()
    assert float(bias[0, 0]) in network.network.decoder.bias_code.tolist()
    # An unpooled plane has one value in every window.
    plane = np.asarray(figure.axes[1].images[0].get_array())
    assert np.count_nonzero(plane.reshape(8, 2, 8, 2).sum((1, 3))) == 64
    assert np.count_nonzero(plane) == 64


@pytest.mark.parametrize("text", ["5", "8-16", "2-3-4-5", "2x1-3x3"])
def test_the_schematic_is_drawn_from_the_architecture(text):
    architecture = Architecture.parse(text)
    figure = schematic(architecture)
    words = [text.get_text() for text in figure.axes[0].texts]
    for block, (width, count) in enumerate(zip(architecture.widths, architecture.layers, strict=True), 1):
        assert {
            *(f"conv{block}_{index}" for index in range(1, count + 1)),
            f"pool{block}",
            f"unpool{block}",
            f"switches {block}",
        } <= set(words)
        assert f"{width}·{128 >> block}²" in words
    assert sum(word.startswith("deconv") for word in words) == sum(architecture.layers)
    assert f"deconv1_{architecture.layers[0]}, image" in words


def test_figures_by_number(tmp_path, photographs_folder):
    for number in (1, 2, 3, 4):
        paths = draw_figure(number, tmp_path / "out", photographs_folder, ("8-8-8",), count=2, size=32)
        assert [path.name for path in paths] == [f"figure{number}.png", f"figure{number}.pdf"]
        assert read_image(paths[0]).shape[2] > 300
    with pytest.raises(ValueError, match="Figure 1 shows photographs"):
        draw_figure(1, tmp_path)


def test_figure_3_tells_a_run_and_what_ships_apart(tmp_path, photographs_folder, monkeypatch):
    load("8-8-8").save(tmp_path / "8-8-8" / "model.safetensors")
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda figure, stem: drawn.append(figure) or (stem, stem))
    models = ["8-8-8", str(tmp_path / "8-8-8"), "16-16-16"]
    arguments = 3, tmp_path, photographs_folder, models, 2, 0, 32
    drawing.draw_figure(*arguments)
    drawing.draw_figure(*arguments, labels=["theirs"])
    names = [
        [text.get_text().split("\n")[0] for axis in figure.axes for text in axis.texts][1:]
        for figure in drawn
    ]
    assert names[0] == ["8-8-8 (shipped)", "8-8-8 (run)", "16-16-16 (shipped)"]
    assert names[1] == ["theirs", "8-8-8 (run)", "16-16-16 (shipped)"]
    with pytest.raises(ValueError, match="`labels` are for networks"):
        draw_figure(2, tmp_path, labels=["x"])


def test_a_figure_is_refused_before_anything_is_read(tmp_path):
    def refusal(*arguments, **more):
        with pytest.raises(ValueError, match="`") as error:
            drawing.draw_figure(*arguments, **more)
        return str(error.value)

    (tmp_path / "file").write_text("")
    assert "`number` is 5" in refusal(5, tmp_path)
    assert "`models` has 2: Figure 4 shows one" in refusal(4, tmp_path, tmp_path, ["8-8-8", "6-12-24"])
    assert "give `data`" in refusal(1, tmp_path)
    with pytest.raises(ValueError, match="file: give a folder"):
        drawing.draw_figure(2, tmp_path / "file")


def test_a_figure_names_the_photographs_that_cannot_be_read(tmp_path, caplog):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    (tmp_path / "text.png").write_text("no picture")
    drawing.draw_figure(1, tmp_path / "out", tmp_path, ["8-8-8"], size=16)
    assert "text.png is no image" in caplog.text


@pytest.mark.parametrize("size", [8, 9])
def test_the_schematic_is_of_the_padded_image(size):
    words = [text.get_text() for text in schematic(Architecture((2, 2, 2, 2)), size).axes[0].texts]
    assert "3·16²" in words
    assert "2·1²" in words
