"""``manifest.safe`` of a simulated product: what it is and which files it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lagrangian_ice.grid import Float

SCHEMAS = {
    "product": ("s1Level1ProductSchema", "text/xml"),
    "noise": ("s1Level1NoiseSchema", "text/xml"),
    "calibration": ("s1Level1CalibrationSchema", "text/xml"),
    "measurement": ("s1Level1MeasurementSchema", "application/octet-stream"),
    "mapoverlay": ("s1Level1MapOverlaySchema", "text/xml"),
    "quicklook": ("s1Level1QuickLookSchema", "application/octet-stream"),
}
"""Name of the schema and type of each kind of file."""

SCHEMA_FILES = {
    "s1Level1ProductSchema": "s1-level-1-product.xsd",
    "s1Level1NoiseSchema": "s1-level-1-noise.xsd",
    "s1Level1CalibrationSchema": "s1-level-1-calibration.xsd",
    "s1Level1MeasurementSchema": "s1-level-1-measurement.xsd",
    "s1Level1MapOverlaySchema": "s1-map-overlay.xsd",
    "s1Level1QuickLookSchema": "s1-level-1-quicklook.xsd",
}

_SAFE = "http://www.esa.int/safe/sentinel-1.0"

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:gml="http://www.opengis.net/gml" xmlns:xfdu="urn:ccsds:schema:xfdu:1" \
xmlns:safe="{safe}" xmlns:s1="{safe}/sentinel-1" xmlns:s1sar="{safe}/sentinel-1/sar" \
xmlns:s1sarl1="{safe}/sentinel-1/sar/level-1" xmlns:s1sarl2="{safe}/sentinel-1/sar/level-2" \
xmlns:gx="http://www.google.com/kml/ext/2.2" \
version="esa/safe/sentinel-1.0/sentinel-1/sar/level-1/grd/standard/{package}">
"""

_UNIT = """      <xfdu:contentUnit unitType="{unit}" repID="{schema}"{described}>
        <dataObjectPointer dataObjectID="{id}"/>
      </xfdu:contentUnit>
"""

_DESCRIPTION = """    <metadataObject ID="{id}Annotation" classification="DESCRIPTION" \
category="DMD">
      <dataObjectPointer dataObjectID="{id}"/>
    </metadataObject>
"""

_WRAP = """    <metadataObject ID="{id}" classification="{kind}" category="{category}">
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="{text}">
        <xmlData>
{body}
        </xmlData>
      </metadataWrap>
    </metadataObject>
"""

_SYNTAX = """    <metadataObject ID="{id}" classification="SYNTAX" category="REP">
      <metadataReference mimeType="text/xml" vocabularyName="XML Schema" locatorType="URL" \
href="./support/{file}"/>
    </metadataObject>
"""

_OBJECT = """    <dataObject ID="{id}" repID="{schema}">
      <byteStream mimeType="{mime}" size="{size}">
        <fileLocation locatorType="URL" href="./{name}"/>
        <checksum checksumName="MD5">{md5}</checksum>
      </byteStream>
    </dataObject>
"""

_SECTIONS: dict[str, tuple[str, str]] = {
    "processing": (
        "Processing",
        """          <safe:processing name="Simulation by lagrangian_ice" \
start="{start}" stop="{stop}">
            <safe:facility country="" name="Simulated: sea ice of known motion" \
organisation="lagrangian_ice" site="">
              <safe:software name="Sentinel-1 IPF" version="{version}"/>
            </safe:facility>
          </safe:processing>""",
    ),
    "platform": (
        "Platform Description",
        """          <safe:platform>
            <safe:nssdcIdentifier>{nssdc}</safe:nssdcIdentifier>
            <safe:familyName>SENTINEL-1</safe:familyName>
            <safe:number>{number}</safe:number>
            <safe:instrument>
              <safe:familyName abbreviation="SAR">Synthetic Aperture Radar</safe:familyName>
              <safe:extension>
                <s1sarl1:instrumentMode>
                  <s1sarl1:mode>EW</s1sarl1:mode>
                  <s1sarl1:swath>EW</s1sarl1:swath>
                </s1sarl1:instrumentMode>
              </safe:extension>
            </safe:instrument>
          </safe:platform>""",
    ),
    "measurementOrbitReference": (
        "Orbit Reference",
        """          <safe:orbitReference>
            <safe:orbitNumber type="start">{orbit}</safe:orbitNumber>
            <safe:orbitNumber type="stop">{orbit}</safe:orbitNumber>
            <safe:relativeOrbitNumber type="start">{relative}</safe:relativeOrbitNumber>
            <safe:relativeOrbitNumber type="stop">{relative}</safe:relativeOrbitNumber>
            <safe:cycleNumber>{cycle}</safe:cycleNumber>
            <safe:phaseIdentifier>1</safe:phaseIdentifier>
            <safe:extension>
              <s1:orbitProperties>
                <s1:pass>{pass}</s1:pass>
                <s1:ascendingNodeTime>{node_time}</s1:ascendingNodeTime>
              </s1:orbitProperties>
            </safe:extension>
          </safe:orbitReference>""",
    ),
    "generalProductInformation": (
        "General Product Information",
        """          <s1sarl1:standAloneProductInformation>
            <s1sarl1:instrumentConfigurationID>7</s1sarl1:instrumentConfigurationID>
            <s1sarl1:missionDataTakeID>{datatake}</s1sarl1:missionDataTakeID>
{channels}
            <s1sarl1:productClass>S</s1sarl1:productClass>
            <s1sarl1:productClassDescription>SAR Standard L1 Product\
</s1sarl1:productClassDescription>
            <s1sarl1:productComposition>Slice</s1sarl1:productComposition>
            <s1sarl1:productType>GRD</s1sarl1:productType>
            <s1sarl1:productTimelinessCategory>Fast-24h</s1sarl1:productTimelinessCategory>
            <s1sarl1:sliceProductFlag>true</s1sarl1:sliceProductFlag>
            <s1sarl1:segmentStartTime>{start}</s1sarl1:segmentStartTime>
            <s1sarl1:sliceNumber>{slice}</s1sarl1:sliceNumber>
            <s1sarl1:totalSlices>{slices}</s1sarl1:totalSlices>
          </s1sarl1:standAloneProductInformation>""",
    ),
    "acquisitionPeriod": (
        "Acquisition Period",
        """          <safe:acquisitionPeriod>
            <safe:startTime>{start}</safe:startTime>
            <safe:stopTime>{stop}</safe:stopTime>
            <safe:extension>
              <s1:timeANX>
                <s1:startTimeANX>{start_anx}</s1:startTimeANX>
                <s1:stopTimeANX>{stop_anx}</s1:stopTimeANX>
              </s1:timeANX>
            </safe:extension>
          </safe:acquisitionPeriod>""",
    ),
    "measurementFrameSet": (
        "Frame Set",
        """          <safe:frameSet>
            <safe:frame>
              <safe:footPrint srsName="http://www.opengis.net/gml/srs/epsg.xml#4326">
                <gml:coordinates>{footprint}</gml:coordinates>
              </safe:footPrint>
            </safe:frame>
          </safe:frameSet>""",
    ),
}

_OVERLAY = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">
  <Document>
    <name>Sentinel-1 Map Overlay</name>
    <GroundOverlay>
      <name>Sentinel-1 Image Overlay</name>
      <Icon>
        <href>quick-look.png</href>
      </Icon>
      <gx:LatLonQuad>
        <coordinates>{corners}</coordinates>
      </gx:LatLonQuad>
    </GroundOverlay>
  </Document>
</kml>
"""


@dataclass(frozen=True)
class DataObject:
    """A file of a product.

    Attributes
    ----------
    kind : str
        One of the keys of :data:`SCHEMAS`.
    stem : str
        Name that the files of a polarisation share; empty for those of the whole product.
    name : str
        Path in the product, with slashes.
    size : int
        Bytes.
    md5 : str
        Check sum.
    """

    kind: str
    stem: str
    name: str
    size: int
    md5: str

    @property
    def id(self) -> str:
        """Name in the manifest."""
        if not self.stem:
            return self.kind
        return ("" if self.kind == "measurement" else self.kind) + self.stem.replace("-", "")


def manifest_text(facts: Mapping[str, str], objects: Sequence[DataObject]) -> str:
    """Text of ``manifest.safe``.

    Parameters
    ----------
    facts : mapping of str
        Values of the placeholders in the descriptions.
    objects : sequence of DataObject
        All files but the manifest.
    """
    tag = "s1sarl1:transmitterReceiverPolarisation"
    channels = "\n".join(
        f"            <{tag}>{name}</{tag}>" for name in facts["polarisations"].split()
    )
    values = {**facts, "channels": channels}
    parts = [_HEAD.format(safe=_SAFE, **facts), "  <informationPackageMap>\n"]
    parts.append(
        '    <xfdu:contentUnit unitType="SAFE Archive Information Package" '
        'textInfo="Sentinel-1 EW Level-1 GRD Product" dmdID="acquisitionPeriod platform '
        'generalProductInformation measurementOrbitReference measurementFrameSet" '
        'pdiID="processing">\n'
    )
    parts += [_unit(item, objects) for item in objects]
    parts.append("    </xfdu:contentUnit>\n  </informationPackageMap>\n  <metadataSection>\n")
    parts += [_DESCRIPTION.format(id=item.id) for item in objects if item.kind in _ANNOTATIONS]
    for name, (text, body) in _SECTIONS.items():
        provenance = name == "processing"
        parts.append(
            _WRAP.format(
                id=name,
                kind="PROVENANCE" if provenance else "DESCRIPTION",
                category="PDI" if provenance else "DMD",
                text=text,
                body=body.format(**values),
            )
        )
    parts += [_SYNTAX.format(id=name, file=file) for name, file in SCHEMA_FILES.items()]
    parts.append("  </metadataSection>\n  <dataObjectSection>\n")
    for item in objects:
        schema, mime = SCHEMAS[item.kind]
        parts.append(
            _OBJECT.format(
                id=item.id, schema=schema, mime=mime, size=item.size, name=item.name, md5=item.md5
            )
        )
    parts.append("  </dataObjectSection>\n</xfdu:XFDU>\n")
    return "".join(parts)


_ANNOTATIONS = ("product", "noise", "calibration")


def _unit(item: DataObject, objects: Sequence[DataObject]) -> str:
    schema, _ = SCHEMAS[item.kind]
    described = ""
    if item.kind == "measurement":
        ids = [
            f"{other.id}Annotation"
            for other in objects
            if other.stem == item.stem and other.kind in _ANNOTATIONS
        ]
        described = f' dmdID="{" ".join(ids)}"'
    unit = "Measurement" if item.kind in {"measurement", "quicklook"} else "Metadata"
    unit += " Data Unit" if unit == "Measurement" else " Unit"
    return _UNIT.format(unit=unit, schema=schema, described=described, id=item.id)


def overlay_text(corners: Float) -> str:
    """Text of the KML overlay of the quick look, from latitude, longitude (4, 2) of the corners."""
    pairs = " ".join(f"{lon:.6f},{lat:.6f}" for lat, lon in corners)
    return _OVERLAY.format(corners=pairs)
