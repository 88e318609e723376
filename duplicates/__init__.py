"""Finds images that are copies or variants of each other, and writes what it finds.

The search: propose pairs, verify them, find variants, write. In the order of these steps:

    search             the search within topics; open this first
    options            the command-line options of the search
    proposers          the two ways to propose pairs: by perceptual hash, by CLIP vector
    hashing            from image files to hash rows, in parallel
    equal_files        files with the same bytes, of which only one is decoded
    hash_rows          the perceptual hash of an image, its thumbnail and colours
    neighbours         exact search for all pairs of close hashes or vectors
    candidate_pairs    pairs worth verifying, by hash, embedding, thumbnail or family
    equal_sets         sets of images with the same bytes or pixels, searched as one
    full_pixels        the digest of all pixels of an image
    verification       verifies each proposed pair once, in parallel: two looks
    pair_looks         the two looks at pairs, and what follows from them in large sets
    copy_sets          pairs that may be copies, as sets that are confirmed together
    variants           the search for variants, once the copies are known
    shared_words       features that two images have in common, one perhaps inside the other
    representatives    which images represent their copies in that search
    embeddings         embeddings and thumbnails of the representatives, in a sidecar
    effnet             the network that computes the embeddings
    copy_measurement   measures images that have copies, each once
    originality        what one copy of a picture still holds
    jpeg_past          the JPEG that its pixels once were
    picture_pairs      what a copy shows beside another: a mark, a mosaic, a frame
    results            the matches of a topic, grouped by image and written
    partial_topics     topics of which --include and --exclude select some images
    search_across      the search between topics, and against reference folders
    references         reference folders: images that must not be in a dataset
    image_table        the images of several topics in one table
    across_results     what the search across topics found, written and counted
    one_thread         small matrix products in one thread
    heap               freed memory that is used again
    pool               parallel processes, on this machine or others

The first look at a pair:

    classification     from two images to copy, a kind of variant, doubtful or nothing
    copy_rules         the first look: the rules that decide whether two images may be copies
    clean_side         which of two variants is clean
    agreement          how far two aligned images agree
    aligned_pair       what the rules for variants are asked about
    variant_rules      the rules that decide which kind of variant they are, in order
    border_rules       of these, the ones about what is around an image
    thresholds         every number in these rules, with its unit and source
    pair_measurement   what is measured of two images, aligned as copies or as variants
    comparison         measurements of two aligned images, cell by cell
    cells              what is counted and correlated in these cells
    colours            how the colours of the cells differ
    inverted           compares an image with the negative of another
    lettering          text laid across an image: what it adds, and what it leaves
    perspective        compares an image with a photo of it, taken at an angle
    shared_part        the part of an image that another one shows
    surroundings       what is around one image in another: a frame, a caption, or more of it
    corners            corners that are cut off
    soft_detail        what both show where no grain reaches
    alignment          how one image may lie on another: by features or rotations
    features           SIFT features of an image
    template_search    the same where there are few features: one image searched for in another
    registration       refines an alignment
    geometry           affine maps between two images
    raster             the pixels of an image, resized and warped as often as needed
    thumbnails         small images for all this, read in parallel

The second look, at full detail, at pairs that may be copies:

    second_looks       confirms the pairs of a set, each image decoded once
    confirmation       from two images at full detail to a copy or not, by rules in order
    confirmation_limits  every number in these rules
    small_drawings     icons, and emblems in thumbnails, compared by pixels
    differences        what is left between two images at full detail
    full_images        images at full detail: frames, transparency, deep samples
    full_registration  registers one on the other, to a fraction of a pixel
    full_tones         matches their tones and sharpness
    full_colours       how their colours relate: light, tone, or another product
    window_likeness    how alike their details are, in small windows; for both looks
    residuals          what is left then, octave by octave
    changed_places     where that is other content

    explain            what is measured of two files, and which rule decides, for people

Imports common/, imaging/, keeping/ and common/clip/ only.
"""
