"""The package's own imports: no cycles, each room knows only those below it, and little to wait."""

import ast
import os
import pathlib
import statistics
import subprocess
import sys

import pytest

import stepfit

ROOT = pathlib.Path(stepfit.__file__).parent


def module_name(path):
    parts = ("stepfit", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(p): p for p in ROOT.rglob("*.py")}


class _RuntimeOnly(ast.NodeTransformer):
    """Takes out what only type checkers see: `if TYPE_CHECKING:`."""

    def visit_If(self, node):
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return [self.visit(n) for n in node.orelse]
        return self.generic_visit(node)


def imported(name):
    """Return the modules of the package that one imports, anywhere in its code."""
    found = set()
    for node in ast.walk(_RuntimeOnly().visit(ast.parse(FILES[name].read_text()))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        elif (  # importlib.import_module("stepfit....")
            isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module"
            and isinstance(node.args[0], ast.Constant)
        ):  # fmt: skip
            targets = [node.args[0].value]
        else:
            continue
        for target in targets:
            while target and target not in FILES:
                target = target.rpartition(".")[0]
            # The root only says where names live; what it loads is loaded when asked for.
            found |= {target} - {"", "stepfit", name}
    return found


GRAPH = {name: imported(name) for name in FILES if name != "stepfit"}


def test_no_module_reaches_itself():
    state, stack = {}, []

    def visit(name):
        state[name] = "open"
        stack.append(name)
        for other in sorted(GRAPH.get(name, ())):
            assert state.get(other) != "open", " -> ".join([*stack[stack.index(other) :], other])
            if other not in state:
                visit(other)
        stack.pop()
        state[name] = "done"

    for name in sorted(GRAPH):
        if name not in state:
            visit(name)


LEAF = {"activations", "initializers", "regularizers", "constraints", "random"}
LOW = {"core", "config", "dtype_policies", "tree", "backend"}
MAY_KNOW = {  # room -> the other rooms it may import
    "core": set(),
    "ops": {"random"} | LOW,
    **{room: LEAF | {"ops"} | LOW for room in LEAF - {"random"}},
    "random": LOW,
    "losses": LEAF | {"ops"} | LOW,
    "metrics": LEAF | {"ops", "losses", "utils"} | LOW,
    "optimizers": LEAF | {"ops"} | LOW,
    "distribution": {"random", "utils"} | LOW,
    "cli": {"distribution", "saving", "training"},
    "checkpoint": {"random", "utils"} | LOW,
    "callbacks": {"checkpoint", "utils"} | LOW,
    "rewrite": {"core"},
    "training": {"rewrite", "callbacks", "distribution", "optimizers", "metrics", "losses", "ops"}
    | {"utils"}
    | LEAF
    | LOW,
    "layers": LEAF | {"ops", "utils"} | LOW,
    "models": {"saving", "training", "layers", "ops", "utils"} | LEAF | LOW,
    "datasets": {"utils"} | LOW,
    "utils": {"random"} | LOW,
    "saving": {"utils"} | LOW,
    "config": {"core", "utils"},
    "dtype_policies": {"core"},
    "errors": {"core"},
    "tree": {"core"},
    "backend": {"core"},
    "mixed_precision": {"core", "optimizers"},
    "preprocessing": {"ops", "utils"} | LOW,
    "visualization": {"distribution", "utils"} | LOW,
    "wrappers": {"utils"} | LOW,
}


def room(name):
    return name.split(".")[1]


def test_each_room_knows_only_those_below_it():
    rooms = {room(name) for name in GRAPH}
    assert rooms <= set(MAY_KNOW), f"say what {sorted(rooms - set(MAY_KNOW))} may import"
    wrong = [
        f"{name} imports {other}"
        for name, others in sorted(GRAPH.items())
        for other in sorted(others)
        if room(other) not in MAY_KNOW[room(name)] | {room(name)}
    ]
    assert not wrong, "\n".join(wrong)


def run(code):
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def test_importing_costs_little_over_jax():
    ratios = []
    for _ in range(3):  # a noisy machine is given three attempts
        times = {"jax": [], "jax, stepfit": []}
        for _ in range(3):  # in turns, so that both meet the same noise
            for what, found in times.items():
                found.append(float(run(TIMED.format(what))))
        jax_alone, both = (statistics.median(found) for found in times.values())
        ratios.append(both / jax_alone)
        if ratios[-1] < 1.3:
            return
    raise AssertionError(f"import stepfit costs {ratios} times import jax")


def test_importing_loads_nothing_heavy():
    loaded = run("import stepfit, sys; print(*{m.split('.')[0] for m in sys.modules})").split()
    heavy = {"tensorflow", "torch", "keras", "matplotlib", "orbax", "rich", "optax", "h5py"}
    assert not heavy & set(loaded)


def test_names_that_are_loaded_late_are_listed():
    for module in (stepfit, stepfit.utils, stepfit.wrappers):
        assert set(module.__all__) <= set(dir(module))


def test_every_public_name_is_there():
    code = "import stepfit; [getattr(stepfit, name) for name in stepfit.__all__]; print('fine')"
    assert run(code).strip() == "fine"
    try:
        stepfit.layrs  # noqa: B018
    except AttributeError as e:
        assert str(e) == "module 'stepfit' has no attribute 'layrs'; did you mean 'layers'?"
    else:
        raise AssertionError("a name that is not there was found")


@pytest.mark.parametrize(
    "module, name, near",
    [
        ("layers", "Dens", "Dense"),
        ("losses", "MeanSquarredError", "MeanSquaredError"),
        ("metrics", "BinaryAcuracy", "BinaryAccuracy"),
        ("optimizers", "AdamWW", "AdamW"),
        ("callbacks", "EarlyStoping", "EarlyStopping"),
        ("ops", "softmaxx", "softmax"),
        ("activations", "rleu", "relu"),
        ("initializers", "GlorotUnifrom", "GlorotUniform"),
        ("regularizers", "l22", "l2"),
        ("constraints", "NonNegative", "NonNeg"),
        ("utils", "to_categoricl", "to_categorical"),
        ("datasets", "mnst", "mnist"),
        ("models", "Sequental", "Sequential"),
        ("random", "SeedGenerater", "SeedGenerator"),
        ("layers", "Qqqqqqqqq", None),
    ],
)
def test_a_misspelt_name_of_a_module_is_told_the_nearest(module, name, near):
    with pytest.raises(AttributeError) as caught:
        getattr(getattr(stepfit, module), name)
    end = f"; did you mean {near!r}?" if near else "."
    assert str(caught.value) == f"module 'stepfit.{module}' has no attribute {name!r}{end}"
