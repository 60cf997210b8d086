"""Storage back ends of `mmengine.fileio`: how bytes reach a disk or an object store (README.md in this folder)."""
