"""I3D, C3D, and recomputation of activations."""
