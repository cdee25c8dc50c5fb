"""Recognises what is in an image: objects, faces, poses, scenes, colours, edges."""
