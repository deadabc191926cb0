"""What core and methods agree on: types, methods, protocols, folds, predictions."""
