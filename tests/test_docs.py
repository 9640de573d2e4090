"""Every Python block in the README and the docs runs, and prints what the page says it prints.

The blocks of one page run in order, in one namespace. Where a block of language ``text`` follows a
Python block, it is the output. A block that begins with ``# from examples/NAME.py`` shows lines of
that example, which test_examples.py runs; here they are compared with the file. Blocks in a section
whose text is only read (shell commands, other frameworks) have another language.
"""

import contextlib
import io
import pathlib
import re
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Return (line, language, code) for each fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, m.start()) + 1, m[2], textwrap.dedent(m[3]))
        for m in FENCE.finditer(text)
    ]


def run(page, line, code, namespace):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)
    return output.getvalue()


def check_excerpt(code):
    """Each part of an excerpt, parts being separated by ``...``, stands in the example."""
    first, rest = code.split("\n", 1)
    source = (ROOT / first.removeprefix("# from ")).read_text(encoding="utf-8")
    for part in re.split(r"^ *\.\.\.\n", rest, flags=re.MULTILINE):
        part = textwrap.dedent(part).strip("\n")
        assert any(textwrap.indent(part, " " * n) in source for n in (0, 4, 8)), part


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace, output = {"__name__": "page"}, None
    for line, language, code in blocks(page):
        if language == "python" and code.startswith("# from examples/"):
            check_excerpt(code)
        elif language == "python":
            output = run(page, line, code, namespace)
        elif language == "text" and output is not None:
            assert output.rstrip() == code.rstrip(), f"{page.name}, line {line}"
        output = output if language == "python" else None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", text)
    local = [a or b for a, b in links if not re.match(r"https?://|mailto:", a or b)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_each_example_is_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    examples = [p.name for p in (ROOT / "examples").glob("*.py") if p.stem != "pictures"]
    assert len(examples) >= 12
    assert [name for name in examples if f"examples/{name}" not in shown] == []


def test_first_example_of_the_readme_is_short():
    first = next(code for _, language, code in blocks(ROOT / "README.md") if language == "python")
    assert len(first.strip().splitlines()) <= 20
