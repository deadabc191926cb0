"""Rows of finished runs, which of them are comparable, intervals, paired tests."""
