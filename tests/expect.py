"""What tests of errors share."""

import pytest

from stepfit.core import errors


def refused(run, kind, text):
    """Check that `run` raises an error of stepfit's, of class `kind`, with exactly this text."""
    with pytest.raises(kind) as caught:
        run()
    found = str(caught.value).split("\n----")[0]  # JAX adds a line on its own frames
    assert found == text, f"\nfound: {found}\nexpected: {text}"
    assert isinstance(caught.value, errors.StepfitError)
