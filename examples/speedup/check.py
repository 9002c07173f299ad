"""The tests, which are the gate: what is faster and wrong gets no score."""

from shop.catalogue import Catalogue, Product
from shop.orders import Order, customers, sold_together, total
from shop.statement import align, money, statement

PRODUCTS = [
    Product("a1", "Apples", 250, "food"),
    Product("b2", "Books", 1990, "print"),
    Product("c3", "Chairs", 8900, "other"),
    Product("a1", "Apples of last year", 100, "food"),
]
RATES = [("food", 7), ("other", 16), ("print", 7), ("other", 19)]
ORDERS = [
    Order(1, "Moe", (("a1", 4), ("b2", 1))),
    Order(2, "ada", (("c3", 2), ("a1", 1), ("zz", 9))),
    Order(3, "Moe", (("b2", 1), ("a1", 2), ("b2", 2))),
    Order(4, "Zoe", ()),
    Order(5, "ada", (("b2", 1), ("a1", 1), ("c3", 0))),
]
STATEMENT = """\
ada           227.01
  largest: 2  203.05
Moe           101.21
  largest: 3   69.22
Zoe             0.00
  largest: 4    0.00
together      328.22
3 x Apples with Books
1 x Apples with Chairs"""


def check_catalogue():
    catalogue = Catalogue(PRODUCTS, RATES)
    assert catalogue.find("a1") == PRODUCTS[0]
    assert catalogue.find("zz") is None
    assert Catalogue([], RATES).find("a1") is None
    assert [catalogue.rate(group) for group in ("food", "other", "none")] == [7, 19, 0]
    assert [catalogue.gross(code, 3) for code in ("a1", "b2", "c3", "zz")] == [802, 6387, 31773, 0]
    assert [catalogue.gross("a1", count) for count in (0, 1, 2)] == [0, 267, 535]
    assert Catalogue(PRODUCTS, []).gross("b2", 3) == 5970


def check_orders():
    catalogue = Catalogue(PRODUCTS, RATES)
    assert [total(order, catalogue) for order in ORDERS] == [3199, 20305, 6922, 0, 2396]
    assert [total(order, Catalogue(PRODUCTS, [])) for order in ORDERS[:2]] == [2990, 17245]
    assert customers(ORDERS) == ["ada", "Moe", "Zoe"]
    assert customers(ORDERS[::-1]) == ["ada", "Moe", "Zoe"]
    assert customers([]) == []
    assert sold_together(ORDERS, catalogue) == [(("Apples", "Books"), 3), (("Apples", "Chairs"), 1)]
    three = [Order(6, "Moe", (("c3", 1), ("b2", 1), ("a1", 1)))]
    assert [pair for pair, _ in sold_together(three, catalogue)] == [
        ("Apples", "Books"),
        ("Apples", "Chairs"),
        ("Books", "Chairs"),
    ]


def check_statement():
    assert [money(cents) for cents in (0, 5, 99999, 100000, 123456789)] == [
        "0.00",
        "0.05",
        "999.99",
        "1,000.00",
        "1,234,567.89",
    ]
    assert align([]) == []
    assert align([("a", "bb"), ("ccc", "d"), ("", "e")]) == ["a   bb", "ccc  d", "     e"]
    catalogue = Catalogue(PRODUCTS, RATES)
    assert statement(ORDERS, catalogue) == STATEMENT.splitlines()
    assert statement(ORDERS[:1], catalogue)[:2] == ["Moe           31.99", "  largest: 1  31.99"]
    assert statement([], catalogue) == []
    same = [Order(9, "Moe", (("a1", 1),)), Order(8, "Moe", (("a1", 1),))]
    assert statement(same, catalogue)[1] == "  largest: 8  2.67"


if __name__ == "__main__":
    check_catalogue()
    check_orders()
    check_statement()
