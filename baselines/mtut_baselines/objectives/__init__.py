"""What networks are trained for together."""
