"""Proposal generation (RPN)."""
