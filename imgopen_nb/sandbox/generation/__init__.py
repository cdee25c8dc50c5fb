"""Pictures drawn from a prompt: by a diffusion model, or as a placeholder."""
