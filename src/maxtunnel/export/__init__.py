"""ONNX: networks, decoders of captured switches, and models that unpool, for other frameworks.

`graph` puts an ONNX graph together, `layers` are pooling, unpooling and convolutions in it, `decoders` the
two kinds of decoder, and `networks` writes a network's file. `unpooling` rewrites models of somebody else's
so that PyTorch's own exporter takes them.
"""

from maxtunnel.export.networks import export_decoder, export_file, export_network
from maxtunnel.export.unpooling import Exportable, export_model

__all__ = ["Exportable", "export_decoder", "export_file", "export_model", "export_network"]
