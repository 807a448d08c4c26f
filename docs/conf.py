"""Sphinx configuration: MyST pages and an API reference from the docstrings; nothing is fetched from a network."""

from importlib.metadata import version as installed_version

project = "loce_jax"
author = "the loce_jax developers"
version = release = installed_version("loce_jax")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "loce_jax"
html_show_sourcelink = False

default_role = "code"  # docstrings write names in single backticks
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # shapes such as "n *k c" are not reStructuredText
