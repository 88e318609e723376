"""The scorer and the search on a Ray cluster; imported only with --ray.

client   runs functions and engines on many GPUs and machines     open this first
driver   the process that talks to Ray
worker   what runs on its machines
"""
