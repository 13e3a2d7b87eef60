"""`python -m vtrial.cli.app`."""

from vtrial.cli.app import main

main()
