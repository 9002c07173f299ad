"""Orders: who wants what, and what that comes to."""

from collections import namedtuple

Order = namedtuple("Order", "number customer lines")  # lines: ((code, count), …)


def total(order, catalogue):
    """Return what an order costs, in cents; above 100.00 a tenth of the rest is taken off."""
    amount = 0
    for code, count in order.lines:
        amount += catalogue.gross(code, count)
    if amount > 10000:
        amount -= (amount - 10000) // 10
    return amount


def customers(orders):
    """Return the customers by name, each once."""
    names = []
    for order in orders:
        known = False
        for name in names:
            if name == order.customer:
                known = True
        if not known:
            names.append(order.customer)
        names.sort(key=lambda name: name.lower())
    return names


def sold_together(orders, catalogue):
    """Return the pairs of known products that stand on one order, with how often, the most frequent first."""
    counts = {}
    for order in orders:
        codes = sorted({code for code, count in order.lines if count > 0})
        for i in range(len(codes)):
            for j in range(len(codes)):
                first = catalogue.find(codes[i])
                second = catalogue.find(codes[j])
                if i < j and first is not None and second is not None:
                    pair = (first.name, second.name)
                    counts[pair] = counts.get(pair, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
