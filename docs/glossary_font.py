"""Make the font in which the site shows Chinese, so that a reader's machine needs none: only the characters used here.

python docs/glossary_font.py NotoSansCJK-Regular.ttc        # from Debian's fonts-noto-cjk, after new characters
"""

import pathlib
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

DOCS = pathlib.Path(__file__).parent
FONT = DOCS / "_static/noto-sans-sc-subset.woff"
SIMPLIFIED_CHINESE = 2
"""The place of its font in the collection."""


def characters():
    """Return the Chinese characters and punctuation marks of all pages."""
    text = "".join(path.read_text("utf-8") for path in DOCS.rglob("*.md"))
    return {c for c in text if "\u3000" <= c <= "\u303f" or "\u4e00" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef"}


def has():
    """Return the characters that the font has."""
    return set(map(chr, TTFont(FONT).getBestCmap()))


def main():
    """Write the font, from the collection that is named on the command line."""
    options = subset.Options(
        flavor="woff", desubroutinize=True, layout_features=[], hinting=False, name_IDs=[0, 1, 2, 13, 14]
    )
    font = subset.load_font(sys.argv[1], subset.Options(font_number=SIMPLIFIED_CHINESE))
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=map(ord, characters()))
    subsetter.subset(font)
    subset.save_font(font, FONT, options)
    print(f"{FONT.name}: {len(characters())} characters, {FONT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
