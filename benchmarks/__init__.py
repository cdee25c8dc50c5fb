"""Measures what imgopen_nb costs: `make bench` runs everything and rewrites RESULTS.md."""
