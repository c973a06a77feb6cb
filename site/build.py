"""Put the page that runs the package in a browser together, in a folder that any server can serve as it is.

    python site/build.py WHEEL PACKAGES FOLDER      # PACKAGES: where npm has put Pyodide

Everything comes from the repository but Pyodide, whose hash package-lock.json holds. The wheel is the real one without
what a page does not need: the images, which are 11 MB, the novel, and the stubs for editors. Of the digits the page
gets some to learn from and as many to be asked about; its programs stand in its HTML.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import re
import shutil
import zipfile

import numpy as np

from tinygrad_sm.datasets import mnist, toys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
PYODIDE = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
LEFT_OUT = ("-ubyte.gz", "persuasion.txt.gz", ".pyi")
DIGITS = 2000
MOST_BYTES = 20_000_000
BACK = re.compile('<p id="back">.*</p>\n')
NUMPY = "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl"


def slim(wheel, path):
    """Write a wheel without what a page does not need, and with a RECORD of what it has.

    Raises ValueError if the wheel has no RECORD.
    """
    with zipfile.ZipFile(wheel) as full:
        name = next((name for name in full.namelist() if name.endswith(".dist-info/RECORD")), None)
    if name is None:
        raise ValueError(f"{wheel}: expected a wheel, which has a .dist-info/RECORD")
    with zipfile.ZipFile(wheel) as full, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as slimmer:
        record = []
        for item in sorted(full.infolist(), key=lambda item: item.filename):
            if item.filename == name or item.filename.endswith(LEFT_OUT):
                continue
            data = full.read(item)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{item.filename},sha256={digest},{len(data)}\n")
            slimmer.writestr(zipfile.ZipInfo(item.filename), data, zipfile.ZIP_DEFLATED)
        slimmer.writestr(zipfile.ZipInfo(name), "".join([*record, f"{name},,\n"]), zipfile.ZIP_DEFLATED)


def pyodide(packages, folder):
    """Copy Pyodide and NumPy, with a lock file that knows only these. Raises ValueError if NumPy's wheel is another."""
    folder.mkdir()
    source = packages / "pyodide"
    for name in PYODIDE:
        shutil.copy(source / name, folder)
    lock = json.loads((source / "pyodide-lock.json").read_text("utf-8"))
    numpy = lock["packages"]["numpy"]
    digest = hashlib.sha256((HERE / "wasm" / NUMPY).read_bytes()).hexdigest()
    if (numpy["file_name"], numpy["sha256"]) != (NUMPY, digest):
        raise ValueError(f"{NUMPY}: expected the SHA-256 of Pyodide's lock file, {numpy['sha256']}, got {digest}")
    shutil.copy(HERE / "wasm" / NUMPY, folder)
    (folder / "pyodide-lock.json").write_text(json.dumps({**lock, "packages": {"numpy": numpy}}), encoding="utf-8")


def digits(path):
    """Write the first digits of the training set and of the test set, as they are stored."""
    arrays = {}
    for split in ("train", "test"):
        images, labels, _ = mnist(split, scale=None)
        arrays[f"{split}_pixels"], arrays[f"{split}_labels"] = images[:DIGITS, 0], labels[:DIGITS].astype(np.uint8)
    np.savez_compressed(path, **arrays)


def facts():
    """Return what the scripts of the page are to know, by name."""
    return {
        "programs": {path.stem: path.read_text("utf-8") for path in sorted((HERE / "try/programs").glob("*.py"))},
        "animals": {name: np.ravel(image).tolist() for name, image in toys.PROTOTYPES.items()},
        "digits": DIGITS,
    }


def page(html, facts, version, is_in_site):
    """Return the HTML with facts and Pyodide's version at their marks; if there is no site, without the links to it."""
    said = {"facts": json.dumps(facts).replace("<", "\\u003c"), "digits": f"{facts['digits']:,}", "pyodide": version}
    missing = [mark for mark in ('<p id="back">', *(f"{{{name}}}" for name in said)) if mark not in html]
    if missing:
        raise ValueError(f"index.html: expected {' and '.join(missing)}, which are filled in or taken out")
    html = html if is_in_site else BACK.sub("", html)
    return re.sub("{(" + "|".join(said) + ")}", lambda mark: said[mark[1]], html)


def licences(packages):
    """Return the licences of what the page is made of, as one text."""
    version = NUMPY.split("-")[1]
    with zipfile.ZipFile(HERE / "wasm" / NUMPY) as wheel:
        numpy = wheel.read(f"numpy-{version}.dist-info/LICENSE.txt").decode("utf-8")
    package = json.loads((packages / "pyodide/package.json").read_text("utf-8"))
    pyodide = (
        f"Pyodide {package['version']}, with CPython inside: {package['license']}, https://www.mozilla.org/MPL/2.0/\n"
        f"Its source: {package['homepage']}, tag {package['version']}\n"
        "CPython: Python Software Foundation License, https://docs.python.org/3/license.html\n"
    )
    own = (ROOT / "LICENSE").read_text("utf-8")
    images = (ROOT / "datasets/MNIST-LICENSE.md").read_text("utf-8")
    return "\n\n".join(["tinygrad_sm\n\n" + own, images, pyodide, f"NumPy {version}\n\n" + numpy])


def build(wheel, packages, folder):
    """Make the folder anew, and return how many bytes a visitor gets."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "try", folder, ignore=shutil.ignore_patterns("__pycache__", "programs"))
    html = (folder / "index.html").read_text("utf-8")
    version = json.loads((packages / "pyodide/package.json").read_text("utf-8"))["version"]
    is_in_site = (folder.parent / "index.html").exists()
    (folder / "index.html").write_text(page(html, facts(), version, is_in_site), encoding="utf-8")
    pyodide(packages, folder / "pyodide")
    slim(wheel, folder / wheel.name)
    digits(folder / "digits.npz")
    (folder / "licences.txt").write_text(licences(packages), encoding="utf-8")
    fetched = [folder / "digits.npz", folder / wheel.name, folder / "this_page.py", *(folder / "pyodide").iterdir()]
    by_script = [path for path in fetched if path.suffix not in (".js", ".mjs")]  # whose bytes the page counts
    size = sum(path.stat().st_size for path in by_script)
    files = {"wheel": wheel.name, "bytes": size}
    (folder / "files.json").write_text(json.dumps(files), encoding="utf-8")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main():
    """Build the page as the command line says, and refuse one that is too large; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("wheel", "packages", "folder"):
        parser.add_argument(name, type=pathlib.Path)
    args = parser.parse_args()
    size = build(args.wheel, args.packages, args.folder)
    print(f"{args.folder}: {size / 1e6:.1f} MB")
    return 0 if size <= MOST_BYTES else f"{size} bytes are more than {MOST_BYTES}"


if __name__ == "__main__":
    raise SystemExit(main())
