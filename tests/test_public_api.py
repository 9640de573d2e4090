"""What type checkers and editors see of the public API: the same names, and typed ones."""

import ast
import importlib
import os
import pathlib
import re

import pytest
from mypy import api

import stepfit
from tests.typing import public_api

ROOT = pathlib.Path(stepfit.__file__).parent.parent
TYPING = pathlib.Path(__file__).parent / "typing"


def test_type_checkers_are_told_of_the_names_that_are_loaded():
    tree = ast.parse(pathlib.Path(stepfit.__file__).read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    told = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            told |= {a.asname or a.name: (node.module, a.name) for a in node.names}
        else:  # `Public = Name`, for a name that is called otherwise where it is defined
            told[node.targets[0].id] = told.pop(node.value.id)
    loaded = {name: ("stepfit", name) for name in stepfit._MODULES}
    for name, place in stepfit._NAMES.items():
        loaded[name] = place if isinstance(place, tuple) else (place, name)
    assert told == loaded


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The errors that mypy finds in three files, as `{file: {line: code}}`; "all": the names."""
    names = tmp_path_factory.mktemp("typing") / "every_name.py"
    lines = ["import stepfit"]
    for module in stepfit._MODULES:
        public = importlib.import_module(f"stepfit.{module}").__all__
        lines += [f"stepfit.{module}.{name}" for name in public]
    lines += [f"stepfit.{name}" for name in stepfit.__all__]
    names.write_text("\n".join(lines))
    files = [names, TYPING / "public_api.py", TYPING / "wrong_usage.py"]
    before = os.getcwd()
    os.chdir(ROOT)  # where pyproject.toml is
    try:
        output, errors, _ = api.run(
            ["--cache-dir=.mypy_cache/typing", "--no-error-summary", "--show-error-codes",
             "--hide-error-context", "--no-pretty",
             "--no-implicit-reexport", "--strict-equality", "--warn-redundant-casts",
             "--disallow-untyped-defs", "--enable-error-code=override", "--follow-imports=silent",
             *map(str, files)]
        )  # fmt: skip
    finally:
        os.chdir(before)
    assert not errors
    found = {path.name: {} for path in files}
    for line in output.splitlines():
        if ": error: " in line:
            path, number, message = line.split(":", 2)
            code = re.search(r"\[([a-z-]+)\]$", message)
            assert code is not None, line
            found[pathlib.Path(path).name][int(number)] = code[1]
    found["all"] = lines
    return found


def test_every_public_name_is_typed(found):
    lines = found["all"]
    assert len(lines) > 300
    assert [lines[number - 1] for number in found["every_name.py"]] == []


def test_typed_code_is_accepted_and_runs(found):
    assert found["public_api.py"] == {}
    public_api.main()


def test_mistakes_are_found(found):
    lines = (TYPING / "wrong_usage.py").read_text().splitlines()
    marked = {i: line.split("# E: ")[1] for i, line in enumerate(lines, 1) if "# E: " in line}
    assert found["wrong_usage.py"] == marked
