"""The contenders: each file has the class that the harness starts, and the producer and worker programs."""
