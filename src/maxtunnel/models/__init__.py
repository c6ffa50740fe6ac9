"""The networks: an encoder that yields switches, decoders that make images of them, and their files.

`architecture` says how many filters; `encoder` gives codes, and `mirrored` (the paper's) and `strong` are the
decoders that read them; `tunnel` is both together, with mean and scale, `refine`
moves what was decoded to where its own switches are those that it was rebuilt from, and `tiling` takes large
images through in pieces. `checkpoint` is a network's file, `file_parts` what can be wrong with one,
`provenance` what it says of how the network came about, and `hub` the layout of model hubs. `classifier` is
what pretraining puts on an encoder; `surrogate` is the gradient by which an encoder learns through its
switches, and `rate` counts their bits meanwhile. `layers` is the 3x3 convolution of them all, and `fast`
decides how a whole encoder or mirrored decoder is computed.

`family` is the contract of the networks of all papers: what an encoder gives and what a decoder takes.
`swwae` is the stacked what-where autoencoder, of any `layout` as its paper writes it, and `swwae_file` its
file.
"""
