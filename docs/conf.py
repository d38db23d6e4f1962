"""How Sphinx builds these pages: ``sphinx-build -W --keep-going -b html docs build/docs``."""

import sys
from types import ModuleType, SimpleNamespace

import fastclips

# Pages need no framework: the adapter derives from these two classes of Keras's.
keras = sys.modules["keras"] = ModuleType("keras")
keras.utils = SimpleNamespace(PyDataset=type("PyDataset", (), {}))
keras.callbacks = SimpleNamespace(Callback=type("Callback", (), {}))
torch = sys.modules["torch.utils.data"] = ModuleType("torch.utils.data")
torch.IterableDataset, torch.get_worker_info = type("IterableDataset", (), {}), None

project = "fastclips"
author = "the fastclips authors"
version = release = fastclips.__version__

extensions = [
    "myst_parser",  # pages are Markdown
    "numpydoc",  # docstrings in NumPy's form
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",  # a page for each public name
    "sphinx_copybutton",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]

default_role = "py:obj"  # `name` in a docstring links to the page of that name, where there is one
add_module_names = False
autodoc_typehints = "none"  # docstrings name the types, in words
autodoc_member_order = "groupwise"
autodoc_mock_imports = ["av", "jax", "ray", "tensorflow", "torch"]
toc_object_entries_show_parents = "hide"
autosummary_ignore_module_all = False
numpydoc_show_class_members = False  # the template lists them
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.strikethrough"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"fastclips {release}"
html_static_path = ["_static"]
html_css_files = ["fastclips.css"]
html_show_sourcelink = False
html_sidebars = {"*": [], "api/**": ["sidebar-nav-bs"]}  # elsewhere the header is all
html_theme_options = {
    "logo": {"text": "fastclips"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_copy_source = False
