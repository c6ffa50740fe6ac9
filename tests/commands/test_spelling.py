"""The library names arguments; the command line shows them as a person typed them."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import maxtunnel
from maxtunnel import auditing, data, paper, web
from maxtunnel.auditing.folders import audit_folder
from maxtunnel.benchmark.costs import measure_costs
from maxtunnel.benchmark.plan import make_plan
from maxtunnel.benchmark.run import run_benchmark
from maxtunnel.codec import files
from maxtunnel.codec.dataset import encode_dataset
from maxtunnel.commands.app import command_line, spellings_of
from maxtunnel.commands.spelling import spell
from maxtunnel.evaluation.comparison import evaluate_models
from maxtunnel.export.networks import export_file
from maxtunnel.paper.frontier import measure_frontier
from maxtunnel.paper.trigger_figure import draw_triggers
from maxtunnel.protection import ProtectionConfig, protect_folder
from maxtunnel.report.contour_files import contour_files
from maxtunnel.report.demo import run_demo
from maxtunnel.report.dense_files import segment_files
from maxtunnel.scale.cluster import start_engine
from maxtunnel.site.build import build_site
from maxtunnel.studies.adaptive import study_adaptive
from maxtunnel.studies.all_conv import study_all_conv
from maxtunnel.studies.contours import study_contours
from maxtunnel.studies.recon_dec import study_recon_dec
from maxtunnel.studies.segmentation import study_segmentation
from maxtunnel.studies.swwae import study_swwae
from maxtunnel.studies.transplant import study_transplant
from maxtunnel.studies.verdicts import write_verdicts
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import Recipe
from maxtunnel.training.runs import make_config, start_run
from maxtunnel.visualising import VisualisingConfig, visualise_files
from maxtunnel.zoo import names
from tools.command_line import refuse

SOURCE = Path(maxtunnel.__file__).parent
FLAG = re.compile(r"(?<![\w'-])--[a-z]")
COMMAND_LINE = re.compile(r"maxtunnel (?:[a-z-]+|\{\})[^;\n]*")

# Where the table that a command prints is written too.
TABLES = {"csv_file", "latex_file"}
# The functions of the library whose arguments the parameters of a command become, and the parameters that
# are the command's own.
FUNCTIONS = {
    "demo": ([run_demo], set()),
    "reconstruct": ([files.reconstruct_files], set()),
    "encode": ([files.encode_files, encode_dataset, start_engine], {"format"}),
    "decode": ([files.decode_files], set()),
    "inspect": ([], {"files"}),
    "segment": ([segment_files], set()),
    "contours": ([contour_files], set()),
    "evaluate": ([evaluate_models, start_engine], TABLES),
    "train": ([make_config, TrainingConfig, start_run], {"resume"}),
    "pretrain": ([make_config, TrainingConfig, start_run], {"resume"}),
    "prepare": ([data.prepare, start_engine], set()),
    "verify": ([], {"store"}),
    "export": ([data.export], set()),
    "audit": ([audit_folder, auditing.AuditConfig, start_engine], set()),
    "protect": ([protect_folder, ProtectionConfig], set()),
    "visualise": ([visualise_files, VisualisingConfig], {"evolution"} | TABLES),
    "import": ([names.import_network], set()),
    "export-onnx": ([export_file], set()),
    "reproduce": ([paper.Reproduction, start_engine], TABLES),
    "frontier": ([measure_frontier], {"out"} | TABLES),
    "triggers": ([draw_triggers], TABLES),
    "study": ([], set()),
    "study swwae": ([study_swwae], {"toy", "full"} | TABLES),
    "study recon-dec": ([study_recon_dec], {"toy", "full"} | TABLES),
    "study all-conv": ([study_all_conv], {"toy", "full"} | TABLES),
    "study contours": ([study_contours], {"toy", "full"} | TABLES),
    "study segmentation": ([study_segmentation], {"toy", "full"} | TABLES),
    "study adaptive": ([study_adaptive], {"toy", "full"} | TABLES),
    "study transplant": ([study_transplant], {"toy", "full"} | TABLES),
    "study verdicts": ([write_verdicts], set()),
    "figure": ([paper.draw_figure], set()),
    "site": ([build_site], set()),
    "serve": ([web.serve, web.Limits], set()),
    "models": ([], TABLES),
    "summary": ([names.architecture_of], {"size"}),
    "bench": ([run_benchmark], {"markdown"} | TABLES),
    "plan": ([make_plan, measure_costs], {"measure"} | TABLES),
}


@pytest.mark.parametrize("command", FUNCTIONS)
def test_parameters_have_the_names_of_the_librarys_arguments(command):
    functions, own = FUNCTIONS[command]
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    assert set(spellings_of(command.split())) <= arguments | own


def test_all_commands_are_in_the_table():
    commands = command_line().commands
    assert FUNCTIONS.keys() == {*commands, *(f"study {name}" for name in commands["study"].commands)}


def written(default):
    """A default as the command line would write it; None where it stands for nothing, or for everything."""
    if isinstance(default, Recipe):
        return default.name
    if isinstance(default, tuple | list):
        default = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in default)
    return None if default in (None, "", "all") else str(default)


def told(option, default):
    """Whether help alone says the default: where a command has to know if the option was given."""
    return option.default is None and isinstance(default, float) and f"by default {default:g}" in option.help


@pytest.mark.parametrize("command", FUNCTIONS)
def test_defaults_are_those_of_the_library(command):
    """They are written twice, as the help may not wait for the library."""
    defaults = {
        name: parameter.default
        for function in FUNCTIONS[command][0]
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    found = command_line()
    for name in command.split():
        found = found.commands[name]
    for parameter in found.params:
        if parameter.name in defaults and not told(parameter, defaults[parameter.name]):
            assert written(parameter.default) == written(defaults[parameter.name]), parameter.name


@pytest.mark.parametrize(
    ("arguments", "text", "shown"),
    [
        (["train"], "`steps` and `minutes` both bound it", "--steps and --minutes both bound it"),
        (["train", "--steps", "5"], "`architecture`", "ARCH"),
        (["train"], "go on with it (`resume`)", "go on with it (--resume)"),
        (["encode", "x.jpg"], "`images` for `model`, `coding`", "IMAGE for --model, --coding"),
        (["reconstruct"], "`side_by_side`", "--side-by-side"),
        (["evaluate"], "`json_file` or `data`", "--json or --data"),
        (["serve"], "`max_megabytes`, `max_side`", "--max-megabytes, --max-side"),
        (["import"], "`target` is x.txt", "OUT.safetensors is x.txt"),
        (["figure", "3"], "`models`, `number`", "--model, number"),
        (["study", "swwae"], "`l2rec` or `csv_file`", "--l2rec or --csv"),
        (["study"], "`l2rec`", "`l2rec`"),
        (["demo"], "`bf16` is no `precision`, `steps`", "`bf16` is no `precision`, `steps`"),
        (["train"], "`maxtunnel train --resume RUN`, steps", "`maxtunnel train --resume RUN`, steps"),
        (["--version"], "`steps`", "`steps`"),
        (["sing"], "`steps`", "`steps`"),
        ([], "`steps`", "`steps`"),
    ],
)
def test_names_of_the_running_command_are_spelled_as_its_options(arguments, text, shown):
    assert spell(text, spellings_of(arguments)) == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "8-8", "--data", ".", "--out", "r", "--steps", "5", "--minutes", "1"],
         "--steps and --minutes both bound the run: give one of them"),
        (["train", "8-8", "--data", ".", "--val", ".", "--out", "r"], "--val is ., which is --data too"),
        (["decode", "x.mxt", "--levels", "deep"], "--levels is 'deep'"),
        (["import", "x.caffemodel", "x.txt"], "OUT.safetensors is x.txt"),
        (["figure", "3"], "--data"),
        (["serve", "--auth", "name"], "--auth must be NAME:PASSWORD"),
        (["reproduce", "--test", ".", "--out", "r", "--seeds", "2", "--use-shipped"], "--"),
        (["audit", "8-8-8", "--data", ".", "--levels", "x"], "--levels is 'x'"),
        (["audit", "8-8-8", "--data", ".", "--metric", "f.py:m"], "--mitigations"),
    ],
)  # fmt: skip
def test_errors_of_the_library_name_options(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    error = refuse(*arguments)
    assert message in error
    assert "`" not in error


def literals(tree):
    """Every string in a file with its line; what an f-string puts in is {}."""
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value


def flags(text):
    """The flags in a text that are no part of a whole command line."""
    return FLAG.findall(COMMAND_LINE.sub("", text))


def test_flags_are_found():
    (_, text), *_ = literals(ast.parse('f"give {name} with --model"'))
    assert flags(text)
    assert flags("--model is missing")
    assert flags("go on with `--resume`")
    assert not flags("go on with: maxtunnel train --resume RUN")
    assert not flags("a dash -- and more, or x--y")


def test_the_library_knows_no_flags():
    wrong = [
        f"{path.relative_to(SOURCE)}, line {line}: {text[:100]}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent.name != "commands" and path.name != "__main__.py"
        for line, text in literals(ast.parse(path.read_text()))
        if flags(text)
    ]
    assert not wrong
