"""The paper, re-measured: its table, its figures and its claims from one command."""

from maxtunnel.paper.drawing import draw_figure as draw_figure
from maxtunnel.paper.reproduction import reproduce as reproduce
from maxtunnel.paper.request import Reproduction as Reproduction
