"""Switches: where the maximum of each pooling window lies.

`window` is the geometry of a pooling layer; `pooling` takes switches from planes and puts values back where
they say; `indices` translates to the indices of PyTorch; `codes` holds the switches of a batch, `capture`
takes them from any model, `changes` alters them, and `packing` stores them in the least bits.
"""
