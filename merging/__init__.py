"""Merges several datasets into one: nothing is lost, every image is accounted for.

    merge              the merge as a whole: sources, plan, apply      open this first
    outside            files of the sources that are in no topic
    plan               what a merge is going to do, as data
    policy             the options of a merge, as data
    placing            gives the images of a topic their places in the target
    selection          which images of one source go to the target
    source_records     a source topic and what is known of it, read once
    exclusion          which images are dropped as copies or variants, and which are kept instead
    across_matches     which matches in other topics count
    unreadable         which images cannot be taken, or are damaged
    target_places      where topics go in the target, and which of them join there
    target             one topic of the target: its files, and the places earlier merges gave
    origins            where images of a source came from that an earlier merge made
    search_links       a folder of links, in which datasets are searched together
    naming             which names are taken, what a renamed image is called
    copying            fills the target with files: checks, a lock, several transfers at once
    transfer           puts one file in its place, as a whole or not at all
    manifest           merge_manifest.jsonl: for each image its place, or why it was dropped
    scores_carry       scores, and what made them, in the target
    originality_carry  what was measured of copies, in the target
    source_captions    captions of dropped copies, and of images in metadata.jsonl
    captions_carry     the caption of a dropped copy goes to its keeper
    sidecars_carry     masks and others of a dropped copy go to its keeper, if pixels are equal
    decisions_carry    a person's decisions, in the target
    summary            the result of a merge, as data and as lines for people

Needs only the standard library, unless the size of an image must be read.
"""
