"""The errors of this package."""


class InputError(ValueError):
    """What the user gave cannot be used: a file, an option, an array, sizes that do not fit.

    The message is one line that says what was found, what was expected and what to do. Every other exception
    is a failure of the program itself.
    """
