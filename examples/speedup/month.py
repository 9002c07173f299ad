"""The work whose executed lines are the score: a month of a shop, and that it comes out as it did."""

import random
import zlib

from shop.catalogue import Catalogue, Product
from shop.orders import Order
from shop.statement import statement

RIGHT = 3371454344


def shop(seed, products, names, orders):
    """Return the orders of a month and the catalogue, drawn at random."""
    rng = random.Random(seed)
    groups = ["food", "print", "other", "wine"]
    rates = [(rng.choice(groups), rng.randint(3, 25)) for _ in range(5)]
    listed = [
        Product(f"p{number}", f"Product {number}", rng.randint(50, 9000), rng.choice(groups))
        for number in range(products)
    ]
    people = [f"{rng.choice('aBcDeF')}{number}" for number in range(names)]
    month = []
    for number in range(orders):
        lines = tuple(
            (f"p{rng.randrange(products + 2)}", rng.choice((0, 1, 1, 2, 3, 5))) for _ in range(rng.randint(0, 7))
        )
        month.append(Order(number, rng.choice(people), lines))
    rng.shuffle(month)
    return month, Catalogue(listed, rates)


if __name__ == "__main__":
    text = "\n".join(statement(*shop(1, 6, 8, 13)))
    found = zlib.crc32(text.encode())
    assert found == RIGHT, found
