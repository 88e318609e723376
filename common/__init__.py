"""What the seven scripts share: a ground floor, and rooms above it that import downwards only.

cli  output  errors  disk  text  stats     the ground floor: command line, printing, endings, power cuts, words, numbers
dataset/      what lies in a dataset folder
vectors/      from image files to vectors
scores/       from vectors to scores, and what they say
duplicates/   which images are copies of which, and who stays
merging/      several datasets into one
splitting/    which images of a topic train and validate, and a folder that trainers open
pages/        HTML pages
models/tiny/  an embedded model that needs no download
"""
