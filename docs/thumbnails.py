"""Make the README's thumbnails from the pictures that the examples have drawn, after `make examples`.

python docs/thumbnails.py runs
"""

import pathlib
import sys

from PIL import Image

SIZE = (240, 150)
PICTURES = {
    "cat_chicken_dog": "network",
    "chain_rule": "network",
    "deep_network": "spirals",
    "fashion_mnist": "classes",
    "language_model": "loss",
    "lenet_1998": "maps",
    "linear_regression": "fit",
    "logistic_regression": "regions",
    "mnist_mlp": "mistakes",
    "mnist_softmax": "weights",
    "one_vs_rest": "percentages",
    "optimum": "bounds",
    "perceptron_1958": "regions",
    "scaling_study": "pixels",
    "show_digits": "sevens",
    "softmax_regression": "regions",
    "step_as_program": "time",
    "training_ledger": "for_1",
    "transformer_2017": "heads",
    "two_perceptrons": "temperatures",
    "xmax_family": "simplex",
    "xor_1969": "spaces",
}


def main():
    """Make a thumbnail of each example's picture that is there; return the exit status."""
    runs, folder = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).with_name("thumbnails")
    folder.mkdir(exist_ok=True)
    missing = []
    for example, name in PICTURES.items():
        picture = runs / example / f"{name}.png"
        if not picture.exists():
            missing.append(str(picture))
            continue
        image = Image.open(picture).convert("RGB")
        image.thumbnail(SIZE, Image.Resampling.LANCZOS)
        image.quantize(128).save(folder / f"{example}.png", optimize=True)
    return f"expected the pictures of all examples, these are missing: {', '.join(missing)}" if missing else 0


if __name__ == "__main__":
    sys.exit(main())
