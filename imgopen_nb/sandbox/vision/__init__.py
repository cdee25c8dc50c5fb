"""What is seen in a picture: objects, faces, poses, scenes, colours, edges."""
