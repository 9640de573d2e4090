"""What a tracker of experiments is told of a run."""


def facts_of(model, params):
    """Return the length of a run and its optimizer, as far as they are known.

    Args:
        model: the model.
        params: the `params` of a callback, or None.
    """
    params = params or {}
    facts = {name: params[name] for name in ("epochs", "steps") if params.get(name) is not None}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        facts["optimizer"] = type(optimizer).__name__
    return facts
