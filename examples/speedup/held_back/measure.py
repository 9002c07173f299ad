"""Shops that no candidate is scored by: whether `shop/` still says what a plain program of its own says, and the lines
it executes for that. `python held_back/measure.py`
"""

import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from month import shop as drawn  # noqa: E402
from shop.catalogue import Catalogue, Product  # noqa: E402
from shop.orders import Order, customers, sold_together, total  # noqa: E402
from shop.statement import align, money, statement  # noqa: E402


class Plain:
    """The same month, written by somebody else: tables that are made once, and nothing that is done twice."""

    def __init__(self, orders, catalogue):
        self.orders = orders
        self.rates = dict(catalogue.rates)
        self.products = {product.code: product for product in reversed(catalogue.products)}
        self.totals = {order.number: self.total(order) for order in orders}

    def gross(self, code, count):
        product = self.products.get(code)
        return product.price * count * (100 + self.rates.get(product.group, 0)) // 100 if product else 0

    def total(self, order):
        amount = sum(self.gross(code, count) for code, count in order.lines)
        return amount - max(0, amount - 10000) // 10

    def customers(self):
        first = list(dict.fromkeys(order.customer for order in self.orders))
        return sorted(first, key=str.lower)

    def pairs(self):
        counts = {}
        for order in self.orders:
            codes = sorted({code for code, count in order.lines if count > 0} & self.products.keys())
            names = [self.products[code].name for code in codes]
            for at, first in enumerate(names):
                for second in names[at + 1 :]:
                    counts[first, second] = counts.get((first, second), 0) + 1
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def statement(self):
        rows = []
        for name in self.customers():
            own = [order for order in self.orders if order.customer == name]
            largest = max(own, key=lambda order: (self.totals[order.number], -order.number))
            rows.append((name, f"{sum(self.totals[order.number] for order in own) / 100:,.2f}"))
            rows.append((f"  largest: {largest.number}", f"{self.totals[largest.number] / 100:,.2f}"))
        if rows:
            rows.append(("together", f"{sum(self.totals.values()) / 100:,.2f}"))
        wide = max((len(name) + len(amount) + 2 for name, amount in rows), default=0)
        lines = [name + amount.rjust(wide - len(name)) for name, amount in rows]
        return lines + [f"{count} x {first} with {second}" for (first, second), count in self.pairs()[:5]]


def wrong(orders, catalogue):
    """Return what of a month comes out otherwise than it should."""
    plain = Plain(orders, catalogue)
    groups = ["food", "print", "other", "wine", "none"]
    codes = [product.code for product in catalogue.products] + ["none"]
    found = {
        "statement": statement(orders, catalogue) == plain.statement(),
        "customers": customers(orders) == plain.customers(),
        "sold_together": sold_together(orders, catalogue) == plain.pairs(),
        "total": all(total(order, catalogue) == plain.totals[order.number] for order in orders),
        "rate": all(catalogue.rate(group) == plain.rates.get(group, 0) for group in groups),
        "find": all(catalogue.find(code) == plain.products.get(code) for code in codes),
        "gross": all(catalogue.gross(code, 7) == plain.gross(code, 7) for code in codes),
    }
    return [name for name, is_right in found.items() if not is_right]


def odd():
    """Yield months of which each has something the others have not."""
    products = [Product("x", "Xylophone", 1, "food"), Product("x", "Other", 9, "food"), Product("y", "Yeast", 99, "w")]
    rates = [("food", 7), ("food", 19), ("food", 7)]
    yield [], Catalogue(products, rates)
    yield [Order(1, "ann", (("x", 1), ("y", 1), ("x", 1)))], Catalogue(products, rates)
    yield [Order(2, "Ann", (("y", 10**6),)), Order(1, "ann", (("x", 0), ("y", 2)))], Catalogue(products, [])
    yield [Order(2, "b", (("y", 2),)), Order(1, "b", (("y", 2),)), Order(3, "b", ())], Catalogue(products, rates[:2])
    yield [Order(1, "a", (("none", 5),)), Order(2, "a", ())], Catalogue([], [])


def counted(work):
    """Return what `work` returns, and the lines of `shop/` it executes."""
    folder, count = str(HERE / "shop"), 0

    def on_line(frame, event, argument):
        nonlocal count
        count += event == "line"
        return on_line

    def on_call(frame, event, argument):
        return on_line if frame.f_code.co_filename.startswith(folder) else None

    sys.settrace(on_call)
    try:
        return work(), count
    finally:
        sys.settrace(None)


if __name__ == "__main__":
    rng = random.Random(77)
    sizes = [(rng.randint(5, 40), rng.randint(1, 20), rng.randint(1, 60)) for _ in range(12)]
    faults = {name for month in odd() for name in wrong(*month)}
    lines = 0
    for seed, (products, names, orders) in enumerate(sizes, 1000):
        month = drawn(seed, products, names, orders)
        faults.update(wrong(*month))
        lines += counted(lambda month=month: statement(*month))[1]
    amounts = [rng.randrange(10**digits) for digits in range(1, 12)]
    faults.update(["money"] if any(money(one) != f"{one // 100:,}.{one % 100:02}" for one in amounts) else [])
    faults.update(["align"] if align([("", ""), ("ab", "c")]) != ["     ", "ab  c"] else [])
    print("wrong: " + ", ".join(sorted(faults)) if faults else "all right", f"{lines} lines", sep=", ")
    sys.exit(bool(faults))
