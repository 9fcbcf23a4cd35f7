"""How Sphinx builds the documentation: `make docs`, into build/docs/html."""

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "src")]
os.environ["PYTHONPATH"] = str(HERE.parent / "src")  # of the processes that execute the pages
os.environ["JUPYTER_PATH"] = str(HERE / "_kernel")  # a kernel that writes no notices of its own
os.environ.setdefault("OMP_NUM_THREADS", "1")
logging.basicConfig(level=logging.WARNING)  # before a package of pygments styles sets it to INFO

from beamfold import __version__  # noqa: E402

project = "Beamfold"
copyright = "the Beamfold maintainers"
author = "The Beamfold maintainers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "plain_docstrings",
    "command_pages",
    "explorer_page",
]
exclude_patterns = ["_extensions", "_templates", "_static", "_kernel", "gallery/*.ipynb"]
suppress_warnings = ["config.cache"]  # the order of the gallery is a function, which can't be pickled

html_theme = "furo"
html_title = "Beamfold"
MATHJAX = find_spec("sphinx-mathjax-offline")
assert MATHJAX is not None and MATHJAX.submodule_search_locations is not None
html_static_path = ["_static", *(str(Path(place) / "static") for place in MATHJAX.submodule_search_locations)]
mathjax_path = "mathjax/tex-chtml.js"  # it lies in the site: nothing is loaded from a network
EXTRA = HERE.parent / "build" / "docs" / "extra"
EXTRA.mkdir(parents=True, exist_ok=True)
html_extra_path = [str(EXTRA)]
html_css_files = ["beamfold.css"]
html_show_sphinx = False
smartquotes = False  # "--" of an option stays what it is
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "docs" / "executed")
nb_execution_timeout = 1200  # of a cell: the first one may compile kernels on a busy machine
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_use_ivar = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\w+\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "min_reported_time": 10_000,
    "write_computation_times": False,
    "thumbnail_size": (400, 280),
    "remove_config_comments": True,
}
