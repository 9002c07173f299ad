"""Tests that no candidate is scored by: they say whether a repair is one."""

import random
from datetime import date, timedelta
from itertools import pairwise

import pytest
from planner import dates, intervals, rooms, settings
from planner.cache import Cache


def minutes(found):
    return {minute for start, end in found for minute in range(start, end)}


@pytest.mark.parametrize("seed", range(20))
def test_intervals_are_sets_of_minutes(seed):
    rng = random.Random(seed)
    taken = [(start, start + rng.randint(1, 9)) for start in (rng.randint(0, 40) for _ in range(rng.randint(0, 7)))]
    merged = intervals.merge(taken)
    assert minutes(merged) == minutes(taken)
    assert all(one[1] < two[0] for one, two in pairwise(merged))
    assert intervals.total(taken) == len(minutes(taken))
    left = intervals.subtract((5, 35), taken)
    assert minutes(left) == set(range(5, 35)) - minutes(taken)
    assert all(start < end for start, end in left)
    gap = intervals.first_gap((5, 35), taken, 3)
    fitting = [start for start, end in left if end - start >= 3]
    assert gap == ((fitting[0], fitting[0] + 3) if fitting else None)


@pytest.mark.parametrize("seed", range(20))
def test_dates_agree_with_the_standard_library(seed):
    rng = random.Random(seed)
    known = date(1995, 1, 1) + timedelta(days=rng.randint(0, 15000))
    day = (known.year, known.month, known.day)
    assert dates.ordinal(day) == known.toordinal()
    assert dates.weekday(day) == known.weekday()
    after = known + timedelta(days=1)
    assert dates.next_day(day) == (after.year, after.month, after.day)
    later = known + timedelta(days=rng.randint(0, 60))
    days = [known + timedelta(days=n) for n in range((later - known).days + 1)]
    expected = sum(one.weekday() < 5 for one in days)
    assert dates.working_days(day, (later.year, later.month, later.day)) == expected


def test_add_months_everywhere():
    for months in range(-30, 31):
        year, month, day = dates.add_months((2023, 5, 31), months)
        assert year * 12 + month == 2023 * 12 + 5 + months
        assert 1 <= month <= 12
        assert day == min(31, dates.days_in(year, month))


@pytest.mark.parametrize("seed", range(10))
def test_cache_like_a_list_in_order_of_use(seed):
    rng, now = random.Random(seed), [0]
    cache, model = Cache(3, 20, lambda: now[0]), []
    for _ in range(200):
        now[0] += rng.randint(0, 3)
        key = rng.choice("abcdef")
        if rng.random() < 0.5:
            model = [one for one in model if one[0] != key] + [(key, now[0], now[0] + 20)]
            model = model[-3:]
            cache.put(key, now[0])
        else:
            found = next((one for one in model if one[0] == key), None)
            expected = found[1] if found and now[0] < found[2] else None
            if found:
                model = [one for one in model if one[0] != key] + ([found] if expected is not None else [])
            assert cache.get(key) == expected
        if rng.random() < 0.1:
            old = [one for one in model if now[0] >= one[2]]
            model = [one for one in model if now[0] < one[2]]
            assert cache.forget_old() == len(old)
        assert len(cache) == len(model)


def test_settings_more():
    text = 'x = on\n[ a ]\nList = 1, b , 2.5\n;c\n[b]\ny= = 2\n[ a ]\nz="q, r"x\n'
    assert settings.parse(text) == {
        "": {"x": True},
        "a": {"list": [1, "b", 2.5], "z": ['"q', 'r"x']},
        "b": {"y": "= 2"},
    }
    assert settings.parse("") == {"": {}}
    for wrong in ("=1", "[a", "b]", "   word"):
        with pytest.raises(settings.SettingsError):
            settings.parse(wrong)
    assert [settings.convert(one) for one in ("OFF", "no", "-3", "1e3", '"', "", '""')] == [
        False,
        False,
        -3,
        1000.0,
        '"',
        "",
        "",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_rooms(seed):
    rng = random.Random(seed)
    sizes = [rng.randint(1, 10) for _ in range(15)]
    groups = rooms.pack(sizes, 10)
    assert sorted(size for group in groups for size in group) == sorted(sizes)
    assert all(sum(group) <= 10 for group in groups)
    assert [group[0] for group in groups] == sorted((group[0] for group in groups), reverse=True)
    assert len(groups) <= sum(sizes) * 11 / 90 + 1
    meetings = list({(start, start + rng.randint(1, 9)) for start in rng.sample(range(50), 8)})
    most = max(sum(start <= minute < end for start, end in meetings) for minute in range(60))
    assert rooms.most_at_once(meetings) == most
    assert rooms.assign(meetings, list(range(most - 1))) is None
    assigned = rooms.assign(meetings, list(range(most)))
    assert set(assigned) == set(meetings)
    for one in meetings:
        for two in meetings:
            apart = one == two or assigned[one] != assigned[two] or one[1] <= two[0] or two[1] <= one[0]
            assert apart


def test_usage_of_a_day_that_begins_late():
    assert rooms.usage({(60, 90): "x"}, (30, 90)) == {"x": 0.5}
