"""Texts from databases and files made safe to print: no control characters, no changed reading direction."""


def printable(text: str) -> str:
    """The text in one line; a character that can't be seen is its escape, as Python writes it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(text: str) -> str:
    """The text with each of its lines printable."""
    return "\n".join(printable(line) for line in text.replace("\t", "    ").split("\n"))


def cut(text: str, length: int) -> str:
    """The text, or as many of its words as have room before " ..."; a name is never cut in two."""
    if len(text) <= length:
        return text
    kept = text[: length - 3]
    words = kept if kept[-1:].isspace() else kept.rpartition(" ")[0]
    return f"{(words or kept[:-1]).rstrip(' ,;:')} ..."


def one_line(text: str) -> str:
    """The text without line ends and runs of blanks, its characters printable."""
    return printable(" ".join(text.split()))


def line(text: str, length: int) -> str:
    """One line of bounded length: texts of databases may carry control characters, or turn the reading direction."""
    return cut(one_line(text[: 4 * length]), length)


def mail_address(value: str) -> str:
    """The text where it is one mail address; ValueError where not."""
    if not value or any(char.isspace() or char in ",;" for char in value) or one_line(value) != value:
        msg = f"{value!r} is no mail address"
        raise ValueError(msg)
    return value


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
