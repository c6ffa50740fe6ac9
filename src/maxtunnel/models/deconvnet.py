"""DeconvNet: a class for every pixel, drawn from one feature vector by unpooling and deconvolution.

    image -> VGG16's five stages, each pooled -> 7x7 conv 4096 -> 1x1 conv 4096 -> what -> 7x7 deconv 512
                         |                                                                      |
                     where 1-5                           unpool, 512 x 3 <----------------------+
                         v                                      v
    classes <- unpool, 64 x 2 <- unpool, 128, 64 <- unpool, 256, 256, 128 <- unpool, 512, 512, 256

Behind every layer batches are normalised and a ReLU stands, but for the last one, a 1x1 convolution that
gives the classes. The 7x7 convolution has no border, so that an image of 224 x 224 pixels has one feature
vector; the deconvolution undoes that. A deconvolution of stride 1 is a convolution whose kernel is turned,
and so is one here, with a border of 6 cells.

Source: Noh, Hong, Han 2015, "Learning Deconvolution Network for Semantic Segmentation" (ICCV,
arXiv 1505.04366). Layers as in github.com/HyeonwooNoh/DeconvNet,
model/DeconvNet/DeconvNet_inference_deploy.prototxt, which makes 251,805,653 parameters. The authors train
with SGD, learning rate 0.01, momentum 0.9, weight decay 5e-4, in two stages: first objects, cropped by their
masks, then windows of whole images.
"""

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import PUBLISHED, VGG_MEAN, DenseLayer, DenseShape, vgg_stages
from maxtunnel.support.choices import DenseUnpooling


def deconvnet(
    classes: int = 21,
    width: int = PUBLISHED,
    unpooling: DenseUnpooling = "switches",
    seed: int = 0,
    side: int = 7,
) -> DenseNetwork:
    """DeconvNet, untrained.

    Args:
        classes: how many, the background among them.
        width: filters of the first stage; those of all others go with it.
        unpooling: where the decoder puts values.
        seed: draws the weights.
        side: cells of the side of the widest filter, odd; images have at least `side` x 32 - 31
            pixels a side.
    """
    inside = 4096 * width // PUBLISHED
    encoder = (*vgg_stages(width, norm=True), (DenseLayer(inside, side, border=0), DenseLayer(inside, 1)))
    widths = [stage[-1].filters for stage in encoder[:-1]]
    first = (DenseLayer(widths[-1], side, border=side - 1),)
    stages = [
        (*deeper[1:], DenseLayer(filters))
        for deeper, filters in zip(encoder[-2::-1], [*widths[-2::-1], widths[0]], strict=True)
    ]
    stages[-1] += (DenseLayer(classes, 1, norm=False, relu=False),)
    shape = DenseShape(encoder, (first, *stages), len(widths))
    return DenseNetwork(shape, unpooling, seed).with_inputs(VGG_MEAN, 1.0)
