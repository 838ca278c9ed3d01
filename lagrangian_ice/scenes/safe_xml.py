"""XML of SAFE products: the only place where it is parsed.

Documents are taken without a document type and without entities (a few lines of either can grow to
gigabytes), and only up to a size. What is missing or no number is told with the file and the tag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lagrangian_ice.errors import SceneError, reason_of
from lagrangian_ice.grid import Float
from lagrangian_ice.times import parse_utc

MAX_XML_BYTES = 32 * 2**20
"""The largest annotation files of the archive have 10 MB."""


MAX_NUMBER = 1e12
"""No number of a product is larger; the tables are kept as float32."""


@dataclass(frozen=True)
class Node:
    """An element and the file that it is in.

    Attributes
    ----------
    element : Element
        Of the parsed tree.
    source : str
        File, for messages.
    """

    element: Element
    source: str

    def nodes(self, path: str) -> list[Node]:
        """All elements at a path."""
        return [Node(one, self.source) for one in self.element.findall(path)]

    def has(self, path: str) -> bool:
        """Whether there is an element at a path."""
        return self.element.find(path) is not None

    def attribute(self, name: str) -> str:
        """Value of an attribute, or ``""``."""
        return self.element.get(name, "")

    def text(self, path: str) -> str:
        """Text at a path (SceneError where there is none)."""
        found = (self.element.findtext(path) or "").strip()
        if not found:
            raise SceneError(f"{self.source}: no <{path}>; get the product again")
        return found

    def number(self, path: str) -> float:
        """Finite number at a path."""
        text = self.text(path)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # the array's way tells what is wrong; for the thousands that are right it is slow
        return value if abs(value) <= MAX_NUMBER else float(self._numbers(path, [text])[0])

    def integer(self, path: str) -> int:
        """Whole number at a path."""
        value = self.number(path)
        if value != int(value):
            raise SceneError(f"{self.source}: <{path}> is {value}, not a whole number")
        return int(value)

    def numbers(self, path: str) -> Float:
        """Finite numbers (N,) at a path."""
        return self._numbers(path, self.text(path).split())

    def time(self, path: str) -> datetime:
        """UTC time at a path."""
        try:
            return parse_utc(self.text(path))
        except (ValueError, OverflowError):
            raise SceneError(
                f"{self.source}: <{path}> is {self.text(path)[:40]!r}, not a time"
            ) from None

    def _numbers(self, path: str, words: list[str]) -> Float:
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            raise SceneError(
                f"{self.source}: <{path}> is {' '.join(words)[:40]!r}, not numbers"
            ) from None
        if not np.all(np.isfinite(values)):
            raise SceneError(f"{self.source}: <{path}> holds numbers that are not finite")
        if np.any(np.abs(values) > MAX_NUMBER):
            raise SceneError(f"{self.source}: <{path}> holds numbers above {MAX_NUMBER:.0e}")
        return values


def parse_xml(content: bytes, source: str) -> Node:
    """Root of a document.

    Parameters
    ----------
    content : bytes
        The whole file.
    source : str
        Its name, for messages.

    Raises
    ------
    SceneError
        If it is empty, too large, not well-formed, or declares a document type or entities.
    """
    if not content.strip():
        raise SceneError(f"{source}: empty; get the product again")
    if len(content) > MAX_XML_BYTES:
        raise SceneError(f"{source}: {len(content)} bytes of XML; at most {MAX_XML_BYTES} are read")
    try:
        return Node(fromstring(content, forbid_dtd=True), source)
    except DefusedXmlException:
        raise SceneError(
            f"{source}: declares a document type or entities, no product does; not read"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise SceneError(
            f"{source}: not well-formed XML ({reason_of(error)}); get the product again"
        ) from None
