"""What a picture shows, as a sentence and as tags."""
