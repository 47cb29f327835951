"""The lines that `make mutants` breaks are there, once each, and so are the tests that must then fail."""

import re

import pytest

from tests.faults.mutants import MUTANTS, ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_line_of_a_mutant_is_there_and_its_tests_too(mutant):
    assert (ROOT / mutant.path).read_text().count(mutant.line) == 1
    assert mutant.by != mutant.line
    for test in mutant.tests:
        path, _, name = test.partition("[")[0].partition("::")
        assert re.search(rf"def {name}" if name else "def test_", (ROOT / path).read_text())
