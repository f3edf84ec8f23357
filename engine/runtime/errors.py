"""What may become of a group of ranks. Torch-free: the command line tells it in a sentence."""


class GroupError(RuntimeError):
    """The group cannot go on with this order. It has been ended, and the next order starts a new one."""


class RankDied(GroupError):
    """A rank is gone; says which one and what it was doing."""


class RankHangs(GroupError):
    """Nothing moved for too long; says which rank is behind, what it is in, and where the others wait."""
