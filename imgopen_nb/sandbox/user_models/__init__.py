"""A user's own ONNX models for describe."""
