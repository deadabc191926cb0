"""Prepared datasets on disk: format, writer, reader, checks, summaries, HDF5."""
