"""Files beside images that belong to them: captions, masks and others of the same stem.

    stem_groups    which files belong together, by their names     open this first
    captions       matches captions with images, reads them, refuses links out of the dataset
    caption_table  captions in a topic's metadata.jsonl

Imports common/ only.
"""
