"""The sandbox's HTTP: the wire protocol, its pages, and what tests play with."""
