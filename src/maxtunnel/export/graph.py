"""An ONNX graph as it is put together, node by node, and its file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from maxtunnel.support.files import replacing

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

OPSET = 18
_IR_VERSION = 8  # the first that knows this opset, so that old runtimes read the file too
NO_ONNX = "ONNX files need the packages onnx and onnxscript: pip install onnx onnxscript (our extra onnx)"

Attribute = int | float | str | Sequence[int]
# Of an axis whose length is not known before: a name.
Shape = Sequence[int | str]


class Graph:
    """Nodes, constants, inputs and outputs; what a method gives is the name of a value.

    Attributes:
        half: whether weights are kept in half precision from now on; they are computed with in float32.

    Raises:
        ValueError: the package onnx is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise ValueError(NO_ONNX) from None
        self._onnx, self.half = onnx, False
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """The one result of an operator."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(operator, list(inputs), [name], name)
        node.attribute.extend(
            self._onnx.helper.make_attribute(key, value) for key, value in sorted(attributes.items())
        )
        self._nodes.append(node)
        return name

    def constant(self, values: np.ndarray | Sequence[int]) -> str:
        """An array; a sequence of numbers is one of int64. Equal ones are kept once."""
        array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self._tensors.append(self._onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def weights(self, tensor: Float[Tensor, "..."]) -> str:
        """Weights of a layer, float32."""
        array = tensor.detach().cpu().contiguous().numpy()
        if not self.half:
            return self.constant(array)
        float32 = self._onnx.TensorProto.FLOAT
        return self.add("Cast", self.constant(array.astype(np.float16)), to=float32)

    def input(self, name: str, shape: Shape, dtype: type[np.generic] = np.float32) -> str:
        """What is given under this name."""
        self._inputs.append(self._value(name, shape, dtype))
        return name

    def output(self, name: str, value: str, shape: Shape, dtype: type[np.generic] = np.float32) -> None:
        """Give a value out under this name."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name))
        self._outputs.append(self._value(name, shape, dtype))

    def save(self, path: str | Path, metadata: Mapping[str, str]) -> None:
        """Check the graph, and write it in one step, with its metadata."""
        from maxtunnel import __version__

        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "maxtunnel", self._inputs, self._outputs, self._tensors)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="maxtunnel",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())

    def _value(self, name: str, shape: Shape, dtype: type[np.generic]) -> "ValueInfoProto":
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, list(shape))
