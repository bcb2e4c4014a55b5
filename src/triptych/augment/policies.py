"""Parts of a column of the grid that have a module of their own.

They are loaded by name, so that an edit of one reruns the columns that have it and no others.
"""

MODULES = {
    "rand_augment": "triptych.augment.rand_augment",
    "random_erasing": "triptych.augment.random_erasing",
}
