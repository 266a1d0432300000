"""Sphinx builds the site from the pages as they are on GitHub: `sphinx-build -W -c docs . build/site`.

The source folder is the repository, so that links between docs/, results/ and the code mean the same in both
places. Added here is what GitHub has no words for: the table of contents, the docstrings of the API, equations as
MathML (browsers draw it without a script), and a page for each source file that a page links to.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx

import gailfe

ROOT = Path(__file__).parents[1]

project = "gailfe"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
include_patterns = [
    "docs/*.md",
    "docs/bring_your_own/*.md",
    "results/*/*.md",
    "expert/pretrained/*/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = [".*", "venv", "runs", "artifacts", "build", "outputs", "multirun"]  # not to be looked through
root_doc = "docs/index"
suppress_warnings = ["toc.not_included"]  # pages below results/ that are reached by links alone

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math", "mermaid"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_use_ivar = True
default_role = "code"  # `name` in docstrings

html_theme = "furo"
html_title = "gailfe"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_math_renderer = "mathml"

CONTENTS = {
    "Start": ["docs/index", "docs/commands", "docs/own_experiments", "docs/python"],
    "Bring your own": [
        f"docs/bring_your_own/{of}" for of in ("environment", "annotator", "demonstrations", "algorithm", "study")
    ],
    "How to": ["docs/demonstrations", "docs/tuning", "docs/wandb", "docs/past_one_machine"],
    "Understand": ["docs/method", "docs/findings", "docs/faq"],
    "Reference": ["docs/configuration", "docs/house"],
    "Results": sorted(str(page.relative_to(ROOT).with_suffix("")) for page in ROOT.glob("results/*/README.md")),
    "Project": ["CONTRIBUTING", "CHANGELOG"],
}
SORTED_IN = {page for pages in CONTENTS.values() for page in pages}
CONTENTS["How to"] += sorted({f"docs/{page.stem}" for page in ROOT.glob("docs/*.md")} - SORTED_IN)


def add_directives(app: Sphinx, docname: str, source: list[str]) -> None:
    """To the page as it was read: the table of contents, or the API's docstrings."""
    if docname == root_doc:
        for caption, pages in CONTENTS.items():
            entries = "\n".join("self" if page == root_doc else f"/{page}" for page in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"
    elif docname == "docs/python":
        for name in gailfe.__all__:
            kind, members = ("autoclass", "\n   :members:") if name[0].isupper() else ("autofunction", "")
            source[0] += f"\n```{{eval-rst}}\n.. {kind}:: gailfe.{name}{members}\n```\n"


def link_sources(app: Sphinx, doctree: nodes.document) -> None:
    """Links to code lead to its page, at the function that they name; those to folders are plain text."""
    here = app.env.docname
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link.get("reftype") == "myst" and Path(app.env.relfn2path(link["reftarget"], here)[1]).is_dir():
            link.replace_self(link.children)
    for link in list(doctree.findall(addnodes.download_reference)):
        path = app.env.relfn2path(link["reftarget"], here)[0]
        if language_of(path) is None:  # a figure, data
            continue
        uri = f"{app.builder.get_relative_uri(here, f'code/{path}')}{line_of(ROOT / path, link.astext())}"
        link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def line_of(path: Path, name: str) -> str:
    """The anchor of a function or class, of a method by Class.method; nothing for other names."""
    inside: list[ast.stmt] = ast.parse(path.read_text()).body if path.suffix == ".py" else []
    anchor = ""
    for part in name.split("."):
        for node in inside:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part:
                anchor, inside = f"#L-{node.lineno}", node.body
                break
    return anchor


def language_of(path: str) -> str | None:
    try:
        return str(get_lexer_for_filename(path).aliases[0])
    except ClassNotFound:
        return None


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file of code that Sphinx has found a link to."""
    for path in sorted(app.env.dlfiles):
        language = language_of(path)
        if language is not None:
            code = app.builder.highlighter.highlight_block(
                (ROOT / path).read_text(), language, linenos="inline", lineanchors="L"
            )
            yield f"code/{path}", {"title": path, "body": f"<h1>{path}</h1>\n{code}"}, "page.html"


def visit_math(self: Any, node: nodes.math | nodes.math_block) -> None:
    written = tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block))
    spaced = '<mspace width="0.17em"></mspace>'  # as TeX sets log D; log(D) has none
    self.body.append(re.sub(r"<mo>&ApplyFunction;</mo>(?!\s*<mo[^>]*>\()", spaced, written))
    raise nodes.SkipNode


def write_front_door(app: Sphinx, error: Exception | None) -> None:
    Path(app.outdir, "index.html").write_text('<meta http-equiv="refresh" content="0; url=docs/index.html">')


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_directives)
    app.connect("doctree-read", link_sources)
    app.connect("html-collect-pages", source_pages)
    app.connect("build-finished", write_front_door)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
