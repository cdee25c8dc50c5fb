"""What Img Open offers: the 30 operations as data, their parameters and their states."""
