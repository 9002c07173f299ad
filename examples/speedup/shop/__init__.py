"""A small shop's month: what was ordered, what each customer owes, and what sells together."""
