"""Prompts made longer."""
