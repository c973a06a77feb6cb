"""Adds up how long the notebooks ran; more than a reader waits for fails the build."""

from sphinx.errors import ExtensionError
from sphinx.util import logging

MOST_SECONDS = 90


def check(app, exception):
    """Raise ExtensionError if all notebooks together took longer, or if one did not run."""
    if exception is not None:
        return
    pages = {name for name in app.env.found_docs if name.startswith("notebooks/")} - {"notebooks/index"}
    ran = {name: app.env.nb_metadata[name]["exec_data"]["runtime"] for name in sorted(pages)}
    seconds = sum(ran.values())
    if seconds > MOST_SECONDS:
        raise ExtensionError(f"expected the notebooks to run in {MOST_SECONDS} seconds, got {seconds:.0f}: {ran}")
    logging.getLogger(__name__).info("%d notebooks ran in %.0f seconds", len(ran), seconds)


def setup(app):
    """Connect to Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
