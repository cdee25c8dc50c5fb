"""Draws pictures from a prompt: by a diffusion model, or as placeholders."""
