"""Methods and controls by name."""
