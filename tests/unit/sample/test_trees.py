"""Leaves of trees, by paths that the codecs understand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.paths import Path
from agent.sample.trees import LEAVES_MAX, leaves

NAMES = st.text(max_size=8) | st.sampled_from(
    ["a.b", "a[0]", "{x}", "$", "switch:0", 'say "x"', "a\\b", "", "[]", "Device A"]
)


@pytest.mark.slow
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(), max_size=3), max_size=5))
def test_a_path_leads_to_its_leaf(tree):
    """Every path parses, and the names in it find the value; a name that no path can have is left out."""
    for path, value in leaves(tree).items():
        first, second = Path.parse(path).names
        assert tree[first][second] == value


def test_leaves_are_bounded():
    assert len(leaves({str(at): at for at in range(2 * LEAVES_MAX)})) == LEAVES_MAX
    deep: dict[str, object] = {}
    for _ in range(500):
        deep = {"a": deep, "b": 1}
    assert len(leaves(deep)) == 8
