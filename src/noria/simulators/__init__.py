"""Faithful vendor servers with faults on demand: programs of their own that know nothing of noria."""
