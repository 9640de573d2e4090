"""What loading weights did: which arrays found their variables, and which did not."""

import dataclasses


@dataclasses.dataclass
class LoadReport:
    """What became of each array of a file and each variable of a model.

    Attributes:
        loaded: paths of the variables that got values.
        missing: paths of variables that the file has nothing for.
        unexpected: names of arrays in the file that no variable asked for.
        mismatched: `(path, expected, found)` of arrays of another shape or kind of dtype.
        cast: `(path, dtype in the file, dtype of the variable)` where these differ.
        not_finite: paths of variables whose new values are NaN or infinite in places.
        skipped: paths of variables that were left alone because they are not below the `prefix`.
    """

    loaded: list = dataclasses.field(default_factory=list)
    missing: list = dataclasses.field(default_factory=list)
    unexpected: list = dataclasses.field(default_factory=list)
    mismatched: list = dataclasses.field(default_factory=list)
    cast: list = dataclasses.field(default_factory=list)
    not_finite: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)

    @property
    def complete(self):
        """Whether every variable got a value, and every array was used."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self):
        counts = [f"{len(self.loaded)} variables loaded"]
        for name in ("missing", "unexpected", "mismatched", "cast", "not_finite", "skipped"):
            found = getattr(self, name)
            if found:
                first = found[0] if isinstance(found[0], str) else found[0][0]
                words = name.replace("_", " ")
                counts.append(f"{len(found)} {words} ({first!r}{', ...' if found[1:] else ''})")
        return ", ".join(counts)
