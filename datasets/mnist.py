"""MNIST: 70,000 handwritten digits with their labels, packaged with the library, so that no network is needed.

    train, test = mnist("train"), mnist("test")
    train.images.shape          # (60000, 1, 28, 28)
    train.labels[:5]            # [5, 0, 4, 1, 9]

MNIST-LICENSE.md names the authors and the licence of the data.
"""

from pathlib import Path

from tinygrad_sm.arguments import choice
from tinygrad_sm.backend import Array
from tinygrad_sm.datasets.idx import read_labelled_images
from tinygrad_sm.datasets.images import SCALES, LabelledImages, labelled_images, rescale

FILES = {
    "train": (
        ("train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ),
    "test": (
        ("t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
}
"""The file of the images and that of the labels of each split, with the SHA-256 of the unpacked file."""

# Of all 47,040,000 pixels of the training images, scaled to 0..1; the formulas stand in the docstring of `mnist`.
TRAIN_MEAN = 0.13066047627384286
TRAIN_STD = 0.3081078038564627


def mnist(split: str = "train", scale: str | None = "unit") -> LabelledImages:
    """Return the images, labels and class names of one split of MNIST, as arrays that the caller owns.

    split : "train", 60,000 images, or "test", 10,000
    scale : how to scale a pixel p, stored as 0 (paper) to 255 (ink)
        "unit"      p / 255                                 0 to 1
        "center"    p / 255 - 0.5                           -0.5 to 0.5
        "standard"  (p / 255 - TRAIN_MEAN) / TRAIN_STD      mean 0 and standard deviation 1 over the training set
        None        p                                       as stored

    The images are 28 x 28 with one channel, in the order NCHW: shape (N, 1, 28, 28), float32 (uint8 if scale is None).
    The labels are the digits 0 to 9, int64 of shape (N,). The classes are not exactly balanced: the training set has
    from 5421 images (of fives) to 6742 (of ones) per class.

    "standard" takes the statistics of the training set for both splits, because a model must know nothing of the test
    set before the test. Over all n pixels p of the training set

        TRAIN_MEAN = Σ p / (255 n)       TRAIN_STD = √(Σ p² / n - (Σ p / n)²) / 255

    Rounded to 0.1307 and 0.3081, they are the numbers of many MNIST programs.

    Raises ValueError for an unknown split or scale, and DatasetError if a file is not the one that was packaged.

    >>> mnist("test")  # doctest: +ELLIPSIS
    LabelledImages(images=float32 (10000, 1, 28, 28), labels=int64 (10000,), classes=('0', '1', ..., '9'))
    >>> images, labels, classes = mnist("test", scale="center")
    >>> images.shape, images.dtype, images.min(), images.max(), labels[:5]
    ((10000, 1, 28, 28), dtype('float32'), np.float32(-0.5), np.float32(0.5), array([7, 2, 1, 0, 4]))
    """
    choice("mnist", "split", split, tuple(FILES))
    choice("mnist", "scale", scale, SCALES)
    folder = Path(__file__).parent
    (images_name, images_sha256), (labels_name, labels_sha256) = FILES[split]
    pixels, labels = read_labelled_images(folder / images_name, folder / labels_name, images_sha256, labels_sha256)
    return labelled_images(pixels, labels, tuple("0123456789"), scale, TRAIN_MEAN, TRAIN_STD)


def scaled_mnist(pixels: Array, scale: str | None = "unit") -> Array:
    """Return the pixels of `mnist(split, scale=None)`, which may be on any device, on another scale of `mnist`.

    With it a DataLoader holds the images as uint8, a quarter of their size, and scales them batch by batch:

        DataLoader(mnist("train", scale=None), 128, device="cuda", transform=scaled_mnist)
    """
    choice("scaled_mnist", "scale", scale, SCALES)
    return rescale(pixels, scale, TRAIN_MEAN, TRAIN_STD)
