"""Which images are copies or variants of which, and who of them stays.

    settling       one topic after the other: looked at, sorted out, written                   open this first
    matching       what was seen in a topic, sorted out by image and written
    hashing        from image files to fingerprints, in parallel
    fingerprints   what an image looks like in 1.2 kB: proposes, and rules most strangers out  (Pillow, numpy)
    neighbours     exact search: all pairs of close hashes or vectors                          (numpy, faiss)
    methods        which pairs hashes or vectors propose
    proposals      which pairs are worth a close look
    looking        looks at each of them, once
    pictures       small pictures for that, read in parallel                                   (Pillow)
    variants       the search for variants, once the copies are known
    look           two pictures laid on each other and compared cell by cell                   (Pillow, numpy)
    alignment      how one picture may lie upon another                                        (OpenCV)
    verdict        from what is seen to copy, variant, doubtful or nothing
    explaining     what is measured of two files, for people
    pool           parallel processes
    options        how to search, as the command line says it
    decisions      what a person decided, above every rule; standard library alone
    across         what a dataset's file says of matches between topics, and with references
    crossing       the search across topics and against reference folders                      (numpy)
    references     folders of images that must not be in a dataset
    counting       how many copies and variants there are
    keepers        the one rule of who stays; needs the standard library alone

Imports common/vectors/, common/dataset/ and the ground floor.
"""
