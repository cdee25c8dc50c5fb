"""Image files and how to fetch them: shared by the kernel, the publisher and the sandbox."""
