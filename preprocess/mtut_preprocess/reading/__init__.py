"""Frames of videos and image folders, and their pairing in time."""
