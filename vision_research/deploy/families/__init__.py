"""How detectors are exported, family by family: a file each, recognised by how its head decodes."""
