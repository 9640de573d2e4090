"""One kill and one full disk for each kind of file; `make saving-faults` does fifty of each."""

import pytest

from tests.saving import faults


@pytest.mark.parametrize("form", faults.FORMS)
def test_kills_and_full_disks(form):
    for row in faults.run(1, forms=[form]):
        assert row.well == row.done == 1, row.wrong


@pytest.mark.slow
@pytest.mark.parametrize("form", faults.FORMS)
def test_many_kills_and_full_disks(form):
    for row in faults.run(50, seed=1, forms=[form]):
        assert row.well == row.done == 50, row.wrong
