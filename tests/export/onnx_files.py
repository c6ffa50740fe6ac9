"""ONNX files as onnxruntime computes them."""

import onnx
import onnxruntime

# What any runtime has.
OPERATORS = {
    "Add", "Cast", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Equal", "Expand", "Gather",
    "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mod", "Mul", "Neg", "Pad", "Relu", "Reshape", "Resize",
    "Shape", "Slice", "SpaceToDepth", "Sub", "Where",
}  # fmt: skip


def run(path, **given):
    """What a file gives, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: x.numpy() for name, x in given.items()}), strict=True))


def described(path):
    """A file's metadata."""
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def operators(path):
    """The kinds of a file's nodes."""
    return {node.op_type for node in onnx.load(path).graph.node}
