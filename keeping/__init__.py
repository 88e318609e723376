"""Which of several matching images is kept: the one rule of all scripts, and what it goes by.

    keepers          chooses the redundant images of a topic, each with its keeper; open this first
    kept_images      the images kept so far, and which of them the next one matches
    keeper_order     the order in which they are kept, and the reason in words
    preference       --prefer: largest, oldest, newest or first instead of best
    directions       which of two variants is clean
    kin_order        the order of mirrored, turned and recoloured versions
    copy_order       the order of the copies of one picture, the original first
    enlargements     whether one copy is an enlargement of another
    worth            what each copy lost, in halvings of pixels
    worth_rules      the weights and thresholds of that
    copy_traits      what was measured of a copy, and how it is stored
    kind_names       names of kinds that the files of matches cannot hold
    pair_sections    sections of .cache/pairs.json: a text for each pair
    pair_records     .cache/pairs.json: how alike the images of each pair are
    decisions        what a person decided about images
    decision_files   files of decisions that a person gives: read, checked and added
    topic_relations  the copies and variants of a topic, checked against its folder
    across_file      matches between topics
    equal_images     large sets of equal images: a star in the file, every pair a match
    connected        groups what matches connect, directly or through others

Imports common/ and imaging/ only, and loads nothing heavy unless the size of an image must be read.
"""
