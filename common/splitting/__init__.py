"""Which images of a topic train and validate.

    choice   the best of a topic for training and validation     open this first

Imports common/merging/, common/duplicates/, common/scores/, common/dataset/ and the ground floor: the standard
library, unless the size of an image must be read.
"""
