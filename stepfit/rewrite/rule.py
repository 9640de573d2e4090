"""What a rule returns."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass
class Change:
    """A better way to compute an equation.

    Args:
        name: what to report.
        function: from the equation's inputs to its output.
    """

    name: str
    function: Callable


@dataclasses.dataclass
class Slow:
    """An equation that is slow inside a loop, for which no rule has a better way.

    Args:
        what: description for the report.
    """

    what: str
