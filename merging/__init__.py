"""Several datasets into one: nothing lost, every image accounted for.

    merge      the merge as a whole: sources, plan, apply     open this first
    placing    the plan of one topic: what becomes of the images of all its sources
    leaving    which images of a source are left out, and which others stand for them
    target     one topic of the target: what lies there, and what earlier merges promised
    naming     which names are taken, what a renamed image is called
    copying    brings planned files to their places, each whole or not at all
    manifest   merge_manifest.jsonl: for every image where it went, or why it was left out
    carried    scores and what made them travel along
    deciding   a person's decisions travel along

Imports common/duplicates/, common/scores/, common/dataset/ and the ground floor: the standard library, unless the
size of an image must be read.
"""
