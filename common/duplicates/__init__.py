"""Which images are copies of which, and who of them stays.

    matching       the matches within a topic: found, confirmed, written     open this first
    hashing        from image files to fingerprints, in parallel processes
    fingerprints   what an image looks like in 1.2 kB, and whether two are the same picture   (Pillow, numpy)
    neighbours     exact search: all pairs of close hashes or vectors                         (numpy, faiss)
    keepers        the one rule of who stays; needs the standard library alone

Imports common/vectors/, common/dataset/ and the ground floor.
"""
