"""Numbers as a person types them on the command line or in a form, and reads them with their noun."""


def parse_numbers(text: str, name: str = "levels") -> tuple[int, ...] | None:
    """`3,1` as (3, 1), and `all` as None, which stands for every number there is.

    Raises:
        ValueError: the text is anything else; the message calls it `name`.
    """
    if text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise ValueError(f"`{name}` is {text!r}: expected all, or numbers from 1 and commas, such as 3,2")
    return tuple(int(part) for part in parts)


def counted(number: int, noun: str) -> str:
    """`1 photograph`, `3,925 photographs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"
