"""`python -m atb`: the command line, where the script `atb` is not on the path."""

from atb.cli import main

main(prog_name="atb")
