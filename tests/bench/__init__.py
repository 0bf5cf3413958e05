"""The figures that we promise, measured: ``make bench``, or ``python -m tests.bench [--only NAME] [--quick] [--long]``."""
