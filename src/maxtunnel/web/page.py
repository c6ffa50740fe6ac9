"""The page put together: what stands where, and which control calls which function."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from maxtunnel import __version__
from maxtunnel.data.images import DEMO, demo_photographs, to_float
from maxtunnel.web import inside, lab, markup, reconstruct, table
from maxtunnel.web.inputs import Limits, Upload, network, read_upload, shrink
from maxtunnel.web.results import Results

PHOTOGRAPHS = Path(__file__).parents[1] / "data" / "photographs"
SAMPLE, SECOND = "chelsea", "astronaut"
STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
ACCENT = (
    "#fdf3ee", "#fbe3d8", "#f5c6b0", "#eda380", "#e27d50", "#cc5a2a", "#b3471d", "#923816", "#6f2b12",
    "#53210f", "#3a170b",
)  # fmt: skip
CONCURRENT = 2  # answers computed at once; others wait their turn
WAITING = 100  # at most

RECONSTRUCT, LAB, INSIDE, TABLE = "Reconstruct", "Switch lab", "Inside", "Table II"


def build(limits: Limits, folder: Path, results: Results) -> Any:
    """The page as Gradio's Blocks.

    Args:
        limits: of uploads.
        folder: where Gradio puts uploads.
        results: where the pictures of answers are kept.
    """
    import gradio as gr

    with gr.Blocks(title="maxtunnel: what switches tell", analytics_enabled=False) as blocks:
        gr.HTML(_head(), apply_default_css=False)
        shown = gr.State(RECONSTRUCT)
        with gr.Row(elem_classes="mt-page"):
            with gr.Column(scale=3, min_width=280, elem_classes="mt-inputs"):
                photograph, model = _inputs(gr)
            with gr.Column(scale=8, min_width=320), gr.Tabs():
                tab = _Tabs(gr, limits, folder, results, shown, photograph, model)
                tab.reconstruct()
                tab.lab()
                tab.inside()
                with gr.Tab(TABLE):
                    gr.HTML(table.show(), apply_default_css=False)
                    gr.Markdown(table.explanation(), elem_classes="mt-words")
        gr.HTML(_foot(limits), apply_default_css=False)
    blocks.queue(max_size=WAITING, default_concurrency_limit=CONCURRENT, api_open=False)
    return blocks


def looks() -> dict[str, Any]:
    """Theme, style and script, as `mount_gradio_app` takes them; fonts of the system, one accent."""
    import gradio as gr

    theme = gr.themes.Base(
        primary_hue=gr.themes.Color(*ACCENT, name="maxtunnel"),
        neutral_hue="stone",
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
        text_size="md",
        radius_size="sm",
    ).set(
        # The default is too faint for small print: 2.5 to 1 on white; this is 7 to 1, and 8 to 1 on black.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        checkbox_label_padding="*spacing_sm *spacing_lg",
    )
    # In the head and not as `css`, which Gradio would confine to parts of the page.
    return {
        "theme": theme,
        "head": f"<style>{STYLE.read_text()}</style><script>{SCRIPT.read_text()}</script>",
    }


def _inputs(gr: Any) -> tuple[Any, Any]:
    """Photograph A and the network, which all tabs share."""
    photograph = gr.Image(
        value=str(PHOTOGRAPHS / f"{SAMPLE}.jpg"),
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        label="Photograph (A)",
        buttons=[],
        height=250,
        elem_id="photograph",
        placeholder="Drop a photograph here\n- or -\nclick to choose one",
        alt_text="the photograph that was chosen",
    )
    _samples(gr, photograph)
    model = gr.Dropdown(
        choices=table.labels(),
        value=table.favourite(),
        label="Network",
        info="More filters, more switches, a better picture.",
        elem_id="network",
    )
    return photograph, model


def _samples(gr: Any, photograph: Any) -> None:
    """Buttons that put a photograph of the package in."""
    with gr.Row(elem_classes="mt-samples"):
        for name in DEMO:
            path = str(PHOTOGRAPHS / f"{name}.jpg")
            button = gr.Button(name, icon=path, size="sm", min_width=60)
            button.click(
                partial(str, path), None, photograph, concurrency_limit=None, api_visibility="private",
                show_progress="hidden",
            )  # fmt: skip


class _Tabs:
    """The three tabs that compute; each answers for photograph and network while it is the one shown."""

    def __init__(
        self, gr: Any, limits: Limits, folder: Path, results: Results, shown: Any, photograph: Any, model: Any
    ) -> None:
        self._gr, self._limits, self._folder, self._results = gr, limits, folder, results
        self._shown, self._photograph, self._model = shown, photograph, model
        # Threads of their own: what they free they use again, while among Gradio's forty it would pile up.
        self._workers = ThreadPoolExecutor(CONCURRENT)

    def reconstruct(self) -> None:
        """A photograph or a switch file, and what comes back."""
        gr, limits = self._gr, self._limits
        with gr.Tab(RECONSTRUCT) as tab:
            result = gr.HTML(_first_result(), elem_id="reconstruction", apply_default_css=False)
            with gr.Row():
                side = gr.Radio(
                    limits.sides, value=min(512, limits.side), label="Longest side, pixels", elem_id="side",
                    min_width=280,
                    info="Larger photographs are made smaller first. The networks were trained at 128.",
                )  # fmt: skip
                file = gr.File(
                    label="Or a switch file (.mxt)", file_types=[".mxt"], height=150, min_width=280,
                    elem_id="switch-file",
                )  # fmt: skip
            gr.Markdown(reconstruct.EXPLANATION, elem_classes="mt-words")

        def answer(photograph: Any, model: Any, side: Any) -> str:
            return self._read(
                lambda upload: reconstruct.answer_photograph(upload, model, side, limits), photograph
            )

        def decode(payload: Any, *others: Any) -> str:
            # Without a switch file it is the photograph's turn again.
            return answer(*others) if payload is None else self._read(self._decode, payload)

        self._answers(RECONSTRUCT, tab, [side.input], answer, [side], result)
        self._on([file.change], decode, [file, self._photograph, self._model, side], result)

    def lab(self) -> None:
        """Photograph B, a change for each level, and the picture."""
        gr = self._gr
        with gr.Tab(LAB) as tab:
            result = gr.HTML(markup.hint("Computing…"), elem_id="lab", apply_default_css=False)
            with gr.Row():
                transplant = gr.Button("Transplant: switches of A, features of B", variant="primary")
                reset = gr.Button("Back to A alone")
            controls = [control for level in (1, 2, 3) for control in _level_controls(gr, level)]
            gr.Markdown(lab.EXPLANATION, elem_classes="mt-words")
            with gr.Row():
                other = self._second()
                with gr.Column(min_width=240):
                    what = gr.Radio(
                        [(text, key) for key, text in lab.FEATURES.items()], value="constant",
                        label="What the decoder puts at the switches", elem_id="what",
                    )  # fmt: skip
                    seed = gr.Slider(
                        0, 20, 0, step=1, label="Seed", elem_id="seed", buttons=[],
                        info="Another number draws other random switches.",
                    )  # fmt: skip

        def answer(photograph: Any, model: Any, second: Any, what: Any, seed: Any, *controls: Any) -> str:
            return self._read(
                lambda a, b: lab.answer(a, b, model, controls, what, seed, self._limits), photograph, second
            )

        # `change` and not `input`: the buttons and the shares move other controls, and one answer follows.
        triggers = [control.change for control in (other, what, seed, *controls)]
        self._answers(LAB, tab, triggers, answer, [other, what, seed, *controls], result)
        changes = controls[::2]
        for change, share in zip(changes, controls[1::2], strict=True):
            share.input(None, None, change, js="() => 'flip'")
        kept = ", ".join(["'keep'"] * len(changes))
        transplant.click(None, None, [*changes, what], js=f"() => [{kept}, 'B']")
        reset.click(None, None, [*changes, what], js=f"() => [{kept}, 'constant']")

    def _second(self) -> Any:
        """Photograph B."""
        gr = self._gr
        with gr.Column(min_width=240):
            other = gr.Image(
                value=str(PHOTOGRAPHS / f"{SECOND}.jpg"), type="filepath", sources=["upload", "clipboard"],
                label="Second photograph (B)", buttons=[], height=170, elem_id="second",
                alt_text="the second photograph",
            )  # fmt: skip
            _samples(gr, other)
        return other

    def inside(self) -> None:
        """Switches, layers and levels."""
        gr = self._gr
        with gr.Tab(INSIDE) as tab:
            channel = gr.Slider(
                1, table.most_channels(), 1, step=1, label="Channel", elem_id="channel", buttons=[],
                info="A layer with fewer channels starts over.",
            )  # fmt: skip
            result = gr.HTML(markup.hint("Computing…"), elem_id="inside", apply_default_css=False)

        def answer(photograph: Any, model: Any, channel: Any) -> str:
            return self._read(lambda upload: inside.answer(upload, model, channel, self._limits), photograph)

        self._answers(INSIDE, tab, [channel.change], answer, [channel], result)

    def _decode(self, upload: Upload | None) -> str:
        return "" if upload is None else reconstruct.answer_switches(upload, self._limits)

    def _read(self, answer: Callable[..., str], *payloads: Any) -> str:
        """An answer for uploads, or what is wrong with them."""
        try:
            uploads = (read_upload(payload, self._folder, self._limits) for payload in payloads)
            return self._results.lift(self._workers.submit(answer, *uploads).result())
        except ValueError as error:
            return markup.notice(error)

    def _answers(
        self,
        name: str,
        tab: Any,
        triggers: list[Any],
        answer: Callable[..., str],
        more: list[Any],
        result: Any,
    ) -> None:
        """Answer when the tab is opened, to its controls, and while it is open to A and the network."""

        def if_shown(shown: str, *values: Any) -> Any:
            return answer(*values) if shown == name else self._gr.skip()

        shared = [self._photograph, self._model]
        changes = [item.change for item in shared]
        self._on(triggers, answer, [*shared, *more], result)
        opened = tab.select(
            partial(str, name), None, self._shown, concurrency_limit=None, api_visibility="private",
            show_progress="hidden",
        )  # fmt: skip
        if name == RECONSTRUCT:
            # The page opens with it, and nobody waits for what is there already: it is always up to date.
            self._on(changes, answer, [*shared, *more], result)
        else:
            self._on(changes, if_shown, [self._shown, *shared, *more], result)
            self._on([opened.then], answer, [*shared, *more], result)

    def _on(self, triggers: list[Any], answer: Callable[..., Any], inputs: list[Any], result: Any) -> None:
        """Let answers wait their turn together; values come as they were sent, and are checked."""
        for trigger in triggers:
            trigger(
                answer, inputs, result, preprocess=False, trigger_mode="always_last", show_progress="minimal",
                api_visibility="private", concurrency_id="network", concurrency_limit=CONCURRENT,
            )  # fmt: skip


def _level_controls(gr: Any, level: int) -> tuple[Any, Any]:
    """What to do with a level's switches, and the share for `flip`."""
    names = {1: "Level 1 (finest)", 3: "Level 3 (deepest)"}
    with gr.Row(elem_classes="mt-level"):
        change = gr.Radio(
            [(text, key) for key, text in lab.CHANGES.items()], value="keep", scale=5, min_width=280,
            label=names.get(level, f"Level {level}"), elem_id=f"change-{level}",
        )  # fmt: skip
        share = gr.Slider(
            0, 1, lab.Choice().share, step=0.01, label=f"Share p, level {level}", scale=2, min_width=190,
            elem_id=f"share-{level}", buttons=[],
        )  # fmt: skip
    return change, share


def _first_result() -> str:
    """The sample, already reconstructed."""
    pixels = demo_photographs()[SAMPLE]
    name = table.favourite()
    return reconstruct.show_rebuilt(reconstruct.rebuild(network(name), pixels), name, f"{SAMPLE}.jpg")


def _head() -> str:
    """Title, two sentences, and the way of one photograph."""
    pixels = shrink(demo_photographs()[SAMPLE], 192)
    net = network(table.favourite())
    code = net.encode(to_float(pixels)[None])
    finest = code.levels[0]
    # The channel whose switches vary most says most about them.
    busiest = max(range(finest.codes.shape[1]), key=lambda channel: -max(inside.shares(finest, channel)))
    figures = [
        markup.figure(markup.picture(pixels, "a photograph of a cat"), "a photograph"),
        markup.figure(
            markup.picture(inside.colour(finest.codes[0, busiest]), "coloured dots", "mt-pixels"),
            "its switches: where each largest value was",
        ),
        markup.figure(
            markup.picture(reconstruct.rebuild(net, pixels).picture, "the cat, rebuilt in rough colours"),
            "rebuilt from the switches alone",
        ),
    ]
    return (
        '<header class="mt-head"><div><h1>What the positions of the maxima tell</h1>'
        "<p>A max-pooling layer of a neural network keeps the largest value of every window of its input; a "
        "<b>switch</b> is the note of <b>where</b> in the window that value stood. Below, a decoder that is "
        "given the switches and nothing else, no colour, no brightness, no feature, paints the photograph "
        "again.</p>"
        "</div>"
        f"{markup.row(figures, 'mt-way')}</header>"
    )


def _foot(limits: Limits) -> str:
    """The paper, and what is taken in."""
    return (
        f'<footer class="mt-foot"><p>The paper: {markup.CITATION}.</p><p>maxtunnel {__version__}. This page '
        f"takes {limits}. Pictures are computed on the machine that serves this page and sent to no other; "
        "uploads are deleted within half an hour.</p></footer>"
    )
