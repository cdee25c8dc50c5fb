"""The sandbox's HTTP: the wire protocol, its pages, and routes for tests."""
