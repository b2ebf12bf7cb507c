"""When a target is left alone, and which batches use up no retry then."""

from __future__ import annotations

from noria.engine.breaker import BREAKER, Breaker, Fall


def test_ten_in_a_row_that_the_target_was_away_for_are_excused_at_once_and_later_ones_one_by_one() -> None:
    breaker = Breaker()
    first = [Fall(float(n), n, True) for n in range(BREAKER)]
    assert [breaker.fell(one) for one in first[:-1]] == [[]] * (BREAKER - 1) and not breaker.broken
    assert breaker.fell(first[-1]) == list(range(BREAKER)) and breaker.broken
    assert breaker.fell(Fall(20.0, 20, True)) == [20]
    # One that used up no retry in the first place.
    assert breaker.fell(Fall(21.0, 21, True, excused=True)) == []


def test_word_of_an_answer_that_comes_late_takes_back_only_what_failed_before_it() -> None:
    breaker = Breaker()
    for one in (Fall(float(n), n, True) for n in range(BREAKER - 1)):
        breaker.fell(one)
    breaker.answered(4.5)
    assert [one.batch_id for one in breaker.falls] == [5, 6, 7, 8]
    breaker.answered(2.0)
    assert len(breaker.falls) == 4
    more = [breaker.fell(Fall(float(n), n, True)) for n in range(10, 16)]
    # Nothing of before the answer is excused: the target was there.
    assert more[-1] == [5, 6, 7, 8, 10, 11, 12, 13, 14, 15]


def test_none_is_excused_twice() -> None:
    breaker = Breaker()
    for n in range(BREAKER):
        breaker.fell(Fall(float(n), n, True))
    breaker.answered(1.5)
    assert not breaker.unavailable
    breaker.fell(Fall(11.0, 11, True))
    assert breaker.fell(Fall(12.0, 12, True)) == [11, 12]


def test_a_target_that_refuses_ten_is_there() -> None:
    breaker = Breaker()
    for n in range(99):
        assert breaker.fell(Fall(float(n), n, False)) == []
    assert breaker.unavailable and not breaker.broken
    breaker.fell(Fall(100.0, 100, False))
    assert breaker.broken


def test_what_fell_before_an_answer_that_is_known_already_is_not_in_a_row() -> None:
    breaker = Breaker()
    breaker.answered(50.0)
    for n in range(20):
        assert breaker.fell(Fall(float(n), n, True)) == []
    assert breaker.falls == [] and not breaker.unavailable
