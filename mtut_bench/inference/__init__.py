"""Trained networks on new recordings, and exported."""
