"""Recognises what is in a picture: objects, faces, poses, scenes, colours, edges."""
