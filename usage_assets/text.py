"""Texts from databases and files as people may see them: nothing in them moves a cursor or turns a line."""


def printable(text: str) -> str:
    """The text in one line; a character that can't be seen is its escape, as Python writes it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(text: str) -> str:
    """The same line by line."""
    return "\n".join(printable(line) for line in text.replace("\t", "    ").split("\n"))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
