"""Compiles the kernels for a GPU, which need not be there; prints the name of each that could be compiled."""

import triton.language as tl
from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from maxtunnel.switches import fused
from maxtunnel.switches.window import Window

HOPPER = GPUTarget("cuda", 90, 32)
FLAGS = {"_pool": ("INSIDE", "LAST", "ACTIVE"), "_put": ("TILES", "LAST", "ACTIVE"), "_take": ()}


def compiled(kernel, window, kind, compute, flag):
    """For windows of this geometry and values of this kind, with all flags as given."""
    fixed = dict(
        zip(
            ("KH", "KW", "SH", "SW", "PH", "PW", "DH", "DW"),
            (*window.kernel, *window.stride, *window.padding, *window.dilation),
            strict=True,
        )
    )
    fixed |= {"COMPUTE": compute, "BLOCK": 1024} | dict.fromkeys(FLAGS[kernel.__name__], flag)
    kinds = {"codes": "*u8"} | dict.fromkeys(("x", "bias", "values", "plane"), f"*{kind}")
    signature = {name: "constexpr" if name in fixed else kinds.get(name, "i32") for name in kernel.arg_names}
    return compile_kernel(ASTSource(kernel, signature, fixed), target=HOPPER)


if __name__ == "__main__":
    for window, kind, compute, flag in (
        (Window(), "fp32", tl.float32, True),
        (Window(), "bf16", tl.float32, False),
        (Window(3, 2, 1), "fp32", tl.float32, False),
        (Window((4, 2), (3, 5)), "fp64", tl.float64, True),
    ):
        for kernel in (fused._pool, fused._put, fused._take):
            # TILES and INSIDE are promises about the window, which a kernel is not asked to hold here.
            assert compiled(kernel, window, kind, compute, flag).asm["cubin"]
            print(kernel.__name__)
