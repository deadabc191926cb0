"""Speed beside bare calls of the same run."""
