"""Handwritten digits on crops of photographs, from which the embedded data sets are generated.

`scenes` generates images and videos of digits from seeds, and `maker` makes a data set once and as a whole. `images`
specifies the plain data set; those of other tasks and feeds are specified in their folders. Only `scenes` and
`rendering` import numpy, OpenCV and scikit-learn, and the others import these two only when something is made.
"""
