"""What goes wrong because of what was put in, said in one line."""


class InputError(ValueError):
    """A study, a scenario, an option or a folder that vtrial cannot use.

    The message is one line that says where, what was given, what is allowed and what to do. The command
    line prints it and ends with status 2.
    """
