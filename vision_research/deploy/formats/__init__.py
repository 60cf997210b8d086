"""The formats of exported models: a folder each, with its entry, its writer and its runner."""
