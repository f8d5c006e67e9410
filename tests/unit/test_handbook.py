"""The handbook builds, strictly, from what is in the repository alone, and loads nothing from elsewhere."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from cluster_support import ROOT
from live.pages import Page
from tasks import handbook

_LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]*\bsrc=["']?([^"'\s>]+)|<link[^>]*\bhref=["']?([^"'\s>]+)""")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **handbook.ENVIRONMENT}
    command = handbook.command(site, config)
    return subprocess.run(command, cwd=config.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("handbook")
    done = build(ROOT / "mkdocs.yml", site)
    assert done.returncode == 0, f"`make docs` fails:\n{done.stdout}{done.stderr}"
    return site


def test_every_page_is_built(site: Path) -> None:
    docs = ROOT / "docs"
    pages = [path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")]
    assert len(pages) > 10
    assert [page for page in pages if not (site / page).is_file()] == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {
        (page.relative_to(site), found)
        for page in site.rglob("*.html")
        for match in _LOADED.findall(page.read_text(encoding="utf-8"))
        for found in match
        if found
    }
    assert len(loaded) > 50
    assert [each for each in loaded if re.match(r"(https?:)?//", each[1])] == []
    # the theme fetches what draws such a block from elsewhere
    assert [page for page in site.rglob("*.html") if 'class="mermaid"' in page.read_text(encoding="utf-8")] == []


def test_no_fence_or_link_is_left_as_text(site: Path) -> None:
    left = re.compile(r"```|\]\([\w./#-]+\)")
    pages = [path.relative_to(site) for path in site.rglob("*.html") if "repository" not in path.parts]
    assert [page for page in pages if left.search((site / page).read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[no page](nowhere.md)", "nowhere.md"),
        ("[no heading](index.md#nowhere)", "there is no such anchor"),
        ("[no file](../deploy/nowhere.yaml)", "links to deploy/nowhere.yaml, which is not in the repository"),
        ("[a file](../mkdocs.yml) [a folder](../deploy/monitoring) [Markdown](../CHANGELOG.md#changelog)", ""),
        ("`[no link](nowhere.md)`\n\n```sh run\n[nor](this.md)\n```", ""),
    ],
)
def test_a_link_that_leads_nowhere_ends_the_build(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{text}\n")
    done = build(small_handbook(tmp_path, ["index.md"]), tmp_path / "site")
    assert (done.returncode == 0) == (told == ""), done.stdout + done.stderr
    assert told in done.stdout + done.stderr


def test_a_page_that_is_not_in_the_navigation_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("index.md", "lost.md"):
        (tmp_path / "docs" / name).write_text("# Page\n")
    done = build(small_handbook(tmp_path, ["index.md"]), tmp_path / "site")
    assert done.returncode != 0
    assert "lost.md" in done.stdout + done.stderr


def small_handbook(folder: Path, pages: list[str]) -> Path:
    """The handbook's own settings, with other pages. Returns: its configuration file."""
    settings, nav, _ = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    assert nav
    hook = "deploy/handbook/repository.py"
    config = folder / "mkdocs.yml"
    config.write_text(settings.replace(hook, str(ROOT / hook)) + nav + "".join(f"  - {page}\n" for page in pages))
    return config


@pytest.mark.parametrize("name", ["tune", "size-a-cluster"])
def test_the_commands_that_need_no_cluster_work(name: str) -> None:
    said = Page(f"docs/how-to/{name}.md").run(Path("/dev/null"))
    assert "syncs" in said


def test_the_commands_of_every_page_are_run_by_a_test() -> None:
    """By one that names the page, or has it in a list of names."""
    every = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = "".join(text for text in every if "live.pages" in text or "_RUN" in text)
    pages = [path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md") if Page(str(path)).run_blocks()]
    assert len(pages) > 5
    assert [page for page in pages if f'"{page.stem}"' not in tests and page.name not in tests] == []


def test_the_blocks_of_a_page_share_a_shell_and_one_that_fails_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh run\nword=kept\n```\n\n```sh\nfalse\n```\n\n```sh run\necho $word; test $word = kept\n```\n")
    assert Page(str(page)).run(Path("/dev/null")) == "kept\n"
    page.write_text(page.read_text() + "```sh run\ntest $word = lost\n```\n```sh run\necho not reached\n```\n")
    with pytest.raises(AssertionError, match=r"ended with 1:\ntest \$word = lost\n") as failure:
        Page(str(page)).run(Path("/dev/null"))
    assert "not reached" not in str(failure.value)
    with pytest.raises(AssertionError, match="has no 'port 3001' any more"):
        Page(str(page)).run(Path("/dev/null"), instead={"port 3001": "port 1"})
