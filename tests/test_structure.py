"""The house: rooms, and files in each, from bottom to top; a file uses only what stands below it."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "maxtunnel"
DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"
ROOMS = {
    "support": (
        "choices machine markdown numbers progress records system files locks memory parts places jobs tables"
    ),
    "native": "arguments shipped build coder contours convolution planar pooling",
    "switches": (
        "guard packing pending window fused indices codes kernels changes operators pooling recording "
        "returned uses recorder capture"
    ),
    "data": (
        "arrow formats colours images contrast dense camvid labelled binaries idx matlab bsds mean "
        "photographs survey folders horses manifest sources selection store batches dense_store "
        "image_set parquet svhn labelled_sets tars finding reading shards preparation torch_dataset "
        "voc"
    ),
    "models": (
        "adaptive_pooling architecture classifier dense_shape family fast layers encoder layout "
        "measuring provenance file_parts checkpoint hub saved adaptive_deconv all_conv dense_file dense cedn "
        "deconvnet segnet surrogate mirrored rate strong swwae_file swwae tunnel refine tiling"
    ),
    "zoo": "caffe foreign vgg dense dense_files names labels",
    "export": "graph layers decoders networks unpooling",
    "codec": (
        "arithmetic contexts format prior consistency plain coders replacement serialisation rows "
        "dataset files"
    ),
    "evaluation": (
        "compression contours intervals contour_intervals metrics records ridges rows kept measuring "
        "comparison evaluate segmentation triggers"
    ),
    "training": (
        "adaptive average batch graph history peers feeds recipes config engine log phases all_conv "
        "state loop dense train runs what_where"
    ),
    "report": "contours html pictures sheet classes demo dense_files contour_files svg",
    "auditing": (
        "config identification ledger origin photographs readers budget rows controls outcome "
        "conclusions learning page shelf untrained targets exported loading mitigations samples "
        "attacker contest levels refining experiments scores speed trials run folders"
    ),
    "visualising": (
        "config layers loading ways controls outcome passes pictures page reach units evolution "
        "evolution_page occlusion projecting run folders"
    ),
    "protection": (
        "config levels adversary outputs plan unpooling student duel outcome conclusions measure "
        "tables weights kept page run folders"
    ),
    "paper": (
        "canvas measurements colours readings schematic table frontier frontier_figure networks "
        "figures drawing results cards comparisons curve evidence page table_files trial pace jobs "
        "request facts trigger_figure verdicts colour_claims decoder_claims encoder_claims gap_claims "
        "claims reproduction"
    ),
    "studies": (
        "adaptive_config adaptive_reading adaptive_classes adaptive_pictures adaptive_run "
        "all_conv_config contours_data contours_networks dense_conditions contours_config "
        "contours_reading contours_run published recon_dec_config recon_dec_depths rows seeds dense_verdicts "
        "segmentation_config segmentation_data segmentation_run swwae_config swwae_presets "
        "swwae_reading recon_dec_networks swwae_run all_conv_run transplant_config transplant_data "
        "transplant_reading transplant_edits transplant_pictures transplant_run verdicts page report "
        "adaptive adaptive_conclusions adaptive_tables adaptive_page all_conv contours "
        "contours_conclusions contours_page recon_dec recon_dec_conclusions recon_dec_tables "
        "recon_dec_page segmentation segmentation_conclusions segmentation_tables segmentation_page "
        "swwae swwae_conclusions all_conv_conclusions all_conv_tables all_conv_page swwae_tables "
        "swwae_page transplant transplant_conclusions transplant_tables transplant_page"
    ),
    "benchmark": "stock turns floors large ways costs plan run tables",
    "web": (
        "frontier inputs dense_networks markup nearness networks bounds results table triggers "
        "uploads dense inside lab messages gate reconstruct answers frame wiring page serving"
    ),
    "site": "measured parts runtime build",
    "scale": "cluster",
    "commands": (
        "options spelling console measuring onnx segment contours serve site tables audit bench data "
        "networks paper photographs plan protect studies studying adaptive dense_study study training "
        "transplant visualise app"
    ),
}
# Where an untyped library, or somebody else's code, begins.
BORDERS = {
    "auditing/exported",
    "auditing/loading",
    "auditing/mitigations",
    "auditing/scores",
    "benchmark/turns",
    "data/arrow",
    "export/unpooling",
    "models/layers",
    "native/planar",
    "protection/unpooling",
    "scale/cluster",
    "support/places",
    "support/records",
    "switches/fused",
    "switches/guard",
    "switches/operators",
    "switches/pending",
    "switches/recorder",
    "switches/recording",
    "switches/returned",
    "switches/uses",
    "training/engine",
    "visualising/layers",
    "web/frame",
    "web/wiring",
}
# Imported inside the function that needs them, so that nothing else waits for them.
HEAVY = (
    "fsspec", "gradio", "h5py", "huggingface_hub", "lightning", "matplotlib", "mlflow", "onnx", "onnxruntime",
    "ray", "scipy", "skimage", "sklearn", "tensorboard", "torchmetrics", "uvicorn", "wandb",
)  # fmt: skip


def files(room):
    """The files of a room by name; a folder that can be imported counts as one."""
    found = {path.stem: path for path in (SOURCE / room).glob("*.py")}
    return found | {path.parent.name: path for path in (SOURCE / room).glob("*/__init__.py")}


def imports(tree):
    """Room and file of every import of ours, but of those for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "maxtunnel":
            parts = node.module.split(".")[1:]
            for alias in node.names:
                room, name = [*parts, alias.name, ""][:2]
                if room in ROOMS:
                    yield room, name if name in files(room) else "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("maxtunnel."):
                    yield (*alias.name.split(".")[1:], "__init__")[:2]


def sources():
    return [(room, name, path) for room in ROOMS for name, path in files(room).items()]


def test_every_file_has_its_place():
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == set(ROOMS)
    assert {path.name for path in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}
    for room, names in ROOMS.items():
        assert sorted(names.split()) == sorted(files(room).keys() - {"__init__"}), room


@pytest.mark.parametrize("room", ROOMS)
def test_a_file_uses_only_what_stands_below_it(room):
    rooms, order = list(ROOMS), ROOMS[room].split()
    wrong = []
    for name, path in files(room).items():
        for other, used in imports(ast.parse(path.read_text())):
            if other != room and rooms.index(other) > rooms.index(room):
                wrong.append(f"{name} uses {other}")
            # What a room gives out stands above its files.
            elif other == room and name != "__init__" and used not in order[: order.index(name)]:
                wrong.append(f"{name} uses {used}")
    assert not wrong


def test_the_document_draws_the_same_rooms():
    picture = DOCUMENT.read_text().split("```")[1]
    found = [name for name in re.findall(r"(\w+)/(?=\s|$)", picture) if name in ROOMS]
    assert sorted(found) == sorted(ROOMS)
    above = {"benchmark", "paper", "auditing"}
    assert [r for r in reversed(found) if r not in above] == [r for r in ROOMS if r not in above]


def test_only_the_engine_knows_lightning():
    assert [path.name for *_, path in sources() if "import lightning" in _imported(path)] == []
    assert [path.name for *_, path in sources() if "lightning" in _imported(path)] == ["engine.py"]


def _imported(path):
    """The libraries that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_heavy_libraries_are_imported_where_they_are_used():
    for _, _, path in sources():
        top = [
            node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {
            alias.name.split(".")[0] for node in top for alias in node.names if isinstance(node, ast.Import)
        }
        names |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
        assert not names & set(HEAVY), path


def test_any_stands_at_borders_alone():
    found = {
        f"{room}/{name}"
        for room, name, path in sources()
        if any(getattr(node, "id", "") == "Any" for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == BORDERS


def test_no_file_is_long():
    roots = (SOURCE, SOURCE.parents[1] / "tests", SOURCE.parents[1] / "tools")
    for root in roots:
        for path in root.rglob("*"):
            if path.suffix in (".py", ".cpp", ".h", ".css", ".js"):
                assert len(path.read_text().splitlines()) <= 400, path
