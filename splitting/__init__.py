"""Which images of a topic train and validate, and a folder that trainers open as it is.

    choice   the best of a topic for training and validation     open this first
    layout   where an export puts images and captions, and what trainers read beside them
    export   makes a folder equal to a layout, and leaves alone what it did not put there

Imports common/merging/, common/duplicates/, common/scores/, common/dataset/ and the ground floor: the standard
library, unless the size of an image must be read.
"""
