"""What imgopen_nb costs, measured: `make bench` runs everything and rewrites RESULTS.md."""
