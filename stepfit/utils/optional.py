"""Packages that are needed for some features only."""

import importlib
import importlib.util

from stepfit.core import errors


def load(module, where, extra):
    """Import a module of an optional package.

    Args:
        module: full name of the module.
        where: the feature that needs it, for the error.
        extra: the extra of stepfit that installs it.

    Raises:
        ImportError: it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        package = module.partition(".")[0]
        if e.name is None or e.name.partition(".")[0] != package:
            raise
        fix = f"run: pip install 'stepfit[{extra}]'"
        text = errors.message(where, f"the package {package!r}", "it not installed", fix)
        raise ImportError(text, name=package) from None


def found(package):
    """Say whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None
