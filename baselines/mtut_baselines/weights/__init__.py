"""Published weights: download, convert, place, check."""
