"""The optimizers of a model, as callbacks find them."""

from stepfit.core import errors


def with_learning_rate(model, where):
    """Return the optimizer whose learning rate a callback is to set.

    Raises:
        ValueError: where there is none, or its learning rate follows a schedule.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not hasattr(optimizer, "learning_rate"):
        raise errors.bad_value(
            where, "a model compiled with an optimizer that has a learning_rate",
            errors.describe(optimizer),
            "set the learning rates of several optimizers in a callback of your own",
        )  # fmt: skip
    if callable(getattr(inner(optimizer), "_learning_rate", None)):
        raise errors.bad_value(
            where, "an optimizer whose learning rate is a number", "one that follows a schedule",
            "compile with a float learning_rate, or leave this callback out",
        )  # fmt: skip
    return optimizer


def inner(optimizer):
    """Return the optimizer inside a `LossScaleOptimizer`, else the optimizer itself."""
    if "inner_optimizer" in vars(optimizer) or hasattr(type(optimizer), "inner_optimizer"):
        return optimizer.inner_optimizer
    return optimizer


def all_of(model):
    """Return every optimizer that a model holds, also those of an own training step."""
    found = model._optimizers() if hasattr(model, "_optimizers") else []
    if not found and getattr(model, "optimizer", None) is not None:
        found = [model.optimizer]
    return list(found)
