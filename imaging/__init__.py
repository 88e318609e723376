"""Single image files: opens them, and says why one cannot be read.

    images           opens images and reads their headers              open this first
    decode_errors    why an image could not be read, in words
    unread_content   sound images of kinds that are not read
    jpeg_stream      tells from its data whether a JPEG was cut
    damage           which images are damaged, as scorer and search found them

Imports common/ only. Nothing outside of this package decodes a file by itself, except a GPU.
"""
