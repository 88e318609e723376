"""Single image files: opens them, and says why one cannot be read.

    images           opens images and reads their headers              open this first
    whole_jpegs      loads all pixels, and tells a JPEG that lacks some
    jpeg_stream      tells from its data whether a JPEG was cut
    pixels           pixels upright, on white, in 8 bits, in strips
    exif             orientation and date
    decode_errors    why an image could not be read, in words
    unread_content   sound images of kinds that are not read
    image_identity   tells whether an image still is the one that the records know
    damage           which images are damaged, as scorer and search found them

Imports common/ only. Nothing outside of this package decodes a file by itself, except a GPU.
"""
