"""Numbers of the papers that studies stand beside, each with where it is from."""

from dataclasses import dataclass

from maxtunnel.support.choices import DenseUnpooling, LabelledSetName


@dataclass(frozen=True)
class Published:
    """A classification error that a paper reports.

    Attributes:
        set: of images.
        labels: how many of the training images are labelled; None for all.
        error: share of the test images that are taken for another class.
        what: which network.
        source: the paper, and where in it.
        layout: of the network; None where it is not known.
        dropout: whether there is any; None where it is not known.
    """

    set: LabelledSetName
    labels: int | None
    error: float
    what: str
    source: str
    layout: str | None = None
    dropout: bool | None = None


_SWWAE = "Zhao, Mathieu, Goroshin, LeCun 2015, arXiv 1506.02351"
# Its tables could not be read. What others give of them, and who, as far as that could be traced.
_SECOND_HAND = f"{_SWWAE}, as quoted second hand; by whom first could not be traced"
_ALI = f"{_SWWAE}, as quoted in Dumoulin et al. 2016 (Adversarially Learned Inference), for SVHN"
_LISTED = f"{_SWWAE}, as listed by Papers with Code"
# The one layout of theirs that is quoted in full.
SWWAE_STL10 = "(64)3c-4p-(64)3c-3p-(128)3c-(128)3c-2p-(256)3cx3-(512)3cx3-2p-10fc"

SWWAE = (
    Published("mnist", 100, 0.0871, "SWWAE", _SECOND_HAND),
    Published("mnist", 600, 0.0331, "SWWAE", _SECOND_HAND),
    Published("mnist", 1000, 0.0283, "SWWAE", _SECOND_HAND),
    Published("mnist", 3000, 0.0210, "SWWAE", _SECOND_HAND),
    Published("svhn", 1000, 0.2783, "SWWAE without dropout", _SECOND_HAND, dropout=False),
    Published("svhn", 1000, 0.2356, "SWWAE with dropout", _ALI, dropout=True),
    Published("cifar10", None, 0.078, "SWWAE, accuracy 92.2 %", _LISTED),
    Published("cifar100", None, 0.309, "SWWAE, accuracy 69.1 %", _LISTED),
    Published("stl10", 1000, 0.257, "SWWAE, accuracy 74.3 %", _LISTED, SWWAE_STL10),
)


def published_for(name: LabelledSetName, labels: int, images: int) -> tuple[Published, ...]:
    """What was published for a set with so many labels, of so many training images.

    Args:
        name: of the set.
        labels: how many images are labelled.
        images: how many there are to train on.
    """
    return tuple(each for each in SWWAE if each.set == name and (each.labels or images) == labels)


@dataclass(frozen=True)
class PublishedSegmentation:
    """What a paper reports of a segmentation of CamVid's 233 test images, 480 x 360, void left out.

    Attributes:
        what: which network.
        unpooling: how it widens planes.
        mean_iou, class_accuracy, global_accuracy: shares.
        parameters: how many.
        images: that it was trained on.
        source: the paper, and where in it.
    """

    what: str
    unpooling: DenseUnpooling
    mean_iou: float
    class_accuracy: float
    global_accuracy: float
    parameters: int
    images: int
    source: str


_SEGNET = "Badrinarayanan, Kendall, Cipolla 2017, arXiv 1511.00561"
_BALANCED = f"{_SEGNET}, Table 1, classes balanced by median frequency"

SEGNET_CAMVID = (
    PublishedSegmentation("SegNet-Basic", "switches", 0.477, 0.620, 0.827, 1_425_000, 367, _BALANCED),
    PublishedSegmentation(
        "Bilinear-Interpolation, nothing to learn in its decoder", "bilinear", 0.433, 0.611, 0.779,
        625_000, 367, _BALANCED,
    ),
    PublishedSegmentation(
        "SegNet, VGG16 as encoder, 3,433 images", "switches", 0.601, 0.712, 0.904, 29_449_355, 3433,
        f"{_SEGNET}, Table 2",
    ),
)  # fmt: skip
