"""Hook of mkdocs: pages of the site that are files outside docs/, and links to them."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "index.zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CITATION.cff": "citation.md",
    "LICENSE": "license.md",
    "config.yaml": "config_yaml.md",
    "benchmarks/RESULTS.md": "benchmarks/RESULTS.md",
    "study/README.md": "study_files.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
NOT_SEARCHED = ("benchmarks/RESULTS.md", "config_yaml.md", "license.md")
ROW = re.compile(r"^\| (?!error |warning |---)(.+) \| (.*) \|$", flags=re.MULTILINE)
HEADER = re.compile(r"^\| (?:error|warning) .*\n\| ---.*\n", flags=re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ to the site."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if not source.endswith(".md"):
            text = f"# {source}\n\n```{'' if source == 'LICENSE' else 'yaml'}\n{text}```\n"
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the repository's relative links into those of the site."""
    here = page.file.src_uri
    if here in NOT_SEARCHED:
        page.meta["search"] = {"exclude": True}
    if here == "messages.md":
        # A heading for each message, so that the search finds it by its words and shows its cure.
        markdown = ROW.sub(r"### \1\n\n\2\n", HEADER.sub("", markdown))
        page.meta["hide"] = ["toc"]
    folder = posixpath.dirname(SOURCES.get(here, f"docs/{here}"))

    def replace(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[1]))
        inside = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(inside, posixpath.dirname(here) or '.')}{found[2] or ''})"

    return LINK.sub(replace, markdown)
