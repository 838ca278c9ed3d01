"""A server on this machine that answers as the archive and its log-in do."""

import base64
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from asf_search import ASFSession
from requests.adapters import HTTPAdapter

TOKEN, USER, WORD = "a-good-token", "somebody", "sesame"


@dataclass
class Archive:
    """What the server holds and how it behaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    rings: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    md5: dict[str, str] = field(default_factory=dict)
    hosts: str = "datapool.asf.alaska.edu"
    break_after: int | None = None
    breaks: int = 0
    ranges: bool = True
    search_status: int = 200
    log: list[tuple[str, str, str]] = field(default_factory=list)
    asked: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name, content, ring):
        self.files[name], self.rings[name] = content, ring
        self.md5[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()

    def items(self):
        return [self._item(name) for name in self.files]

    def _item(self, name):
        start, stop = (
            f"{t[:4]}-{t[4:6]}-{t[6:11]}:{t[11:13]}:{t[13:15]}Z" for t in name.split("_")[4:6]
        )
        facts = {
            "MD5SUM": self.md5[name],
            "BYTES": str(len(self.files[name])),
            "PROCESSING_TYPE": "GRD_MD",
            "BEAM_MODE": "EW",
            "BEAM_MODE_TYPE": "EW",
            "POLARIZATION": "HH+HV",
            "ASF_PLATFORM": f"Sentinel-1{name[2]}",
            "ASCENDING_DESCENDING": "DESCENDING",
            "PATH_NUMBER": "10",
            "GROUP_ID": f"S1{name[2]}_EWDH",
        }
        url = f"https://{self.hosts}/GRD_MD/S{name[2]}/{name}.zip"
        points = [{"Longitude": lon, "Latitude": lat} for lon, lat in self.rings[name]]
        return {
            "meta": {
                "concept-type": "granule",
                "concept-id": "G1-ASF",
                "native-id": f"{name}-GRD_MD",
                "provider-id": "ASF",
                "collection-concept-id": "C1214471521-ASF",
            },
            "umm": {
                "GranuleUR": f"{name}-GRD_MD",
                "CollectionReference": {"ShortName": f"SENTINEL-1{name[2]}_DP_GRD_MEDIUM"},
                "TemporalExtent": {
                    "RangeDateTime": {"BeginningDateTime": start, "EndingDateTime": stop}
                },
                "DataGranule": {
                    "Identifiers": [
                        {"IdentifierType": "ProducerGranuleId", "Identifier": name},
                    ],
                    "ProductionDateTime": stop,
                },
                "OrbitCalculatedSpatialDomains": [{"OrbitNumber": int(name.split("_")[6])}],
                "Platforms": [
                    {
                        "ShortName": f"Sentinel-1{name[2]}",
                        "Instruments": [{"ShortName": "C-SAR"}],
                    }
                ],
                "SpatialExtent": {
                    "HorizontalSpatialDomain": {
                        "Geometry": {"GPolygons": [{"Boundary": {"Points": points}}]}
                    }
                },
                "AdditionalAttributes": [
                    {"Name": key, "Values": [value]} for key, value in facts.items()
                ],
                "RelatedUrls": [{"URL": url, "Type": "GET DATA"}],
            },
        }


def handler(archive):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._note()
            if self.path.startswith("/search/granules"):
                archive.asked = parse_qs(body.decode())
                if archive.search_status != 200:
                    self._answer(archive.search_status, json.dumps({"errors": ["no luck"]}))
                else:
                    items = archive.items()
                    self._answer(200, json.dumps({"hits": len(items), "items": items}))
            elif self.path == "/api/users/find_or_create_token":
                good = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
                if self.headers.get("Authorization") == f"Basic {good}":
                    self._answer(200, json.dumps({"access_token": TOKEN}))
                else:
                    self._answer(401, json.dumps({"error": "invalid_credentials"}))
            else:
                self._answer(404, "{}")

        def do_GET(self):
            self._note()
            name = urlsplit(self.path).path.rpartition("/")[2].removesuffix(".zip")
            if self.path.startswith("/oauth/authorize"):
                self._answer(200, "welcome", {"Set-Cookie": "asf-urs=abc; Path=/"})
            elif self.path.startswith("/signed/"):
                self._send(archive.files[name])
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, "who are you?")
            elif name in archive.files:
                place = f"https://archive.s3.us-west-2.amazonaws.com/signed/{name}.zip?key=1"
                self._answer(307, "", {"Location": place})
            else:
                self._answer(404, "gone")

        def _note(self):
            told = self.headers.get("Authorization", "")
            archive.log.append((self.headers.get("X-Host", ""), self.path, told))

        def _answer(self, status, text, headers=None):
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def _send(self, content):
            first = 0
            asked = self.headers.get("Range")
            if asked and archive.ranges:
                first = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if first else 200)
            if first:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            part = content[first:]
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if archive.breaks and archive.break_after is not None:
                archive.breaks -= 1
                self.wfile.write(part[: archive.break_after])
                self.close_connection = True
            else:
                self.wfile.write(part)

    return Handler


class ToServer(HTTPAdapter):
    """Sends what is meant for the archive's hosts to the server of the test."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def send(self, request, **options):
        options["verify"] = False
        parts = urlsplit(request.url)
        inner = request.copy()
        inner.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        inner.headers["X-Host"] = parts.hostname
        answer = super().send(inner, **options)
        answer.request, answer.url = request, request.url
        return answer


@contextmanager
def serving(archive):
    """A session whose requests all go to a server with the archive."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(archive))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    session = ASFSession()
    adapter = ToServer(server.server_address[1])
    session.mount("https://", adapter)
    try:
        yield session
    finally:
        session.close()
        adapter.close()
        server.shutdown()
        server.server_close()
        thread.join()
