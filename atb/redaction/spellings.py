"""Every spelling in which a known secret may stand in a text: plain, encoded, escaped, wrapped over lines, and in part.

A text passes through URLs, JSON, HTML, mail (quoted-printable), `repr` and printers that wrap lines, each of which spells some
characters anew. What only ever spells the whole anew, base64, base32 and hexadecimal digits, is looked for as a word of its own; a
message that was cut holds a part.

Not looked for: what is compressed, encrypted or hashed, UTF-16 and UTF-32, base58 and base85, numbers of characters in a list, a
secret whose characters stand apart, and a secret inside two such codes (base64 of base64). Each would cost as much as all the
others together, or hit words that are none, and nothing that writes a log here spells so.
"""

import base64
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

SHORTEST = 4  # replacing every "a" of a log because a password is "a" would hide more than it protects
LEAST_PART = 12  # so many characters in a row are no chance
_LONG_LINE = 16  # a shorter line of a secret is more likely to be a word
_PIECE = 6  # characters of a password between two marks of an address
_MARKS = re.compile(r"[/:@?#\s]+")
_CHUNK = LEAST_PART // 2  # any part of LEAST_PART characters holds one of the secret's chunks whole
_LEAST_BACKWARDS = 8  # characters; a shorter one is another word too often
_SHORTEST_CODE = 6  # bytes whose base64 is long enough to be no chance
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a"}
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_BACKSLASH = r"(?:\\|%(?:25)*5[cC])"  # before what JSON or `repr` escape
# Between two characters of a secret: the end of a line, quoted or escaped as a printer that wraps lines leaves it.
_WRAP = r"""(?:["']?[ \t]{0,8}(?:=?\\?\r?\n|(?:\\+r)?\\+n)[ \t>|]{0,80}[bru]?["']?)?"""
_LINE_GOES_ON = r"(?:=\r?\n)?"  # mail ends a line between two bytes of one character too
_BETWEEN_BYTES = r"(?:[ :.-]|\s+)?"  # of hexadecimal digits, which nothing wraps inside a byte


def known_texts(secrets: Iterable[str]) -> list[str]:
    """Return the texts to look for, longest first.

    Each secret, each long line of one, such as a key in PEM, and each piece between two marks of an address: a library that reads a
    password as host and port prints such a piece.
    """
    whole = {secret for secret in secrets if len(secret) >= SHORTEST}
    lines = {
        line
        for secret in whole
        for line in re.split(r"\\n|[\r\n]+", secret)
        if len(line) >= _LONG_LINE and not line.startswith("-----")
    }
    pieces = {
        piece for secret in whole for piece in _MARKS.split(secret) if len(piece) >= _PIECE and _is_no_word(piece)
    }
    return sorted(whole | lines | pieces, key=lambda text: (-len(text), text))


def _is_no_word(piece: str) -> bool:
    return not piece.startswith("-----") and any(map(str.isdigit, piece)) and any(map(str.isalpha, piece))


@lru_cache(64)
def pattern_of(text: str) -> re.Pattern[str]:
    """Return a pattern that matches a secret in each of its spellings."""
    backwards = [re.escape(text[::-1])] if len(text) >= _LEAST_BACKWARDS else []
    return re.compile("|".join((_spelled(text), *backwards, *_hexadecimal(text))))


def without_codes(text: str, secret: str, mask: str) -> str:
    """Return a text without a secret's base64 and base32, wherever in a longer one of these it begins.

    Patterns of that many digits are made only where a few of them stand in the text.
    """
    for code in _codes(secret):
        pieces = _pieces(code)
        if not pieces or any(piece in text for piece in pieces):
            text = _pattern_of_code(code).sub(mask, text)
    return text


def without_parts(text: str, secret: str, mask: str) -> str:
    """Return a text in which no `LEAST_PART` characters of a longer secret stand in a row, as where a message was cut."""
    if len(secret) < LEAST_PART + 4:
        return text
    for start in range(0, len(secret) - _CHUNK + 1, _CHUNK):
        chunk, at = secret[start : start + _CHUNK], 0
        while (at := text.find(chunk, at)) >= 0:
            first, last = _around(text, at, secret=secret, start=start)
            if last - first >= LEAST_PART:
                text, at = text[:first] + mask + text[last:], first + len(mask)
            else:
                at += 1
    return text


def _around(text: str, at: int, *, secret: str, start: int) -> tuple[int, int]:
    """Return where the part of a secret begins and ends in a text that has the secret's `start` at `at`."""
    first, left = at, start
    while first and left and text[first - 1] == secret[left - 1]:
        first, left = first - 1, left - 1
    last, right = at + _CHUNK, start + _CHUNK
    while last < len(text) and right < len(secret) and text[last] == secret[right]:
        last, right = last + 1, right + 1
    return first, last


def _spelled(text: str) -> str:
    return _WRAP.join(_character(character) for character in text)


def _hexadecimal(text: str) -> list[str]:
    raw = text.encode("utf-8", "surrogatepass")
    return [_BETWEEN_BYTES.join(_any_case(f"{byte:02x}") for byte in raw)] if len(raw) >= _SHORTEST_CODE else []


@lru_cache(64)
def _codes(text: str) -> tuple[str, ...]:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) < _SHORTEST_CODE:
        return ()
    sixty_four = {_digits(raw, offset, base64.b64encode, bits=6) for offset in range(3)}
    sixty_four |= {digits.replace("+", "-").replace("/", "_") for digits in sixty_four}
    thirty_two = {_digits(raw, offset, base64.b32encode, bits=5) for offset in range(5)}
    thirty_two |= {digits.lower() for digits in thirty_two}
    return tuple(sorted(sixty_four | thirty_two))


@lru_cache(256)
def _pieces(code: str) -> tuple[str, ...]:
    """Return the pieces of a code that nothing spells otherwise; a line that ends breaks one of them."""
    return tuple(re.findall(f"[A-Za-z0-9]{{{SHORTEST},{_CHUNK}}}", code))


@lru_cache(256)
def _pattern_of_code(code: str) -> re.Pattern[str]:
    return re.compile(_WRAP.join(map(_character_of_code, code)))


def _digits(raw: bytes, offset: int, encode: Callable[[bytes], bytes], *, bits: int) -> str:
    """Return a code's digits of bytes behind `offset` others, without those that other bytes take part in."""
    padded = bytes(offset) + raw
    return encode(padded)[-(-8 * offset // bits) : len(padded) * 8 // bits].decode()


def _character_of_code(character: str) -> str:
    return character if character.isalnum() else _character(character)


def _character(character: str) -> str:
    """Return a pattern of one character; encoded forms come first, since `%` alone would leave the `25` of `%25`."""
    code, raw = ord(character), character.encode("utf-8", "surrogatepass")
    spellings = ["".join(f"%(?:25)*{_any_case(f'{byte:02x}')}" for byte in raw)]
    if not (character.isascii() and character.isalnum()):
        names = "|".join((*([_ENTITIES[character]] if character in _ENTITIES else []), *_numbers(code)))
        spellings.append(f"&(?:amp;)*(?:{names});")
        spellings.append("".join(f"{_BACKSLASH}+x{_any_case(f'{byte:02x}')}" for byte in raw))
        spellings.append(_LINE_GOES_ON.join(f"(?:={byte:02X}|{_BACKSLASH}+{byte:03o})" for byte in raw))  # mail, and C
    if code > 0xFFFF:
        pair = character.encode("utf-16-be", "surrogatepass").hex()
        spellings.append(f"{_BACKSLASH}+u{_any_case(pair[:4])}{_BACKSLASH}+u{_any_case(pair[4:])}")
    digits = (f"u{_any_case(f'{code:04x}')}", f"x{_any_case(f'{code:02x}')}", f"U{_any_case(f'{code:08x}')}")
    spellings.append(f"{_BACKSLASH}+(?:{'|'.join(digits)})")
    if character in _ESCAPES:
        spellings.append(f"{_BACKSLASH}+{_ESCAPES[character]}")
    if character == " ":
        spellings.append(r"\+")
    spellings.append(re.escape(character))
    return f"{_BACKSLASH}*(?:{'|'.join(spellings)})"


def _numbers(code: int) -> tuple[str, str]:
    return f"#0*{code}", f"#[xX]0*{_any_case(f'{code:x}')}"


def _any_case(digits: str) -> str:
    return "".join(digit if digit.isdigit() else f"[{digit}{digit.upper()}]" for digit in digits)
