"""Measured speeds beside baselines of the same run."""
