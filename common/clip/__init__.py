"""CLIP: from image files to vectors, and from vectors to scores.

    model           which model is meant; needs no torch                open this first
    options         the options that choose a model and how it runs
    weights         finds or downloads the weights
    preprocessing   resizes and crops images as the model wants them
    gpu_decoding    decodes JPEGs on the GPU (--decode gpu)
    tower_shape     what an image tower expects and gives
    encoder         the image tower, through open_clip: pixels to vectors
    half_precision  makes a tower in half precision faster
    engine          a model at work: parallel decoding, batches, device memory
    embed           embeds many topics, resumable to the image
    sidecar         .cache/NAME.npz: one row of arrays per image
    npz             such files, read and written
    heads           the linear layer that turns a vector into a score
    scorers         the named heads, one row each
    score_state     which scores of a topic are kept, pending or foreign
    score_summary   what a run of the scorer adds up to
    tensors         reads a file of plain tensors
    gpu_similarity  cosine similarities on a device
    worker_limits   limits of memory, files and processes that make workers hang
    ray/            the same work on many GPUs and machines
    models/         the weights of the embedded tiny model

Imports common/ and imaging/ only. Nothing outside of this package imports torch, except the network
in duplicates/effnet.py.
"""
