"""Structural edits of code without a model: `languages` and `syntax` find the places, the rest what may stand there."""
