"""Captions side by side, to pick, merge and edit."""
