"""The contenders, a file each: the class that the harness starts, and the program that produces or works."""
