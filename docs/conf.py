"""Sphinx's configuration of the site: `make site` builds it into build/site/."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).with_name("extensions")))

project = "tinygrad_sm"
author = "tinygrad_sm"
copyright = "tinygrad_sm, MIT licence"  # noqa: A001
language = "en"
extensions = [
    "myst_nb",
    "sphinx-mathjax-offline",
    "sources",
    "reading",
    "names",
    "proved",
    "doctests",
    "notebooks",
    "access",
]
exclude_patterns = ["_build", "extensions"]
nitpicky = True
smartquotes = False  # what stands in quotes is often to be typed

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_url_schemes = {"https": None, "http": None, "source": None, "site": None}
myst_dmath_double_inline = True

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_merge_streams = True
nb_output_stderr = "remove"  # what libraries say of themselves, such as that a font cache is made

html_theme = "furo"
html_title = "tinygrad_sm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_favicon = "_static/icon.svg"
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
html_show_search_summary = False  # it would fetch pages, which a browser does not do from files
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
