"""The formats of exported models: their entries, and a folder each with its writer and its runner."""
