from importlib.metadata import version as installed

project = "Littoral"
author = "The Littoral authors"
copyright = "The Littoral authors, Apache-2.0"  # noqa: A001  Sphinx's own name
release = installed("littoral")
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "locale"]
nitpicky = True

language = "en"
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
gettext_location = False

html_theme = "furo"
html_title = "Littoral"
html_static_path = ["_static"]
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
