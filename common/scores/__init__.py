"""From vectors to scores, and what they say.

    scorers    the heads that have a name: a row each
    heads      the linear layer that turns a vector into a score
    owed       which scores of a topic stand, which are owed, which are somebody else's     open this first
    standing   a topic's scores held against its folder, for those who only read them
    ranking    medians of topics, best and worst of each subcluster

Imports common/vectors/, common/dataset/ and the ground floor; torch only through the former, when it has to.
"""
