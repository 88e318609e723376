"""Chooses which images of a topic train and validate, and exports them for trainers.

    choice      chooses the best of each topic for training and validation      open this first
    candidates  the images of one topic that may be chosen, and how they rank
    loading     loads them, and says why the others may not be chosen
    unclean     screenshots, memes, frames and crops of images that may be chosen
    options     the options of split_data.py
    chains      chains of copies and variants between images
    earlier_split  how a split differs from the one that it replaces
    left_out    some of the others, for the page
    copy_captions  captions of copies, for images without one
    layout      where an export puts images and captions, and what it writes for trainers
    trainer_files  metadata.jsonl and kohya.toml
    export      makes a folder equal to a layout, and leaves alone what it did not put there
    export_manifest  what exports put there, and whether it is still that
    kept_files  files of earlier exports that stay because their sources were not seen
    export_check  what is wrong with a finished export: an image in both sets, a missing folder
    summary     the result of a split, as data and as lines for people

Needs only the standard library, unless the size of an image must be read.
"""
