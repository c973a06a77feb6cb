"""Follows the links inside a built site, what its styles name, and what its scripts name by a literal text; no others.

python docs/extensions/links.py build/site

Not followed: addresses that a script computes, and links to other hosts, of which only `https:` is demanded. What a
browser would fetch from another host is a fault.
"""

import pathlib
import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

FETCHED = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("image", "href"),
    ("img", "src"),
    ("input", "src"),
    ("link", "href"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("track", "src"),
    ("use", "href"),
    ("video", "poster"),
    ("video", "src"),
}
IN_STYLES = re.compile(r"""url\(\s*(["']?)(.*?)\1\s*\)|@import\s+(["'])(.*?)\3""")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
MODULE = re.compile(r"""\b(?:import|export)\b(?:[\w$*{},\s]*\bfrom)?\s*\(?\s*(["'])(\.{0,2}/[^"'\n]+)\1""")
IN_SCRIPTS = re.compile(r"""\b(?:new\s+(?:Shared)?Worker|importScripts|fetch|new\s+URL)\(\s*(["'])([^"'\n]+)\1""")


def in_style(text):
    """Return the addresses that a style names."""
    return {found[2] or found[4] for found in IN_STYLES.finditer(COMMENT.sub("", text))}


def in_script(text):
    """Return the addresses of modules, workers and files that a script names by a literal text."""
    return {found[2] for pattern in (MODULE, IN_SCRIPTS) for found in pattern.finditer(text)}


class Page(HTMLParser):
    """The anchors, links and fetched files of a page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.fetched, self.open = set(), set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what a tag says."""
        found = {name: value for name, value in attrs if value}
        self.anchors.update(filter(None, (found.get("id"), found.get("name"))))
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if found.get("rel") != "canonical":
            self.fetched.update(value for name, value in found.items() if (tag, name) in FETCHED)
        self.fetched.update(source.split()[0] for source in found.get("srcset", "").split(",") if source.strip())
        self.fetched.update(in_style(found.get("style", "")))
        is_code = tag == "style" or (tag == "script" and found.get("type", "module") in ("module", "text/javascript"))
        self.open = tag if is_code else ""

    def handle_data(self, data):
        """Note what a style or a script of the page names."""
        if self.open:
            self.fetched.update((in_style if self.open == "style" else in_script)(data))

    def handle_endtag(self, tag):
        """Note that a style or script has ended."""
        self.open = ""


def faults(site):
    """Return a line for each address that leads nowhere, or where it must not; and how many pages there are."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    named = {path: (page.links, page.fetched) for path, page in pages.items()}
    for pattern, names in (("*.css", in_style), ("*.js", in_script), ("*.mjs", in_script)):
        named |= {path: (set(), names(path.read_text("utf-8"))) for path in sorted(site.rglob(pattern))}
    found = []
    for path, (links, fetched) in named.items():
        where = path.relative_to(site)
        for address in sorted(links | fetched):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in fetched and parts.scheme not in ("data", "blob"):
                    found.append(f"{where}: {address} would be fetched from another host")
                elif address in links and parts.scheme != "https":
                    found.append(f"{where}: {address} leads elsewhere, and not by https")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            is_folder = parts.path.endswith("/") and path.suffix != ".html"  # a script may begin addresses with it
            is_there = target.is_dir() if is_folder else target.is_file()
            if not (is_there and target.is_relative_to(site)):
                found.append(f"{where}: {address} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where}: {address} names a place that is not there")
    return found, len(pages)


def main():
    """Print the faults of a site; return the exit status."""
    found, pages = faults(pathlib.Path(sys.argv[1]).resolve())
    print(*found, f"{pages} pages, {len(found)} faults in their links", sep="\n")
    return bool(found) or not pages


if __name__ == "__main__":
    sys.exit(main())
