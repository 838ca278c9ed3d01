"""Annotation, calibration and noise files of a simulated product.

Element names and the way numbers are written follow IPF 3.52. Left out are the parts that
describe the processing of raw data (quality, downlink, replicas, Doppler, antenna): nothing of
the kind happened here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from lagrangian_ice.grid import Float
from lagrangian_ice.simulate.instrument import BETA, SUB_SWATHS, Calibration, Noise
from lagrangian_ice.simulate.orbit import LIGHT, MAJOR, MINOR, cartesian, geodetic
from lagrangian_ice.simulate.radar_swath import RadarSwath
from lagrangian_ice.simulate.safe_frame import SafeFrame, TiePoints, iso_micro

Tree = str | Mapping[str, "Tree"] | Sequence["tuple[str, Tree]"]

STATE_SECONDS = 10.0
"""Between the state vectors of the orbit."""

STATE_MARGIN = 60.0
"""Seconds by which they go on before and after the image."""


def _header(frame: SafeFrame, polarisation: str) -> Tree:
    return {
        "missionId": frame.platform,
        "productType": "GRD",
        "polarisation": polarisation,
        "mode": "EW",
        "swath": "EW",
        "startTime": iso_micro(frame.swath.start),
        "stopTime": iso_micro(frame.swath.stop),
        "absoluteOrbitNumber": str(frame.orbit_number),
        "missionDataTakeId": str(frame.datatake),
        "imageNumber": f"{frame.polarisations.index(polarisation) + 1:03d}",
    }


def product_xml(
    frame: SafeFrame,
    polarisation: str,
    ties: TiePoints,
    noise: Noise,
    numbers: NDArray[np.uint16],
) -> bytes:
    """Text of the annotation of a band with geolocation grid, noise and pixels (rows, cols)."""
    tree: Tree = {
        "adsHeader": _header(frame, polarisation),
        "generalAnnotation": _general(frame),
        "imageAnnotation": {
            "imageInformation": _image_information(frame, ties, numbers),
            "processingInformation": _processing(),
        },
        "swathTiming": {
            "linesPerBurst": "0",
            "samplesPerBurst": "0",
            "burstList": [],
        },
        "geolocationGrid": {"geolocationGridPointList": _grid_points(ties, frame.swath)},
        "coordinateConversion": {"coordinateConversionList": _conversions(frame.swath)},
        "swathMerging": {"swathMergeList": _merges(frame.swath, noise)},
    }
    return _xml("product", tree)


def _general(frame: SafeFrame) -> Tree:
    swath = frame.swath
    middle = 0.5 * (swath.start + swath.stop)
    return {
        "productInformation": {
            "pass": "Ascending" if frame.ascending else "Descending",
            "timelinessCategory": "Fast-24h",
            "platformHeading": f"{_heading(swath, middle):.15e}",
            "projection": "Ground Range",
            "rangeSamplingRate": f"{2.502314816e7:.15e}",
            "radarFrequency": f"{5.405000454334350e9:.15e}",
            "azimuthSteeringRate": f"{2.390895448:.15e}",
        },
        "orbitList": _orbits(swath),
    }


def _heading(swath: RadarSwath, time: float) -> float:
    """Direction of the track on the ground, degrees clockwise from north, -180 to 180."""
    lon, lat, _ = geodetic(swath.orbit.state(np.array([time - 0.5, time + 0.5]))[0])
    east = ((lon[1] - lon[0] + 180) % 360 - 180) * np.cos(np.radians(lat.mean()))
    return float(np.degrees(np.arctan2(east, lat[1] - lat[0])))


def _orbits(swath: RadarSwath) -> Tree:
    first = round(swath.start - STATE_MARGIN, 6)
    count = int((swath.stop - swath.start + 2 * STATE_MARGIN) / STATE_SECONDS) + 2
    times = np.round(first + STATE_SECONDS * np.arange(count), 6)
    return [
        (
            "orbit",
            {
                "time": iso_micro(float(time)),
                "frame": "Earth Fixed",
                "position": _vector(place),
                "velocity": _vector(velocity),
            },
        )
        for time, place, velocity in zip(times, *swath.orbit.state(times), strict=True)
    ]


def _vector(values: Float) -> Tree:
    return {axis: f"{value:.12e}" for axis, value in zip("xyz", values, strict=True)}


def _image_information(frame: SafeFrame, ties: TiePoints, numbers: NDArray[np.uint16]) -> Tree:
    swath = frame.swath
    rows, cols = swath.shape
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(numbers))
    return {
        "productFirstLineUtcTime": iso_micro(swath.start),
        "productLastLineUtcTime": iso_micro(swath.stop),
        "ascendingNodeTime": iso_micro(swath.orbit.node_time),
        "anchorTime": iso_micro(swath.start),
        "productComposition": "Slice",
        "sliceNumber": str(frame.slice_number),
        "slantRangeTime": f"{2 * swath.near_range / LIGHT:.15e}",
        "pixelValue": "Detected",
        "outputPixels": "16 bit Unsigned Integer",
        "rangePixelSpacing": f"{swath.pixel:.6e}",
        "azimuthPixelSpacing": f"{swath.pixel:.6e}",
        "azimuthTimeInterval": f"{swath.line_interval:.15e}",
        "azimuthFrequency": f"{1 / swath.line_interval:.15e}",
        "numberOfSamples": str(cols),
        "numberOfLines": str(rows),
        "zeroDopMinusAcqTime": f"{0.0:.15e}",
        "incidenceAngleMidSwath": f"{_middle_incidence(ties):.15e}",
        "imageStatistics": {
            "outputDataMean": {"re": f"{mean:.6e}", "im": f"{0.0:.6e}"},
            "outputDataStdDev": {"re": f"{deviation:.6e}", "im": f"{0.0:.6e}"},
        },
    }


def _middle_incidence(ties: TiePoints) -> float:
    return float(ties.incidence[len(ties.line) // 2, len(ties.pixel) // 2])


def _processing() -> Tree:
    return {
        "detectionPerformed": "true",
        "thermalNoiseCorrectionPerformed": "false",
        "srgrConversionApplied": "true",
        "referenceRange": f"{8e5:.15e}",
        "ellipsoidName": "WGS84",
        "ellipsoidSemiMajorAxis": f"{MAJOR:.15e}",
        "ellipsoidSemiMinorAxis": f"{MINOR:.15e}",
        "bistaticDelayCorrectionApplied": "true",
        "swathProcParamsList": [("swathProcParams", {"swath": name}) for name in SUB_SWATHS],
    }


def _grid_points(ties: TiePoints, swath: RadarSwath) -> Tree:
    satellite = np.linalg.norm(swath.orbit.state(ties.time)[0], axis=-1)
    # Look angle against the vertical of the satellite, by the law of sines.
    below = np.linalg.norm(cartesian(np.stack([ties.lon, ties.lat], axis=-1), ties.height), axis=-1)
    elevation = np.degrees(np.arcsin(below / satellite * np.sin(np.radians(ties.incidence))))
    points = []
    for i, line in enumerate(ties.line):
        for j, pixel in enumerate(ties.pixel):
            point: Tree = {
                "azimuthTime": iso_micro(float(ties.time[i, j])),
                "slantRangeTime": f"{ties.slant_range_time[i, j]:.15e}",
                "line": str(line),
                "pixel": str(pixel),
                "latitude": f"{ties.lat[i, j]:.15e}",
                "longitude": f"{ties.lon[i, j]:.15e}",
                "height": f"{ties.height[i, j]:.15e}",
                "incidenceAngle": f"{ties.incidence[i, j]:.15e}",
                "elevationAngle": f"{elevation[i, j]:.15e}",
            }
            points.append(("geolocationGridPoint", point))
    return points


def _conversions(swath: RadarSwath) -> Tree:
    """Polynomials at whole seconds, from before the first line to after the last."""
    records = []
    for second in range(int(np.floor(swath.start)) - 1, int(np.ceil(swath.stop)) + 2):
        slant, ground = swath.conversion(second)
        record: Tree = {
            "azimuthTime": iso_micro(float(second)),
            "slantRangeTime": f"{2 * swath.near_range / LIGHT:.15e}",
            "sr0": f"{swath.near_range:.15e}",
            "srgrCoefficients": _row(ground, ".15e"),
            "gr0": f"{0.0:.15e}",
            "grsrCoefficients": _row(slant, ".15e"),
        }
        records.append(("coordinateConversion", record))
    return records


def _merges(swath: RadarSwath, noise: Noise) -> Tree:
    merges = []
    for name in SUB_SWATHS:
        bounds: list[tuple[str, Tree]] = [
            (
                "swathBounds",
                {
                    "azimuthTime": iso_micro(float(swath.line_time(block.first_line))),
                    "firstAzimuthLine": str(block.first_line),
                    "firstRangeSample": str(block.first_sample),
                    "lastAzimuthLine": str(block.last_line),
                    "lastRangeSample": str(block.last_sample),
                },
            )
            for block in noise.blocks
            if block.swath == name
        ]
        if bounds:
            merge: Tree = {"swath": name, "swathBoundsList": bounds}
            merges.append(("swathMerge", merge))
    return merges


def calibration_xml(frame: SafeFrame, polarisation: str, calibration: Calibration) -> bytes:
    """Text of the calibration file of a band."""
    beta = np.full(len(calibration.pixel), BETA)
    vectors: list[tuple[str, Tree]] = [
        (
            "calibrationVector",
            {
                "azimuthTime": iso_micro(float(frame.swath.line_time(line))),
                "line": str(line),
                "pixel": _row(calibration.pixel, "d"),
                "sigmaNought": _row(calibration.sigma, ".6e"),
                "betaNought": _row(beta, ".6e"),
                "gamma": _row(calibration.gamma, ".6e"),
                "dn": _row(beta, ".6e"),
            },
        )
        for line in calibration.line
    ]
    tree: Tree = {
        "adsHeader": _header(frame, polarisation),
        "calibrationInformation": {"absoluteCalibrationConstant": f"{1.0:.6e}"},
        "calibrationVectorList": vectors,
    }
    return _xml("calibration", tree)


def noise_xml(frame: SafeFrame, polarisation: str, noise: Noise) -> bytes:
    """Text of the noise file of a band, in the form of its time."""
    head: dict[str, Tree] = {"adsHeader": _header(frame, polarisation)}
    if not frame.noise.azimuth:
        vectors = _noise_vectors(frame, noise, "noiseVector", "noiseLut")
        return _xml("noise", {**head, "noiseVectorList": vectors})
    blocks: list[tuple[str, Tree]] = [
        (
            "noiseAzimuthVector",
            {
                "swath": block.swath,
                "firstAzimuthLine": str(block.first_line),
                "firstRangeSample": str(block.first_sample),
                "lastAzimuthLine": str(block.last_line),
                "lastRangeSample": str(block.last_sample),
                "line": _row(block.line, "d"),
                "noiseAzimuthLut": _row(block.value, ".6e"),
            },
        )
        for block in noise.blocks
    ]
    vectors = _noise_vectors(frame, noise, "noiseRangeVector", "noiseRangeLut")
    head |= {"noiseRangeVectorList": vectors, "noiseAzimuthVectorList": blocks}
    return _xml("noise", head)


def _noise_vectors(frame: SafeFrame, noise: Noise, name: str, table: str) -> list[tuple[str, Tree]]:
    return [
        (
            name,
            {
                "azimuthTime": iso_micro(float(frame.swath.line_time(vector.line))),
                "line": str(vector.line),
                "pixel": _row(vector.pixel, "d"),
                table: _row(vector.value, ".6e"),
            },
        )
        for vector in noise.vectors
    ]


class _Row(str):
    """Numbers in one element; knows how many."""

    __slots__ = ("length",)
    length: int


def _row(values: Iterable[float], how: str) -> _Row:
    parts = [format(value, how) for value in values]
    row = _Row(" ".join(parts))
    row.length = len(parts)
    return row


def _xml(tag: str, tree: Tree) -> bytes:
    root = _element(tag, tree)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text


def _element(tag: str, tree: Tree) -> ElementTree.Element:
    """Element with text, with named children, or with a counted list of them."""
    element = ElementTree.Element(tag)
    if isinstance(tree, str):
        element.text = tree
        if isinstance(tree, _Row):
            element.set("count", str(tree.length))
    elif isinstance(tree, Mapping):
        element.extend(_element(name, child) for name, child in tree.items())
    else:
        element.set("count", str(len(tree)))
        element.extend(_element(name, child) for name, child in tree)
    return element
