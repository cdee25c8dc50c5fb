"""The version of the package: told to servers, and part of what a sandbox result came from."""

__version__ = "0.1.0"
