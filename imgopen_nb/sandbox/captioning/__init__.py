"""Describes an image in a sentence or in tags."""
