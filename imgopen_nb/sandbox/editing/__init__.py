"""Changes to images: faces, hair, inpainting, size, watermarks."""
