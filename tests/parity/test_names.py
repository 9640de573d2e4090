"""Every public name of Keras is stepfit's too, or `docs/differences.md` says why not."""

import inspect

import pytest

import stepfit
from stepfit.core import absent
from tests.parity import names


@pytest.fixture(scope="module")
def differences():
    return {"Missing": names.missing(), "Signatures": names.differing(),
            "Methods": names.missing_methods()}  # fmt: skip


@pytest.mark.parametrize("heading", ["Missing", "Signatures", "Methods"])
def test_each_difference_has_its_reason(differences, heading):
    bare, stale = names.unexplained(differences[heading], names.documented(heading))
    assert not bare, f"no row below '{heading}' in docs/differences.md: {', '.join(bare)}"
    assert not stale, f"nothing differs, take the row out: {', '.join(stale)}"


def test_a_missing_name_is_not_taken_for_a_misspelt_one(differences):
    found = {}
    for name in differences["Missing"]:
        parent, parts = stepfit, name.split(".")
        while hasattr(parent, parts[0]):
            parent = getattr(parent, parts.pop(0))
        if parent.__name__ in absent.NAMES:
            found.setdefault(parent.__name__, set()).add(parts[0])
    assert found == {module: set(known) for module, known in absent.NAMES.items()}
    with pytest.raises(AttributeError) as caught:
        stepfit.layers.RandomShear  # noqa: B018
    assert str(caught.value) == (
        "module 'stepfit.layers' has no attribute 'RandomShear', which Keras has; "
        "docs/differences.md says why, and what to use."
    )


def test_the_walk_finds_what_there_is():
    """What is compared is what Keras has: the whole of its public tree."""
    found = names.keras_modules()
    assert {"", "ops.linalg", "utils.bounding_boxes", "optimizers.schedules"} <= set(found)
    assert sum(len(names.public(m)) for m in found.values()) > 1400


def test_signatures_are_compared_by_name_order_and_default():
    def one(a, b=1, *args, c=(2, 2), d=max, **kwargs):
        return a

    assert names.signature(one) == "a, b=1, c=2, d=max"
    assert names.signature(lambda x, y=0.0: x) == "x, y=0"
    assert names.signature("text") is None
    parameters = inspect.signature(names.unexplained).parameters
    assert names.signature(names.unexplained) == ", ".join(parameters)


def test_a_row_stands_for_what_it_names():
    rows = ["a.*", "b.c", "d"]
    assert names.unexplained(["a.x", "a.y.z", "b.c"], rows) == ([], ["d"])
    assert names.unexplained(["b.d"], ["b.c"]) == (["b.d"], ["b.c"])


def test_the_table_names_what_is_missing(differences):
    text = "\n".join(names.table())
    assert "(no reason given)" not in text
    for name in differences["Missing"]:
        assert f"  - {name.rpartition('.')[2]}\n" in f"{text}\n"
