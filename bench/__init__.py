"""The benchmark: how fast Postdate accepts, how late it sends, and what waiting costs, on the machine it runs on.

`python -m bench` (or `make bench`) measures and writes `bench/results/`; README.md says what and how.
"""
