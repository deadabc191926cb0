"""What is computed from frames: optical flow, other sizes, streams for prediction."""
