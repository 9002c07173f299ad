"""What was computed, as long as it is fresh and among the most recently used."""

from collections import OrderedDict


class Cache:
    """Keeps at most `size` values, each for `seconds`; the clock is given."""

    def __init__(self, size, seconds, clock):
        self.size = size
        self.seconds = seconds
        self.clock = clock
        self.hits = 0
        self.misses = 0
        self._values = OrderedDict()

    def get(self, key, default=None):
        """Return the value of a key, which counts as a use, or the default."""
        found = self._values.get(key)
        if found is None:
            self.misses += 1
            return default
        value, expires = found
        if self.clock() >= expires:
            del self._values[key]
            self.misses += 1
            return default
        self._values.move_to_end(key)
        self.hits += 1
        return value

    def put(self, key, value):
        """Keep a value; the least recently used one goes when there are too many."""
        self._values[key] = (value, self.clock() + self.seconds)
        self._values.move_to_end(key)
        while len(self._values) > self.size:
            self._values.popitem(last=False)

    def forget_old(self):
        """Drop what has expired and return how many that were."""
        now = self.clock()
        old = [key for key, (_, expires) in self._values.items() if now >= expires]
        for key in old:
            del self._values[key]
        return len(old)

    def __len__(self):
        return len(self._values)
