"""Sphinx: the documentation of the farm. ``make docs`` builds it; warnings are errors."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "worker_client" / "src"), str(ROOT / "docs" / "_ext")]

# The reference is rendered from the farm itself, with nobody's own settings and no database file.
for name in [name for name in os.environ if name.startswith("TASKFARM_")]:
    del os.environ[name]
for name in ("ALLOWED_HOSTS", "DEBUG"):
    os.environ.pop(name, None)
os.environ["DATABASE_URL"] = "sqlite:///:memory:"
os.environ["SECRET_KEY"] = "only-to-build-the-documentation-" + "x" * 32
os.environ["DJANGO_SETTINGS_MODULE"] = "taskfarm_site.settings"

import django  # noqa: E402

django.setup()

from taskfarm_site import __version__  # noqa: E402

project = "Taskfarm"
author = "the Taskfarm developers"
project_copyright = "the Taskfarm developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "farmdocs"]
exclude_patterns = ["_build", "_ext"]
nitpicky = False
default_role = "code"
highlight_language = "text"
smartquotes = False
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Taskfarm {release}"
html_static_path = ["_static"]
html_css_files = ["farm.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"footer_icons": [], "navigation_with_keys": True}
