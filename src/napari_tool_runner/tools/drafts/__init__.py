"""New tools: what a script says of its options, and the descriptor that is made of it."""
