"""atb: a crypto-trading research workbench whose live runner trades exactly what was tested.

Importing this package loads nothing heavy: start-up time is a feature of the command line and the runner. Its modules run from
their sources alone, see `atb.sources`.
"""

from atb.sources import install

__version__ = "0.1.0"
install()
del install
