"""What three or more of the seven scripts share. Imports nothing else of this project.

A run:
    cli              the options of every script, and how a run starts and ends
    start            checks that this Python can run the script; scripts import it first
    signals          Ctrl-C, SIGTERM and SIGHUP; acts when imported
    errors           from an error to one line on stderr and an exit status
    reporter         what a script prints: result, progress, warnings, unreadable images
    terminal         how text looks on a terminal: widths, wrapping, tables, numbers

A dataset:
    tree             finds the topics below given folders
    folder_walk      walks the folders, counts images and files that are not read
    given_levels     what the given folders were taken for, and what may be written above them
    topic_patterns   selects topics: --include and --exclude
    topics           a topic: its folder, its images and their stamps
    image_formats    the table of image formats: to add one, add a row
    image_identity   tells whether an image still is the one that the records know
    damage           which images are damaged, as scorer and search found them
    decode_errors    why an image could not be read, in words
    unread_content   sound images of kinds that are not read
    jpeg_stream      tells from its data whether a JPEG was cut
    images           opens images and reads their headers
    captions         matches captions and other sidecar files with images
    dataset_files    which files belong to a dataset, so that no output replaces them

Files that the scripts leave in a dataset:
    json_files       the JSON files: where they are, and what is in them
    topic_scores     the scores of a topic, checked against its folder
    topic_relations  the copies and variants of a topic, checked against its folder
    across_file      matches between topics
    decisions        what a person decided about images
    equal_images     large sets of equal images: a star in the file, every pair a match
    keepers          which of several matching images is kept
    connected        groups what matches connect, directly or through others
    keeper_order     the order in which they are kept, and the reason in words
    copy_order       the order of the copies of one picture, the original first
    worth            what each copy lost, in halvings of pixels
    worth_rules      the weights and thresholds of that
    copy_traits      what was measured of a copy, and how it is stored
    cache            .cache/images.json: image sizes, and what made the other files
    cache_link       a .cache that is a link: used only if it leads to a cache or an empty folder
    sidecar          .cache/NAME.npz: one row of arrays per image

Writing safely:
    atomic_files     reads and replaces single files as a whole
    target_folder    the folder that a merge or an export fills, and nothing outside of it
    durability       makes files survive a power cut
    locks            locks of files that change together, and claims on topics

    clip/            CLIP: from image files to vectors, and from vectors to scores
"""
