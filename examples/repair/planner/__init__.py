"""A small planner of meeting rooms: intervals, dates, a cache, settings, and which room takes which meeting."""
