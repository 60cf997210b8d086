"""COCO JSON: what is wrong with a file, and the maps of its panoptic annotations."""
