"""
What happened to a ticket, in words.

A kind of entry is a function in `kinds.py` that says what there is to say of a fact, and its
sentences in the texts. `reading.py` finds the facts, and the names of those they speak of.
"""
