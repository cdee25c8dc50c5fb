"""The Jupyter Server extension: takes callbacks, serves local images and the sandbox's page."""
