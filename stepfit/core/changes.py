"""A process-wide count of changes to models: a cheap way to know that nothing was changed.

Whoever keeps something that was derived from a model (its list of variables, a compiled function)
notes the count when deriving it, and derives it anew where the count has moved on. What is counted
is said in `core.tracking.changes`, and `core.tracking.Watch` sees the rest.
"""

import itertools

_numbers = itertools.count(1)
_latest = 0


def count():
    """Return the number of the latest change."""
    return _latest


def note():
    """Count one change; called after it was made."""
    global _latest
    # Each number is stored once, so a reader never meets the number it noted again by chance,
    # whatever the order in which threads store.
    _latest = next(_numbers)
