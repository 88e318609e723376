"""What lies in a dataset folder, and how it is read and written.

    tree      topics and images, by name and file type        open this first
    records   the JSON files that scripts leave in a tree: written whole or not at all
    cache     .cache/images.json: sizes as read, what made the scores and the duplicates file
    locks     keeps two runs apart while one changes what both read
    claims    who works on a topic: two runs at once share the work
    sidecar   .cache/NAME.npz: arrays with a row for each image            (numpy)
    images    opens an image file, whatever it holds                       (Pillow)
    captions  which files of a topic belong together: images of one stem, their captions and other sidecars
    checks    what a trainer will trip over
    census    counts, formats and sizes of the images of a dataset         (Pillow)

Imports the ground floor of common/ alone, nothing of torch.
"""
