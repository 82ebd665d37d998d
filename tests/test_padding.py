from hypothesis import given
from hypothesis import strategies as st

from zoo.padding import padded_length


@given(st.integers(0, 10**7))
def test_padded_length(length):
    padded = padded_length(length)
    assert max(length, 32) <= padded < 2 * max(length, 32)
    assert padded & (padded - 1) == 0
    fine = padded_length(length, fine=True)
    assert max(length, 32) <= fine <= padded and fine in (padded, padded * 3 // 4)
    assert fine < 1.5 * max(length, 32)
