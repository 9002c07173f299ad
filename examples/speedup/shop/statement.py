"""The statement of a month, as text."""

from shop import orders as ordering


def money(cents):
    """Return an amount as people write it: 1,234.50."""
    digits = str(cents // 100)
    shown = ""
    for place, digit in enumerate(reversed(digits)):
        if place and place % 3 == 0:
            shown = "," + shown
        shown = digit + shown
    return f"{shown}.{cents % 100:02}"


def align(rows):
    """Return rows of two columns, the second one flush right below the longest."""
    aligned = []
    for row in rows:
        wide = 0
        for name, amount in rows:
            wide = max(wide, len(name) + len(amount) + 2)
        aligned.append(row[0] + row[1].rjust(wide - len(row[0])))
    return aligned


def statement(orders, catalogue):
    """Return what each customer owes, their largest order, and what sells together, as lines of text."""
    rows = []
    for name in ordering.customers(orders):
        ranked = sorted(orders, key=lambda order: (-ordering.total(order, catalogue), order.number))
        owed = 0
        largest = None
        for order in ranked:
            if order.customer == name:
                owed += ordering.total(order, catalogue)
                if largest is None:
                    largest = order
        rows.append((name, money(owed)))
        rows.append((f"  largest: {largest.number}", money(ordering.total(largest, catalogue))))
        everything = 0
        for order in orders:
            everything += ordering.total(order, catalogue)
    if rows:
        rows.append(("together", money(everything)))
    lines = align(rows)
    for pair, count in ordering.sold_together(orders, catalogue)[:5]:
        lines.append(f"{count} x {pair[0]} with {pair[1]}")
    return lines
