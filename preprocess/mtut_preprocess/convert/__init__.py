"""Raw recordings to a store."""
