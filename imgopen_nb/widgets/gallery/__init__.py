"""Images as a grid of any size, to search and to choose from."""
