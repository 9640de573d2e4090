"""`model.summary()`: the layers of a model as a table."""

import shutil

import numpy as np

from stepfit.core import symbolic


def print_summary(
    model, line_length=None, print_fn=None, expand_nested=False, show_trainable=False
):
    """Print the table of a model's layers; see `Model.summary`."""
    import rich.console
    import rich.table

    width = line_length or min(shutil.get_terminal_size((88, 24)).columns, 100)
    table = rich.table.Table(width=width, header_style="bold", show_lines=False)
    table.add_column("Layer (type)", overflow="fold", ratio=2)
    table.add_column("Output shape", overflow="fold")
    table.add_column("Params", justify="right", no_wrap=True)
    connected = _branches(model)
    if connected:
        table.add_column("Connected to", overflow="fold", ratio=1)
    if show_trainable:
        table.add_column("Train", justify="center", no_wrap=True)
    for layer, depth in _rows(model.layers, expand_nested, 0):
        row = [
            f"{'  ' * depth}{layer.name} ({type(layer).__name__})",
            _shape(layer),
            f"{layer.count_params():,}" if layer.built else "not built",
        ]
        if connected:
            row.append("" if depth else ", ".join(connected.get(id(layer), [])) or "-")
        if show_trainable:
            row.append("-" if not layer.weights else "yes" if layer.trainable_variables else "no")
        table.add_row(*[rich.text.Text(cell) for cell in row])

    console = rich.console.Console(width=width, highlight=False, **_target(print_fn))
    with console.capture() as capture:
        console.print(rich.text.Text(f'Model: "{model.name}"', style="bold"))
        console.print(table)
        for line in _totals(model):
            console.print(line)
    text = capture.get()
    if print_fn is None:
        print(text, end="")
    else:
        print_fn(text.rstrip("\n"))


def _target(print_fn):
    return {} if print_fn is None else {"no_color": True, "force_terminal": False}


def _rows(layers, expand, depth):
    for layer in layers:
        yield layer, depth
        if expand and hasattr(layer, "get_layer"):
            yield from _rows(layer.layers, expand, depth + 1)


def _shape(layer):
    graph = getattr(layer, "_graph", None)
    if layer._inbound_nodes:
        shapes = [t.shape for t in symbolic.symbolic_leaves(layer._inbound_nodes[-1].outputs)]
    elif graph is not None:
        shapes = [t.shape for t in graph.output_tensors]
    else:
        shapes = layer._first_shapes
    shapes = [str(shape) for shape in shapes] or ["?"]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def _branches(model):
    """Where each layer's inputs come from; empty for a chain, where that says nothing."""
    graph = getattr(model, "_graph", None)
    if graph is None:
        return {}
    sources: dict[int, list[str]] = {}
    used: dict[str, int] = {}
    for node in graph.nodes:
        for tensor in node.input_tensors:
            name = graph.source(tensor).operation.name
            sources.setdefault(id(node.operation), []).append(name)
            used[name] = used.get(name, 0) + 1
    chain = all(len(s) == 1 for s in sources.values()) and all(n == 1 for n in used.values())
    return {} if chain else sources


def _totals(model):
    if not model.built and not model.weights:
        return ["Not built yet: call it on data, or build(input_shape)."]
    kinds = {
        "Total params": model.weights,
        "Trainable params": model.trainable_variables,
        "Non-trainable params": model.non_trainable_weights,
    }
    optimizer = getattr(model, "_optimizer", None)
    if optimizer is not None and getattr(optimizer, "built", False):
        kinds["Optimizer params"] = optimizer.variables
    return [f"{name}: {_count(vs):,} ({_bytes(vs)})" for name, vs in kinds.items()]


def _count(variables):
    return sum(v.size for v in variables)


def _bytes(variables):
    size = float(sum(v.size * np.dtype(v.value.dtype).itemsize for v in variables))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
