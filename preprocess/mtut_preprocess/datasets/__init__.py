"""One adapter per dataset, and a user's own recordings."""
