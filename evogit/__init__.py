"""Evolve code with Git alone."""
