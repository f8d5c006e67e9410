"""What a page needs in order to read well both on a code host and in the built handbook: an mkdocs hook.

Links from docs/ to other files of the repository stay what they are on a code host. In the handbook the file becomes a
page of its own, under repository/: Markdown as it is, a folder as the list of its files, anything else as code. Fences
marked `sh run`, which the tests run, are plain `sh` here.
"""

import logging
import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.repository")  # mkdocs counts the warnings of its own loggers

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "repository/"
_CODE = r"^(?P<fence>`{3,}).*?^(?P=fence)`*$|`[^`\n]+`"
_LINK = re.compile(rf"{_CODE}|\]\((?P<to>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"^```sh run$", re.MULTILINE)
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".py": "python", ".sh": "sh", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file of the repository that a page links to, and for those that such a page links to."""
    waiting = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    while waiting:
        page, text = waiting.pop()
        for target in _linked(page, text):
            source = ROOT / _path(target)
            if not target.startswith(PREFIX) or files.get_file_from_path(target) or not source.exists():
                continue
            content = _page_of(source)
            files.append(File.generated(config, target, content=content))
            waiting.append((target, content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri

    def link(found: re.Match[str]) -> str:
        if found["to"] is None:
            return found[0]
        target = _target(here, found["to"])
        if files.get_file_from_path(target) is None and (here.startswith(PREFIX) or target.startswith(PREFIX)):
            log.warning("%s links to %s, which is not in the repository", here, _path(target))
        return f"]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{found['anchor'] or ''})"

    return _RUN.sub("```sh", _LINK.sub(link, markdown))


def _linked(page: str, text: str) -> list[str]:
    return [_target(page, found["to"]) for found in _LINK.finditer(text) if found["to"]]


def _target(page: str, to: str) -> str:
    """The page that a link means. page: the `src_uri` that it stands on."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_path(page)), to))
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{PREFIX}{path}" if path.endswith(".md") else f"{PREFIX}{path}.md"


def _path(page: str) -> str:
    """Where in the repository a page comes from."""
    if not page.startswith(PREFIX):
        return f"docs/{page}"
    path = page.removeprefix(PREFIX)
    return path if (ROOT / path).exists() else path.removesuffix(".md")


def _page_of(source: Path) -> str:
    name = source.relative_to(ROOT).as_posix()
    if source.suffix == ".md":
        return source.read_text(encoding="utf-8")
    head = f"---\nsearch: {{exclude: true}}\n---\n# {name}\n\n"
    if source.is_dir():
        inside = sorted(path for path in source.iterdir() if not path.name.startswith((".", "__")))
        return head + "".join(f"- [{path.name}]({source.name}/{path.name})\n" for path in inside)
    text = source.read_text(encoding="utf-8")
    return f"{head}````{_LANGUAGES.get(PurePosixPath(name).suffix, '')}\n{text}\n````\n"
