"""Export: writes a trained detector as a file that needs nothing but its runtime. See README.md in this folder.

Imports nothing: the consumer process, which proves what a file needs, imports this package.
"""
