"""How the file of each format is run: a module each, which imports that format's runtime and nothing else of ours.

Imports nothing itself: a process that checks an artifact imports one runner, and that import is the proof of what the
artifact needs.
"""
