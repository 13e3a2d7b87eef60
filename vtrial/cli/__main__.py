"""`python -m vtrial.cli`: the command line without an installed script."""

from vtrial.cli.app import main

main()
