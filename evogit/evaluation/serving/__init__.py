"""A server that imports once what all candidates use, and forks a child for each that calls the scoring function.

It runs beside the candidate's files, in their sandbox: the texts of these modules are handed to an interpreter, Python
3.8 or newer, with a plan in JSON. They know nothing of evogit, and import each other only.
"""
