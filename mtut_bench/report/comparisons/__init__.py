"""Methods against each other, a user's predictions, clips that networks get wrong."""
