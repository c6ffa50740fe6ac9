"""Networks that nobody here wrote: 2x2 and 3x3 windows with stride 2, one to five levels, functional."""

import warnings


def third_party_network(name):
    """A network by its name, with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kornia.models.yunet import YuNet
        from monai.networks import nets

        import unet
    builders = {
        "monai BasicUNet": lambda: nets.BasicUNet(2, 3, 2, features=(8, 8, 16, 16, 16, 8)),
        "monai ResNet": lambda: nets.resnet10(spatial_dims=2, n_input_channels=3),
        "monai DenseNet": lambda: nets.DenseNet(2, 3, 2, 8, 4, (1, 1)),
        "monai SEResNet": lambda: nets.SEResNet50(spatial_dims=2, in_channels=3, num_classes=2),
        "unet UNet2D": lambda: unet.UNet2D(3, out_channels_first_layer=4, num_encoding_blocks=4, padding=1),
        "kornia YuNet": lambda: YuNet("train", pretrained=False),
    }
    return builders[name]()
