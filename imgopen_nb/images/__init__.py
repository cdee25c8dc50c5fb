"""Images: from any source, downloaded, identified, cached, and as thumbnails."""
