"""A few hundred mutated files of each kind; `make fuzz` tries ten thousand."""

import pytest

from tests.saving import fuzz


@pytest.mark.parametrize("name", fuzz.FORMATS)
def test_mutated_files(name):
    count = 30 if name == "keras" else 150
    refused, equal = fuzz.run(count, seed=1, formats=(name,))[name]
    assert refused + equal == count
    assert refused > count / 3
