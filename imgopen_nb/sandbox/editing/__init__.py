"""Changes to pictures: faces, hair, inpainting, size, watermarks."""
