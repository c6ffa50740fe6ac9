"""What units of a network see: projections to the pixels, and how much of them the switches drew.

`maxtunnel visualise` and `maxtunnel.visualise` picture units of any model's layers on the photographs where
they fire most strongly: by a deconvnet (`ways`), by derivatives, or by covering parts of the photograph
(`occlusion`). Each picture is made again with other switches, and without the feature (`controls`). Over a
training the same units are pictured step by step, by each step's switches and filters apart (`evolution`).
"""

from maxtunnel.visualising.config import VisualisingConfig
from maxtunnel.visualising.evolution import Evolution, evolve
from maxtunnel.visualising.evolution_page import write_evolution
from maxtunnel.visualising.folders import evolve_files, visualise_files
from maxtunnel.visualising.layers import UnknownLayer
from maxtunnel.visualising.outcome import LayerPictures, Tunnel, UnitPictures, Visualisation
from maxtunnel.visualising.page import write_visualisation
from maxtunnel.visualising.run import visualise

__all__ = [
    "Evolution",
    "LayerPictures",
    "Tunnel",
    "UnitPictures",
    "UnknownLayer",
    "Visualisation",
    "VisualisingConfig",
    "evolve",
    "evolve_files",
    "visualise",
    "visualise_files",
    "write_evolution",
    "write_visualisation",
]
