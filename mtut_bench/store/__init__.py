"""Prepared datasets on disk: format, attributes, writer, reader, checks, summaries, HDF5."""
