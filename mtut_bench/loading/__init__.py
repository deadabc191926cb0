"""From stored bytes to network input: draws, windows, crops, batches."""
