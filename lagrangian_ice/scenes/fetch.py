"""Search for EW GRDM products and download them from the Alaska Satellite Facility.

Searched with ``asf_search`` (the optional extra ``fetch``), which needs no account: by latitude
band and time, for servers do not agree on areas at the pole and the antimeridian; the area is
looked at here, on the map. Downloads need an account of NASA Earthdata (free). A file appears under
its name only when it is whole and its check sum is right; what came before a break is kept beside
it and gone on from.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from shapely.geometry.base import BaseGeometry

from lagrangian_ice.errors import FetchError, reason_of
from lagrangian_ice.scenes.area import lonlat_area, map_area, map_ring

LOGIN_HOST = "urs.earthdata.nasa.gov"
SEARCH_SECONDS = 120
"""The search takes longer than the library waits (30 s) when it is busy."""

TRIES = 5
"""Connections of one download that may break one after the other without anything received."""

WAIT_SECONDS = 5.0
"""Before the next of them."""

_HOSTS = (".asf.alaska.edu", ".earthdata.nasa.gov", ".earthdatacloud.nasa.gov")
_TIMEOUT = (30, 120)
_CHUNK = 2**20
_NAME = re.compile(
    r"S1[A-Z]_EW_GRDM_1S(SH|DH|SV|DV)_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_\w{4}"
)
_MISSING = "scenes fetch needs asf_search; install it with pip install 'lagrangian-ice[fetch]'"
_HELP = (
    f"set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or put {LOGIN_HOST} into "
    f"~/.netrc (a free account: https://{LOGIN_HOST}/users/new)"
)


@dataclass(frozen=True)
class Product:
    """A product of the archive.

    Attributes
    ----------
    name : str
        Without extension, as the folder is called.
    url : str
        Of the zip.
    size : int
        Bytes.
    md5 : str
        Check sum, or ``""`` where the archive does not tell it.
    """

    name: str
    url: str
    size: int
    md5: str

    @property
    def file_name(self) -> str:
        """Of the zip."""
        return f"{self.name}.zip"


def new_session() -> Any:
    """Session of the library, without credentials.

    Raises
    ------
    FetchError
        If the extra is not installed.
    """
    return _library().ASFSession()


def search(area: str, start: datetime, end: datetime, session: Any) -> list[Product]:
    """Products of EW GRDM whose footprints touch an area.

    Parameters
    ----------
    area : str
        WKT of longitudes and latitudes.
    start, end : datetime
        UTC.
    session : ASFSession
        From :func:`new_session`.

    Returns
    -------
    list of Product
        In order of their names' times.

    Raises
    ------
    ValueError
        If the area is none, or the end is not after the start.
    FetchError
        If the archive cannot be searched.
    """
    if not start < end:
        raise ValueError(f"end {end} is not after start {start}")
    wanted = map_area(area)
    _, south, _, north = lonlat_area(area).bounds
    asf = _library()
    # the library would send what was asked for to its makers when the archive answers an error
    asf.REPORT_ERRORS = False
    asf.constants.INTERNAL.CMR_TIMEOUT = SEARCH_SECONDS
    try:
        found = asf.search(
            # medium resolution, two polarisations and one; no other satellite has these
            processingLevel=[asf.PRODUCT_TYPE.GRD_MD, asf.PRODUCT_TYPE.GRD_MS],
            beamMode=asf.BEAMMODE.EW,
            start=start,
            end=end,
            cmr_keywords=[("bounding_box", f"-180,{south:.6f},180,{north:.6f}")],
            session=session,
        )
        found.raise_if_incomplete()
    except (asf.ASFSearchError, OSError, ValueError) as error:
        raise FetchError(f"the archive cannot be searched: {reason_of(error)}; try again") from None
    products = {one.name: one for one in _products(found, wanted)}
    return sorted(products.values(), key=lambda one: (one.name[17:], one.name))


def log_in(session: Any) -> None:
    """Give a session the credentials of the environment or of ``.netrc``.

    Raises
    ------
    FetchError
        If there are none, or they are refused.
    """
    token = os.environ.get("EARTHDATA_TOKEN", "").strip()
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
        return
    login = _login()
    if login is None:
        raise FetchError(f"no credentials for downloads: {_HELP}")
    asf = _library()
    try:
        session.auth_with_creds(*login)
    except (asf.ASFAuthenticationError, OSError, ValueError) as error:
        raise FetchError(f"log-in at {LOGIN_HOST} failed ({reason_of(error)}): {_HELP}") from None


def download(product: Product, folder: Path, session: Any) -> bool:
    """Download a product, or go on with what a broken download left.

    Parameters
    ----------
    product : Product
        One that :func:`search` found.
    folder : Path
        Holds the zip afterwards.
    session : ASFSession
        With credentials.

    Returns
    -------
    bool
        False where it is there already.

    Raises
    ------
    FetchError
        If it is refused, breaks off again and again, or is not what the archive says it is.
    """
    path = folder / product.file_name
    if path.is_file() and path.stat().st_size == product.size:
        return False
    partial = folder / f".{product.file_name}.part"
    try:
        _fill(partial, product, session)
        _check(partial, product)
        partial.replace(path)
    except OSError as error:
        raise FetchError(f"{path}: cannot be written ({reason_of(error)})") from None
    return True


def fetch(
    products: Iterable[Product],
    folder: Path,
    session: Any,
    told: Callable[[Product, str], None],
) -> dict[str, str]:
    """Download products one after the other; one that fails does not stop the others.

    Parameters
    ----------
    products : iterable of Product
        Those wanted.
    folder : Path
        Made where it is missing.
    session : ASFSession
        With credentials.
    told : callable
        Gets each product and what came of it: downloaded, there already, failed.

    Returns
    -------
    dict of str to str
        Products that could not be had, and why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{folder}: cannot be made ({reason_of(error)})") from None
    failed: dict[str, str] = {}
    for product in products:
        try:
            new = download(product, folder, session)
        except FetchError as error:
            failed[product.name] = str(error)
            told(product, "failed")
        else:
            told(product, "downloaded" if new else "there already")
    return failed


def _library() -> Any:
    try:
        asf_search = import_module("asf_search")
    except ImportError:
        raise FetchError(_MISSING) from None
    return asf_search


def _products(found: Any, wanted: BaseGeometry) -> Iterator[Product]:
    for one in found:
        facts, geometry = one.properties, one.geometry
        name, url = str(facts.get("sceneName") or ""), str(facts.get("url") or "")
        # names become files, and the host is shown the credentials
        if not (_NAME.fullmatch(name) and _trusted(url) and facts.get("bytes")):
            continue
        ring = np.asarray(geometry["coordinates"][0], dtype=np.float64)
        if map_ring(ring).intersects(wanted):
            yield Product(name, url, int(facts["bytes"]), str(facts.get("md5sum") or "").lower())


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(_HOSTS)


def _login() -> tuple[str, str] | None:
    name, word = (os.environ.get(f"EARTHDATA_{what}", "") for what in ("USERNAME", "PASSWORD"))
    if name and word:
        return name, word
    from requests.utils import get_netrc_auth

    found = get_netrc_auth(f"https://{LOGIN_HOST}")
    return None if found is None else (str(found[0]), str(found[1]))


def _fill(partial: Path, product: Product, session: Any) -> None:
    """Receive until the size is reached, with a new connection where one breaks."""
    from requests import RequestException

    left, reason = TRIES, "the connection ends early"
    while left and _size(partial) < product.size:
        before = _size(partial)
        try:
            _receive(partial, product, session, before)
        except RequestException as error:
            reason = reason_of(error)
        left = TRIES if _size(partial) > before else left - 1
        if 0 < left < TRIES:
            time.sleep(WAIT_SECONDS)
    if _size(partial) < product.size:
        raise FetchError(
            f"{product.name}: {_size(partial)} of {product.size} bytes received ({reason}); "
            "the next call goes on from there"
        )


def _receive(partial: Path, product: Product, session: Any, have: int) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with session.get(product.url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code in (401, 403):
            raise FetchError(f"{product.name}: the archive refuses the credentials: {_HELP}")
        if answer.status_code not in (200, 206):
            if answer.status_code >= 500:
                answer.raise_for_status()
            raise FetchError(f"{product.name}: the archive answers {answer.status_code}")
        if "html" in answer.headers.get("Content-Type", ""):
            raise FetchError(f"{product.name}: the archive asks for a log-in: {_HELP}")
        # a server that does not know ranges sends the whole file
        part = answer.status_code == 206
        with partial.open("ab" if part else "wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)


def _check(partial: Path, product: Product) -> None:
    size = _size(partial)
    right = size == product.size
    if right and product.md5:
        with partial.open("rb") as file:
            right = hashlib.file_digest(file, _md5).hexdigest() == product.md5
    if not right:
        partial.unlink(missing_ok=True)
        raise FetchError(
            f"{product.name}: received {size} bytes that are not what the archive tells "
            f"({product.size} bytes, md5 {product.md5 or 'unknown'}); removed, try again"
        )


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
