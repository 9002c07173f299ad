"""Dates as `(year, month, day)`."""

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year):
    """Whether the year has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in(year, month):
    """Return the number of days of a month."""
    if month == 2 and is_leap(year):
        return 29
    return DAYS[month - 1]


def add_months(date, months):
    """Return the date that many months later; the day is cut to the last one of the month."""
    year, month, day = date
    count = year * 12 + month - 1 + months
    year, month = count // 12, count % 12 + 1
    return (year, month, min(day, days_in(year, month)))


def ordinal(date):
    """Return the number of the day, counted from 1 on 1 January of the year 1."""
    year, month, day = date
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400
    for earlier in range(1, month):
        days += days_in(year, earlier)
    return days + day


def weekday(date):
    """Return 0 for a Monday to 6 for a Sunday."""
    return (ordinal(date) - 1) % 7


def next_day(date):
    """Return the day after."""
    year, month, day = date
    if day < days_in(year, month):
        return (year, month, day + 1)
    return add_months((year, month, 1), 1)


def working_days(first, last, holidays=()):
    """Return how many days from first to last, both counted, are no weekend and no holiday."""
    count = 0
    current = first
    while current <= last:
        if weekday(current) < 5 and current not in holidays:
            count += 1
        current = next_day(current)
    return count
