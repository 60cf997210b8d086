"""How the file of each format is written: a module each. What a format needs installed is imported within functions."""
