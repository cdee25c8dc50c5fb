"""Describes a picture in a sentence or in tags."""
