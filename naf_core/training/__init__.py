"""Teaching the field: procedural rooms, their traced responses, and the training loop."""
