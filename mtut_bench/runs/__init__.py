"""From options to finished runs: identity, plans, execution, what lies on disk."""
