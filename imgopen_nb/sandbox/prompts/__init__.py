"""Expands prompts."""
