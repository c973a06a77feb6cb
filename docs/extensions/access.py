"""What screen readers and keyboards need and the theme leaves out: levels of headings, what scrolls by keys."""

import pathlib

CHANGES = {'class="caption" role="heading">': 'class="caption" role="heading" aria-level="2">'}

# Whether a block or a table scrolls depends on the window, so only a browser can tell. Those that do, and no others,
# are stops of the Tab key, each with a name of its own.
SCROLLING = """
(() => {
  const mark = () => document.querySelectorAll("pre, .table-wrapper, .text_html").forEach((part, i) => {
    const scrolls = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
    const marks = { tabindex: "0", role: "region", "aria-label": `Part ${i + 1}, which scrolls` };
    for (const name in marks) scrolls ? part.setAttribute(name, marks[name]) : part.removeAttribute(name);
  });
  addEventListener("load", mark);
  addEventListener("resize", mark);
  addEventListener("toggle", mark, true);
})();
"""


def change_pages(app, error):
    """Change the pages that were built; raise ValueError if the theme no longer writes what is to be changed."""
    if error is not None:
        return
    missing = set(CHANGES)
    for path in pathlib.Path(app.outdir).rglob("*.html"):
        if path.relative_to(app.outdir).parts[0] != "try":  # which is built apart
            text = path.read_text("utf-8")
            missing -= {old for old, new in CHANGES.items() if old in text or new in text}
            for old, new in CHANGES.items():
                text = text.replace(old, new)
            path.write_text(text, "utf-8")
    if missing:
        raise ValueError(f"expected the theme to write {sorted(missing)} on a page; none has it: see access.py")


def setup(app):
    """Connect to Sphinx."""
    app.add_js_file(None, body=SCROLLING)
    app.connect("build-finished", change_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
