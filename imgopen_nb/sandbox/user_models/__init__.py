"""ONNX models of the user's own for describe."""
