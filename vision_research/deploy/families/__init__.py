"""How detectors are exported: a module for each family, which is recognised by how its head decodes."""
