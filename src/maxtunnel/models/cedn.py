"""CEDN: the contours of objects, by a decoder far lighter than its encoder.

    image -> VGG16's five stages, each pooled -> 7x7 conv 4096 -> what
                         |                                          |
                     where 1-5                                      v
                         v                                     1x1 conv 512
    contours <- 5x5 <- 32 <- unpool <- 64 <- unpool <- 128 <- unpool <- 256 <- unpool <- 512 <- unpool

Every unpooling is followed by one 5x5 convolution, and a last one gives one answer a pixel, the logit of a
contour. No batch is normalised; behind every layer of the decoder, and the encoder's last one, half of the
values are left out in training.

Source: Yang, Price, Cohen, Lee, Yang 2016, "Object Contour Detection with a Fully Convolutional
Encoder-Decoder Network" (CVPR, arXiv 1603.04530). Layers as in github.com/jimeiyang/objectContourDetector,
code/vgg-16-encoder-decoder-contour.prototxt, which makes 130,484,289 parameters. The authors take the encoder
from VGG16, its 7x7 layer from fc6, and train the decoder alone: Adam, learning rate 1e-5, weight decay 1e-3,
the logistic loss weighted 10 where a contour is.
"""

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import PUBLISHED, VGG_MEAN, DenseLayer, DenseShape, vgg_stages
from maxtunnel.support.choices import DenseUnpooling

_DROPOUT = 0.5
# Of photographs: without normalisation inside, answers are large from the beginning otherwise.
_DEVIATION = 58.0


def cedn(
    width: int = PUBLISHED, unpooling: DenseUnpooling = "switches", seed: int = 0, side: int = 7
) -> DenseNetwork:
    """CEDN, untrained.

    Args:
        width: filters of the first stage; those of all others go with it.
        unpooling: where the decoder puts values.
        seed: draws the weights.
        side: cells of the side of the widest filter, odd.
    """

    def layer(filters: int, kernel: int) -> DenseLayer:
        return DenseLayer(filters, kernel, norm=False, dropout=_DROPOUT)

    encoder = (*vgg_stages(width, norm=False), (layer(4096 * width // PUBLISHED, side),))
    widths = [stage[-1].filters for stage in encoder[:-1]]
    stages: list[tuple[DenseLayer, ...]] = [
        (layer(filters, 5),) for filters in [*widths[-2::-1], (widths[0] + 1) // 2]
    ]
    stages[-1] += (DenseLayer(1, 5, norm=False, relu=False),)
    shape = DenseShape(encoder, ((layer(widths[-1], 1),), *stages), len(widths))
    return DenseNetwork(shape, unpooling, seed).with_inputs(VGG_MEAN, _DEVIATION)
