"""What the shop sells, and the tax on it."""

from collections import namedtuple

Product = namedtuple("Product", "code name price group")


class Catalogue:
    """Products in the order of the price list, and tax rates; of several for a group the last one holds."""

    def __init__(self, products, rates):
        self.products = list(products)
        self.rates = list(rates)

    def find(self, code):
        """Return the product with that code, or None."""
        for product in self.products:
            if product.code == code:
                return product
        return None

    def rate(self, group):
        """Return the tax of a group in per cent: the last one that was agreed on, or 0."""
        rate = 0
        for name, percent in self.rates:
            if name == group:
                rate = percent
        return rate

    def gross(self, code, count):
        """Return what so many of a product cost with tax, in cents, rounded down; nothing for an unknown one."""
        product = self.find(code)
        if product is None:
            return 0
        return product.price * count * (100 + self.rate(product.group)) // 100
