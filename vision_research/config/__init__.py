"""The configuration that a user writes: composing, typing and checking it."""
