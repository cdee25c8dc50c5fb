"""Pictures as people hand them in, as thumbnails, and as files from elsewhere."""
