"""What the planner is known to do; these tests score the candidates."""

import pytest
from planner import dates, intervals, rooms, settings
from planner.cache import Cache


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


def test_merge_sorts():
    assert intervals.merge([(5, 7), (1, 2)]) == [(1, 2), (5, 7)]


def test_merge_overlapping():
    assert intervals.merge([(1, 4), (3, 6), (10, 11)]) == [(1, 6), (10, 11)]


def test_merge_touching():
    assert intervals.merge([(1, 3), (3, 5)]) == [(1, 5)]


def test_merge_one_inside_the_other():
    assert intervals.merge([(0, 10), (2, 3)]) == [(0, 10)]


def test_subtract_from_the_middle():
    assert intervals.subtract((0, 10), [(3, 5)]) == [(0, 3), (5, 10)]


def test_subtract_the_edges():
    assert intervals.subtract((0, 10), [(0, 2), (9, 12)]) == [(2, 9)]


def test_subtract_everything():
    assert intervals.subtract((0, 10), [(0, 10)]) == []


def test_total_counts_no_minute_twice():
    assert intervals.total([(0, 30), (20, 40)]) == 40


def test_first_gap():
    assert intervals.first_gap((0, 100), [(0, 20), (25, 60)], 10) == (60, 70)
    assert intervals.first_gap((0, 100), [(0, 95)], 10) is None


def test_leap_years():
    assert [dates.is_leap(year) for year in (1900, 2000, 2023, 2024)] == [False, True, False, True]


def test_add_months():
    assert dates.add_months((2023, 1, 31), 1) == (2023, 2, 28)
    assert dates.add_months((2023, 11, 5), 2) == (2024, 1, 5)


def test_add_months_up_to_december():
    assert dates.add_months((2023, 10, 5), 2) == (2023, 12, 5)


def test_add_months_backwards():
    assert dates.add_months((2024, 1, 15), -1) == (2023, 12, 15)


def test_weekday():
    assert dates.weekday((2024, 1, 1)) == 0
    assert dates.weekday((2024, 2, 29)) == 3


def test_working_days():
    assert dates.working_days((2024, 1, 1), (2024, 1, 7)) == 5
    assert dates.working_days((2024, 1, 1), (2024, 1, 8), {(2024, 1, 1)}) == 5


def test_working_days_over_a_month():
    assert dates.working_days((2023, 12, 29), (2024, 1, 2)) == 3


def test_cache_returns_what_was_put():
    cache = Cache(2, 10, Clock())
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b", 7) == 7
    assert (cache.hits, cache.misses) == (1, 1)


def test_cache_drops_the_least_recently_used():
    cache = Cache(2, 10, Clock())
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.get("b") is None
    assert cache.get("a") == 1


def test_cache_values_expire():
    clock = Clock()
    cache = Cache(2, 10, clock)
    cache.put("a", 1)
    clock.now = 10
    assert cache.get("a") is None
    assert len(cache) == 0


def test_cache_forgets_old():
    clock = Clock()
    cache = Cache(5, 10, clock)
    cache.put("a", 1)
    clock.now = 6
    cache.put("b", 2)
    clock.now = 12
    assert cache.forget_old() == 1
    assert cache.get("b") == 2


def test_settings_sections():
    text = "a = 1\n[Main]\nB = two\n"
    assert settings.parse(text) == {"": {"a": 1}, "Main": {"b": "two"}}


def test_settings_comments_and_blank_lines():
    assert settings.parse("# one\n\n; two\nx=1.5\n") == {"": {"x": 1.5}}


def test_settings_values():
    assert settings.convert("yes") is True
    assert settings.convert("1, 2,") == [1, 2]
    assert settings.convert('"1"') == "1"


def test_settings_mistake():
    with pytest.raises(settings.SettingsError, match="line 2"):
        settings.parse("a=1\nnonsense\n")


def test_settings_default_section():
    sections = settings.parse("a=1\n[x]\nb=2\n")
    assert settings.get(sections, "x", "a") == 1
    assert settings.get(sections, "x", "c", 9) == 9


def test_pack_fits():
    assert rooms.pack([4, 6, 6, 4], 10) == [[6, 4], [6, 4]]


def test_pack_refuses_what_is_too_large():
    with pytest.raises(ValueError, match="is more than"):
        rooms.pack([11], 10)


def test_most_at_once():
    assert rooms.most_at_once([(0, 10), (5, 15), (15, 20)]) == 2
    assert rooms.most_at_once([(0, 10), (10, 20)]) == 1


def test_assign():
    assert rooms.assign([(0, 10), (5, 15), (10, 20)], ["x", "y"]) == {(0, 10): "x", (5, 15): "y", (10, 20): "x"}


def test_assign_with_too_few_rooms():
    assert rooms.assign([(0, 10), (5, 15)], ["x"]) is None


def test_usage():
    assert rooms.usage({(0, 10): "x", (10, 30): "x", (0, 20): "y"}, (0, 40)) == {"x": 0.75, "y": 0.5}
