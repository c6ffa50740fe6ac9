"""The page put together: what stands where, and which control calls which function."""

from pathlib import Path

from maxtunnel.data import photographs
from maxtunnel.data.photographs import DEMO
from maxtunnel.paper.readings import DECODERS
from maxtunnel.web import dense, frontier, lab, markup, reconstruct, table
from maxtunnel.web.answers import CONCURRENT, Answers
from maxtunnel.web.bounds import STRONG_SIDE
from maxtunnel.web.dense_networks import offered_dense
from maxtunnel.web.frame import SAMPLE, first_result, foot, head
from maxtunnel.web.inputs import Limits
from maxtunnel.web.networks import (
    MEAN_RMSE,
    depths,
    favourite,
    level_label,
    most_channels,
    offered,
    options,
)
from maxtunnel.web.results import Results
from maxtunnel.web.wiring import Component, Wiring, put

PHOTOGRAPHS = Path(photographs.__file__).parent
SECOND = "astronaut"
WAITING = 100  # visitors who wait for an answer, at most

RECONSTRUCT, LAB, INSIDE, TABLE = "Reconstruct", "Switch lab", "Inside", "Table II"
DENSE = "Segment"


def build(limits: Limits, folder: Path, results: Results) -> Component:
    """The page as Gradio's Blocks.

    Args:
        limits: of uploads.
        folder: where Gradio puts uploads.
        results: where the pictures of answers are kept.
    """
    import gradio as gr

    answers = Answers(limits, folder, results)
    with gr.Blocks(title="maxtunnel: what switches tell", analytics_enabled=False) as blocks:
        _html(head())
        opened = gr.State(RECONSTRUCT)
        with gr.Row(elem_classes="mt-page"):
            with gr.Column(scale=3, min_width=280, elem_classes="mt-inputs"):
                wiring = Wiring(_photograph(), _model(), opened)
            with gr.Column(scale=8, min_width=320), gr.Tabs():
                _add_reconstruct(wiring, answers, limits)
                _add_lab(wiring, answers)
                _add_inside(wiring, answers)
                if offered_dense():
                    _add_dense(wiring, answers)
                _add_table()
        _html(foot(limits))
    blocks.queue(max_size=WAITING, default_concurrency_limit=CONCURRENT, api_open=False)
    return blocks


def _add_reconstruct(wiring: Wiring, answers: Answers, limits: Limits) -> None:
    """A photograph or a switch file, and what comes back."""
    import gradio as gr

    with gr.Tab(RECONSTRUCT) as tab:
        result = _html(first_result(), elem_id="reconstruction")
        with gr.Row():
            side = gr.Radio(
                limits.sides, value=min(256, limits.max_side), label="Longest side, pixels", elem_id="side",
                min_width=280,
                info="Larger photographs are made smaller first. The networks were trained at 128. "
                f"The strong decoder reads up to {STRONG_SIDE}.",
            )  # fmt: skip
            file = gr.File(
                label="Or a switch file (.mxt)", file_types=[".mxt"], height=150, min_width=280,
                elem_id="switch-file",
            )  # fmt: skip
        _words(reconstruct.EXPLANATION)
    put(tab.select, RECONSTRUCT, wiring.opened)
    wiring.answer_always(answers.to_photograph, [side], [side.input], result)
    wiring.answer_to(answers.to_switch_file, file, [side], result)


def _add_lab(wiring: Wiring, answers: Answers) -> None:
    """Photograph B, a change for each level, and the picture."""
    import gradio as gr

    with gr.Tab(LAB) as tab:
        result = _html(markup.hint("Computing…"), elem_id="lab")
        with gr.Row():
            second = _second_photograph()
            with gr.Column(min_width=240):
                transplant = gr.Button("Transplant: switches of A, features of B", variant="primary")
                reset = gr.Button("Back to A alone")
                decoder = _decoder("lab-decoder")
                what, seed = _what_and_seed()
        changes, shares = _level_controls(wiring)
        _words(lab.EXPLANATION)
    pairs = [control for pair in zip(changes, shares, strict=True) for control in pair]
    controls = [second, decoder, what, seed, *pairs]
    # `change` and not `input`: the buttons and the shares move other controls, and one answer follows.
    events = [control.change for control in controls]
    wiring.answer_while_open(LAB, tab, answers.to_lab, controls, events, result)
    for change, share in zip(changes, shares, strict=True):
        share.input(None, None, change, js="() => 'flip'")
    kept = ", ".join(["'keep'"] * len(changes))
    # The paper's decoder alone takes features.
    transplant.click(None, None, [*changes, what, decoder], js=f"() => [{kept}, 'B', 'mirrored']")
    reset.click(None, None, [*changes, what], js=f"() => [{kept}, 'constant']")


def _add_inside(wiring: Wiring, answers: Answers) -> None:
    """Switches, layers and levels."""
    import gradio as gr

    with gr.Tab(INSIDE) as tab:
        # By itself: the channel alone stays in sight.
        with gr.Row():
            decoder = _decoder("inside-decoder")
        channel = gr.Slider(
            1, most_channels(), 1, step=1, label="Channel", elem_id="channel", buttons=[],
            info="A layer with fewer channels starts over.",
        )  # fmt: skip
        result = _html(markup.hint("Computing…"), elem_id="inside")
    controls = [decoder, channel]
    events = [control.change for control in controls]
    wiring.answer_while_open(INSIDE, tab, answers.to_inside, controls, events, result)


def _add_dense(wiring: Wiring, answers: Answers) -> None:
    """What networks that answer for every pixel owe to the switches."""
    import gradio as gr

    with gr.Tab(DENSE) as tab:
        with gr.Row():
            network = gr.Dropdown(
                choices=offered_dense(), value=offered_dense()[0], label="Network of this tab",
                info="Classes, or contours, for every pixel.", elem_id="dense-network", min_width=240,
            )  # fmt: skip
            other = gr.Radio(
                list(DEMO), value=SECOND, label="Another photograph, whose switches are read",
                elem_id="dense-other", min_width=280,
            )  # fmt: skip
        result = _html(markup.hint("Computing…"), elem_id="dense")
        _words(dense.EXPLANATION)
    events = [network.change, other.change]
    wiring.answer_while_open(DENSE, tab, answers.to_dense, [network, other], events, result)


def _add_table() -> None:
    """The networks beside the paper's."""
    import gradio as gr

    with gr.Tab(TABLE):
        _html(table.show())
        _words(table.explanation())
        if offered():
            _words(
                f"Of files, and so not among the networks that ship: {', '.join(offered())}. What such a "
                "network reaches: `maxtunnel evaluate`."
            )
        _html(frontier.show())
        _words(frontier.explanation())


def _photograph() -> Component:
    """Photograph A."""
    import gradio as gr

    photograph = gr.Image(
        value=str(_path(SAMPLE)),
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        label="Photograph (A)",
        buttons=[],
        height=250,
        elem_id="photograph",
        placeholder="Drop a photograph here\n- or -\nclick to choose one",
        alt_text="the photograph that was chosen",
    )
    _samples(photograph)
    return photograph


def _second_photograph() -> Component:
    """Photograph B."""
    import gradio as gr

    with gr.Column(min_width=240):
        photograph = gr.Image(
            value=str(_path(SECOND)), type="filepath", sources=["upload", "clipboard"],
            label="Second photograph (B)", buttons=[], height=170, elem_id="second",
            alt_text="the second photograph",
        )  # fmt: skip
        _samples(photograph)
    return photograph


def _samples(photograph: Component) -> None:
    """Buttons that put a photograph of the package in."""
    import gradio as gr

    with gr.Row(elem_classes="mt-samples"):
        for name in DEMO:
            path = str(_path(name))
            button = gr.Button(name, icon=path, size="sm", min_width=60)
            put(button.click, path, photograph)


def _model() -> Component:
    """The network."""
    import gradio as gr

    return gr.Dropdown(
        choices=options(),
        value=favourite(),
        label="Network",
        info="More filters, more switches. Errors (RMSE) are those of the paper's decoder / the strong one "
        f"where it ships; the mean image alone has {MEAN_RMSE:.3f}.",
        elem_id="network",
    )


def _decoder(elem_id: str) -> Component:
    """Which decoder reads the switches."""
    import gradio as gr

    return gr.Radio(
        [(text, kind) for kind, text in DECODERS.items()], value="mirrored", label="Read by", elem_id=elem_id
    )


def _level_controls(wiring: Wiring) -> tuple[list[Component], list[Component]]:
    """For each level of the deepest network, what to do with its switches, and the share for `flip`.

    Those that the chosen network has no level for are hidden.
    """
    import gradio as gr

    start = depths()[favourite()]
    rows, changes, shares = [], [], []
    for level in range(1, max(depths().values()) + 1):
        with gr.Row(elem_classes="mt-level", visible=level <= start) as row:
            change = gr.Radio(
                [(text, key) for key, text in lab.CHANGES.items()], value="keep", scale=5, min_width=280,
                label=level_label(level, start), elem_id=f"change-{level}",
            )  # fmt: skip
            share = gr.Slider(
                0, 1, lab.Choice().share, step=0.01, label=f"Share p, level {level}", scale=2, min_width=190,
                elem_id=f"share-{level}", buttons=[],
            )  # fmt: skip
        rows.append(row)
        changes.append(change)
        shares.append(share)

    _fit_levels(wiring, rows, changes)
    return changes, shares


def _fit_levels(wiring: Wiring, rows: list[Component], changes: list[Component]) -> None:
    """Show as many levels as the network has, each under its name, whenever another network is chosen."""
    import gradio as gr

    known, levels = depths(), range(1, len(rows) + 1)

    def fit(model: object) -> list[Component]:
        depth = known.get(model) if isinstance(model, str) else None
        if depth is None:
            return [gr.skip()] * 2 * len(rows)
        shown = [gr.update(visible=level <= depth) for level in levels]
        return shown + [gr.update(label=level_label(level, depth)) for level in levels]

    wiring.model.change(
        fit, wiring.model, [*rows, *changes], preprocess=False, concurrency_limit=None,
        api_visibility="private", show_progress="hidden",
    )  # fmt: skip


def _what_and_seed() -> tuple[Component, Component]:
    """What the decoder is given as features, and the seed of what is drawn."""
    import gradio as gr

    what = gr.Radio(
        [(text, key) for key, text in lab.FEATURES.items()], value="constant",
        label="What the paper's decoder puts at the switches", elem_id="what",
    )  # fmt: skip
    seed = gr.Slider(
        0, 20, 0, step=1, label="Seed", elem_id="seed", buttons=[],
        info="Another number draws other random switches.",
    )  # fmt: skip
    return what, seed


def _html(content: str, elem_id: str | None = None) -> Component:
    import gradio as gr

    return gr.HTML(content, elem_id=elem_id, apply_default_css=False)


def _words(markdown: str) -> None:
    import gradio as gr

    gr.Markdown(markdown, elem_classes="mt-words")


def _path(name: str) -> Path:
    return PHOTOGRAPHS / f"{name}.jpg"
