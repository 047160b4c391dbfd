"""How fast Deckwatch is beside its peers: `make bench`, or `python -m tests.bench NAMES…`.

No test asserts a time. Machines differ, so that a figure is measured together with its peer, and what
counts is the ratio.
"""
