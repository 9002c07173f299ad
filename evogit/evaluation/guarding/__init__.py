"""What runs around pytest, in its process.

The texts of these modules are handed to the user's Python; they import each other and pytest only.
"""
