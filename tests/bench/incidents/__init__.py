"""The bench's traffic, declared as any incident is: run through the same catalog, workers and record as theirs.

FLASHCROWD_LOADTESTS=tests/bench/incidents flashcrowd run select-by-key
"""
