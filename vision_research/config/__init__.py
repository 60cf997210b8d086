"""What a person writes, typed, checked and lowered to one MMEngine config."""
