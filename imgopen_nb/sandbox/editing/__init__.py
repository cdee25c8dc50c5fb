"""What changes a picture: faces, hair, masks, size, watermarks."""
