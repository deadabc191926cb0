"""The training loop, its state and log, and the test on whole clips."""
