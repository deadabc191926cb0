"""What numbers may stand together, intervals, paired tests."""
