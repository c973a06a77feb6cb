"""Fashion-MNIST: 70,000 images of clothes in the format of MNIST, downloaded when first asked for.

    train, test = fashion_mnist("train"), fashion_mnist("test")
    train.classes[train.labels[0]]          # "Ankle boot"

It is made for programs that find MNIST too easy: softmax regression reaches about 84 % here.
"""

from tinygrad_sm.arguments import choice
from tinygrad_sm.datasets.download import IdxFile, idx_images
from tinygrad_sm.datasets.images import LabelledImages

MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
)

FILES = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            47040016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            60008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            7840016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            10008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
"""The file of the images and that of the labels of each split."""

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Of all 47,040,000 pixels of the training images, scaled to 0..1, by the formulas in the docstring of `mnist`.
TRAIN_MEAN = 0.2860405969887955
TRAIN_STD = 0.3530242445149226


def fashion_mnist(split: str = "train", scale: str | None = "unit") -> LabelledImages:
    """Return the images, labels and class names of one split of Fashion-MNIST, as arrays that the caller owns.

    split : "train", 60,000 images, or "test", 10,000; each class has exactly a tenth of them
    scale : as for `mnist`: "unit", "center", "standard" or None

    The images are 28 x 28 with one channel, (N, 1, 28, 28); the labels int64, (N,). The files are kept in the folder
    fashion-mnist of the user's cache, or of the folder that the environment variable TINYGRAD_SM_DATA names; once they
    are there, no network is needed.

    Raises ValueError for an unknown split or scale, and DatasetError if a file is not available; it says what was tried
    and where to put the file by hand. It refuses the files of Debian's package dataset-fashion-mnist: they hold the
    same data, but packed anew, so their hashes are not those of the originals.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms, 2017 (arXiv:1708.07747); MIT licence.
    """
    choice("fashion_mnist", "split", split, tuple(FILES))
    images, labels = FILES[split]
    return idx_images("fashion-mnist", MIRRORS, images, labels, CLASSES, scale, (TRAIN_MEAN, TRAIN_STD))
