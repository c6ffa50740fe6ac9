"""SegNet, and the smaller SegNet-Basic: a class for every pixel, by unpooling with the encoder's switches.

    image -> 64 x 2, pool -> 128 x 2, pool -> 256 x 3, pool -> 512 x 3, pool -> 512 x 3, pool -> what
                       |                |                |                |                |       |
                    where 1          where 2          where 3          where 4          where 5    |
                       v                v                v                v                v       v
    classes <- unpool, 64 <- unpool, 128-64 <- unpool, 256-256-128 <- unpool, 512-512-256 <- unpool, 512 x 3

`segnet` is that: VGG16's thirteen convolutions, batches normalised, and their mirror image, whose last
layer gives the classes and has neither normalisation nor ReLU. `segnet_basic` has four stages of one 7x7
layer each; its decoder has no ReLU, a 1x1 layer gives the classes, and its images are normalised pixel by
pixel. Both take grey levels, 0 to 255, without a mean.

Source: Badrinarayanan, Kendall, Cipolla 2017, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation" (IEEE TPAMI 39(12), arXiv 1511.00561). Layers as the authors' tutorial has them
(github.com/alexgkendall/SegNet-Tutorial, Models/segnet_train.prototxt and segnet_basic_train.prototxt), which
makes 29,449,355 and 1,416,587 parameters for CamVid's eleven classes. The authors train with SGD, momentum
0.9, weight decay 5e-4, learning rate 0.001 (SegNet-Basic: 0.1), void left out and classes weighted by the
median of their frequencies (`data.dense.median_frequency`).
"""

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import NO_MEAN, PUBLISHED, DenseLayer, DenseShape, vgg_stages
from maxtunnel.support.choices import DenseUnpooling


def segnet(
    classes: int = 11, width: int = PUBLISHED, unpooling: DenseUnpooling = "switches", seed: int = 0
) -> DenseNetwork:
    """SegNet, untrained.

    Args:
        classes: how many.
        width: filters of the first stage; those of all others go with it.
        unpooling: where the decoder puts values.
        seed: draws the weights.
    """
    encoder = vgg_stages(width, norm=True)
    decoder = [
        (*deeper[1:], DenseLayer(finer[-1].filters))
        for deeper, finer in zip(encoder[:0:-1], encoder[-2::-1], strict=True)
    ]
    last = (*encoder[0][1:], DenseLayer(classes, norm=False, relu=False))
    return DenseNetwork(DenseShape(encoder, (*decoder, last), len(encoder)), unpooling, seed).with_inputs(
        NO_MEAN, 1.0
    )


def segnet_basic(
    classes: int = 11, width: int = PUBLISHED, unpooling: DenseUnpooling = "switches", seed: int = 0
) -> DenseNetwork:
    """SegNet-Basic, untrained.

    Args:
        classes: how many.
        width: filters of every layer.
        unpooling: where the decoder puts values.
        seed: draws the weights.
    """
    encoder = ((DenseLayer(width, 7),),) * 4
    layer = DenseLayer(width, 7, relu=False)
    last = (layer, DenseLayer(classes, 1, norm=False, relu=False))
    shape = DenseShape(encoder, (*((layer,),) * 3, last), len(encoder), response_norm=True)
    return DenseNetwork(shape, unpooling, seed).with_inputs(NO_MEAN, 1.0)
