"""Draws images from a prompt: by a diffusion model, or as placeholders."""
