"""Fast versions, in C++, of what the package computes most; compiled at first use.

One switch turns them off, and those of a GPU (`switches.fused`, in Triton) with them.

    from maxtunnel import native

    with native.disabled():
        ...  # the plain versions do all the work, on a CPU and on a GPU, in every thread

The environment variable MAXTUNNEL_NATIVE=0 does the same for a whole process. `pooling`, `convolution`,
`planar` and `coder` call one C++ source each, and their functions `supported` say what that source takes.
"""

from maxtunnel.native.build import disabled

__all__ = ["disabled"]
