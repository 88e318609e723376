"""What three or more of the seven scripts share. Imports nothing else of this project.

A run:
    cli              the options of every script, and how a run starts and ends
    start            checks that this Python can run the script; scripts import it first
    signals          Ctrl-C, SIGTERM and SIGHUP; acts when imported
    errors           from an error to one line on stderr and an exit status
    said_before      what earlier scripts of a pipeline have warned of
    reporter         what a script prints: result, progress, warnings, unreadable images
    terminal         how text looks on a terminal: widths, wrapping, tables, numbers

A dataset:
    tree             finds the topics below given folders
    folder_walk      walks the folders, counts images and files that are not read
    run_scope        which images a run works on, and what the given folders were taken for
    topics           a topic: its folder, its images and their stamps
    image_formats    the table of image formats: to add one, add a row; which files are masks
    name_forms       names that differ in Unicode form alone: the exact spelling counts first

Files that the scripts leave in a dataset:
    json_files       the JSON files: where they are, and what is in them
    topic_scores     the scores of a topic, checked against its folder
    cache            .cache/images.json: image sizes, and what made the other files
    links            links that are not followed: of a .cache, and of sidecars

Writing safely:
    atomic_files     reads and replaces single files as a whole
    target_folder    the folder that a merge or an export fills, and nothing outside of it
    durability       makes files survive a power cut
    locks            locks of files that change together, and claims on topics

    clip/            CLIP: from image files to vectors, and from vectors to scores
"""
