"""The benchmark: Deckwatch's speed compared with peers. Run `make bench` or `python -m tests.bench NAMES…`.

No test asserts a time. Machines differ in speed, so most figures are measured together with a peer and
judged by the ratio of the two.
"""
