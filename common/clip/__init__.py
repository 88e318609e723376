"""From image files to vectors: the one room that knows torch.

    model      which model is meant; answers without torch     open this first
    towers     image towers through open_clip: their weights, and pixels to vectors
    engine     a model at work: parallel decoding, batches, a device's memory
    embed      many topics through an engine, resumable to the image
    fleet      an engine, and any function, at work on many GPUs and machines, by Ray
    driver     the process that talks to Ray, and what runs on the machines
    likeness   what a picture shows, by a small network of its own: proposes variants
    tensors    reads a file of plain tensors
    products   cosine similarities on a device

Imports common/dataset/ and the ground floor.
"""
