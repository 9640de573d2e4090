"""What a rule returns."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass
class Change:
    """A better way to compute an equation.

    Args:
        name: what to report.
        function: from the equation's inputs to its output; may raise `Slow`.
        slow: description of the equation for the report, if it is slower inside a loop.
    """

    name: str
    function: Callable
    slow: str = ""


class Slow(Exception):
    """No better way is known, and the operation is slow inside a loop."""
