"""Contact sheets: clips drawn as the model will see them."""
