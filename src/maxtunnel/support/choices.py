"""Choices by name that the library's functions and the command line's options share.

They stand here, away from the code that acts on them, so that `maxtunnel --help` need not wait for PyTorch.
"""

from typing import Literal

# How photographs come to the size of a network: bilinear without antialiasing is the paper's.
Resize = Literal["bilinear", "antialias"]

# How switches are written to a file.
Coding = Literal["entropy", "packed"]

# What a prepared store can be written as.
ExportFormat = Literal["parquet"]

# Named settings of a training run.
RecipeName = Literal["fast", "paper"]

# Of the arithmetic while training; weights and switches are float32 always.
Precision = Literal["32", "bf16"]

# What reads switches: the paper's decoder, or one that reads all levels in both directions.
DecoderKind = Literal["mirrored", "strong"]

# Which weights of a model are fine-tuned: all, or those on which what is pooled depends.
Trained = Literal["all", "before-pooling"]

# What batch normalisation does while a model is fine-tuned: its running statistics stay, or they follow.
BatchNorm = Literal["frozen", "updated"]
