"""Choices by name that the library's functions and the command line's options share.

They stand here, away from the code that acts on them, so that `maxtunnel --help` need not wait for PyTorch.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

# How photographs come to the size of a network: bilinear without antialiasing is the paper's.
Resize = Literal["bilinear", "antialias"]

# How switches are written to a file.
Coding = Literal["entropy", "packed"]

# What a prepared store can be written as.
ExportFormat = Literal["parquet"]

# What switch files are written as: a file a photograph, or rows of Parquet files.
SwitchFormat = Literal["mxt", "parquet"]

# What does the parts of a work: this process, or a Ray cluster.
Engine = Literal["here", "ray"]

# Named settings of a training run.
RecipeName = Literal["fast", "paper"]

# Where the figures of a run go besides its metrics.csv.
Logger = Literal["tensorboard", "wandb", "mlflow"]

# Of the arithmetic while training; weights and switches are float32 always.
Precision = Literal["32", "bf16"]

# What a VGG was given: RGB in [0, 1] less the mean by the deviation, or BGR in grey levels less the mean.
VggInputs = Literal["imagenet", "caffe"]

# What reads switches: the paper's decoder, or one that reads all levels in both directions.
DecoderKind = Literal["mirrored", "strong"]

# Which weights of a model are fine-tuned: all, or those on which what is pooled depends.
Trained = Literal["all", "before-pooling"]

# What batch normalisation does while a model is fine-tuned: its running statistics stay, or they follow.
BatchNorm = Literal["frozen", "updated"]

# The sets that learning with few labels is measured on.
LabelledSetName = Literal["mnist", "cifar10", "cifar100", "svhn", "stl10"]

# Where unpooling puts a value: where the maximum was, in the window's first cell, or evenly in all cells.
Unpooling = Literal["switches", "fixed", "average"]

# The same for networks that answer for every pixel; `bilinear` widens planes in unpooling's place.
DenseUnpooling = Literal["switches", "fixed", "bilinear"]

# What its decoder is given: the image's own features and switches; features, and every value in its window's
# first cell; features, and another image's switches; or switches, and a constant in the features' place.
DenseGiven = Literal["known", "fixed", "other", "constant"]

# Which of these are shown.
DenseShown = Literal["known", "fixed", "other", "constant", "all"]

# The sets that segmentation is measured on, and the networks that are trained for it.
SegmentationSetName = Literal["camvid", "horses"]
SegmentationNetworkName = Literal["segnet", "segnet-basic"]

# The networks of that kind that ship: of classes, and of contours.
STREETS, OUTLINES = "segnet-camvid", "cedn-bsds"

# What of a network is exported: from images to switches, from switches to images, or one after the other.
Part = Literal["encoder", "decoder", "both"]

# How a unit of a model is pictured: projected to the pixels by one of three rules, or by covering parts.
VisualisingMethod = Literal["deconvnet", "guided", "gradient", "occlusion"]

# What a cell gets that several windows chose: the last of their values, row by row, or their sum.
OverlapRule = Literal["last", "sum"]


def meant(name: str, known: Iterable[str]) -> str:
    """What an error adds to a name that is not known: ` (is NAME meant?)`, or nothing where none is near."""
    close = get_close_matches(name, list(known), 1, 0.5)
    return f" (is {close[0]} meant?)" if close else ""
