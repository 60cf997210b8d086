"""Draws curves of a threshold search, objects on images, and contact sheets."""
