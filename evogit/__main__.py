"""`python -m evogit`."""

from evogit.cli.main import main

main()
