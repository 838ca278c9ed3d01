"""Ice motion that is known exactly, everywhere and at any time.

The ice is cut by curved cracks into plates. A material point is named by where it was at the
reference time, X. Plate k turns by theta_k(t) about its centre c_k and slips by s_k(t); all
plates together are strained by A(t) = exp(M g(t)) about the origin O and drift by d(t):

    x(X, t) = O + d(t) + A(t) (c_k + s_k(t) + R(theta_k(t)) (X - c_k) - O)

Every function of time is a sum of a steady rate, waves and events whose integrals are known, so
positions, velocities and velocity gradients are closed forms, and so is the inverse, plate by
plate. Where plates part, a lead opens: it holds no material point. Where they overlap, the plate
whose edge is further away lies on top.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Delaunay

from lagrangian_ice.grid import Float
from lagrangian_ice.times import SECONDS_PER_DAY

STEADY_DAYS = 4.0
"""Days for which the rates of :class:`MotionSettings` hold without shrinking."""

MINIMUM_PLATES = 6
"""Fewer centres than this do not surround a plate."""


@dataclass(frozen=True)
class Course:
    """D quantities that change in time, all zero at time zero.

    The rate is ``rate + sum wave cos(2 pi t / period + phase)`` plus, for each event, a rise of
    the quantity by ``event`` as a hyperbolic tangent of the given width.

    Attributes
    ----------
    rate : (D,) float64
        Steady rate, per second.
    wave : (M, D) float64
        Amplitude of each wave of the rate, per second.
    period : (M,) float64
        Seconds.
    phase : (M, D) float64
        Radians.
    event : (P, D) float64
        What each event adds in all.
    moment, width : (P,) float64
        Middle and duration scale of the events, seconds.
    """

    rate: Float
    wave: Float
    period: Float
    phase: Float
    event: Float
    moment: Float
    width: Float

    def taken(self, index: ArrayLike) -> Course:
        """Course of some of the quantities: ``index`` (...) in place of the D of them."""
        index = np.asarray(index, dtype=np.intp)
        return dataclasses.replace(
            self,
            rate=self.rate[index],
            wave=self.wave[:, index],
            phase=self.phase[:, index],
            event=self.event[:, index],
        )

    def value(self, time: ArrayLike) -> Float:
        """Quantities at times that broadcast against them, seconds since time zero."""
        time = np.asarray(time, dtype=np.float64)
        total = self.rate * time
        for wave, period, phase in zip(self.wave, self.period, self.phase, strict=True):
            omega = 2 * np.pi / period
            total = total + wave / omega * (np.sin(omega * time + phase) - np.sin(phase))
        for event, moment, width in zip(self.event, self.moment, self.width, strict=True):
            rise = np.tanh((time - moment) / width) - np.tanh(-moment / width)
            total = total + 0.5 * event * rise
        return np.asarray(total, dtype=np.float64)

    def derivative(self, time: ArrayLike) -> Float:
        """Rates of change at times that broadcast against the quantities, per second."""
        time = np.asarray(time, dtype=np.float64)
        total = self.rate + 0.0 * time
        for wave, period, phase in zip(self.wave, self.period, self.phase, strict=True):
            total = total + wave * np.cos(2 * np.pi / period * time + phase)
        for event, moment, width in zip(self.event, self.moment, self.width, strict=True):
            total = total + 0.5 * event / (width * np.cosh((time - moment) / width) ** 2)
        return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True)
class IceMotion:
    """Motion of all plates of a piece of sea ice.

    Times are seconds since 1970, positions EPSG:3413 metres.

    Attributes
    ----------
    reference_time : float
        When every material point is at its own name.
    origin : (2,) float64
        Centre of the large-scale strain.
    centres : (K, 2) float64
        Of the plates, at the reference time.
    bend : (M, 2) float64
        Amplitudes of the waves that curve the cracks, metres.
    bend_wave : (M, 2) float64
        Their wave vectors, radians per metre.
    bend_phase : (M,) float64
        Radians.
    strain : (2, 2) float64
        The matrix M.
    strain_course, drift, rotation, slip : Course
        g (D = 1), d (D = 2, metres), theta (D = K, radians), s (D = 2 K, metres).
    """

    reference_time: float
    origin: Float
    centres: Float
    bend: Float
    bend_wave: Float
    bend_phase: Float
    strain: Float
    strain_course: Course
    drift: Course
    rotation: Course
    slip: Course

    def __post_init__(self) -> None:
        if len(self.centres) < MINIMUM_PLATES:
            raise ValueError(
                f"{len(self.centres)} plates; at least {MINIMUM_PLATES} are needed, "
                "so take smaller plates or a larger area"
            )

    @cached_property
    def neighbours(self) -> list[NDArray[np.intp]]:
        """Plates that touch each plate."""
        start, joined = Delaunay(self.centres).vertex_neighbor_vertices
        return [joined[start[k] : start[k + 1]].astype(np.intp) for k in range(len(self.centres))]

    def plate_of(self, material: ArrayLike) -> NDArray[np.intp]:
        """Plate (N,) that material points (N, 2) belong to."""
        bent = self._bent(np.asarray(material, dtype=np.float64))
        distance = np.stack([((bent - centre) ** 2).sum(axis=-1) for centre in self.centres])
        return np.asarray(distance.argmin(axis=0))

    def position(self, material: ArrayLike, time: ArrayLike) -> Float:
        """Where material points (N, 2) are at time(s).

        Parameters
        ----------
        material : (N, 2) array_like
            Positions at the reference time, metres.
        time : float or (N,) array_like
            Seconds since 1970.

        Returns
        -------
        (N, 2) float64
            Metres; NaN for NaN.
        """
        material, seconds = self._checked(material, time)
        matrix, shift = self._affine(self.plate_of(material), seconds)
        moved = np.einsum("nij,nj->ni", matrix, material - self.origin) + shift
        return np.asarray(self.origin + moved, dtype=np.float64)

    def velocity(self, material: ArrayLike, time: ArrayLike) -> Float:
        """Velocity (N, 2) of material points (N, 2), m s-1."""
        material, seconds = self._checked(material, time)
        plate = self.plate_of(material)
        stretch = self._stretch(seconds)
        centre = self.centres[plate]
        turn = _rotations(self._turn(plate, seconds))
        arm = np.einsum("nij,nj->ni", turn, material - centre)
        inner = centre + self._slip(plate, seconds) + arm - self.origin
        spin = self._spin(plate, seconds)
        quarter_turned = np.stack([-arm[:, 1], arm[:, 0]], axis=1)
        inner_rate = self._slip_rate(plate, seconds) + spin[:, None] * quarter_turned
        since = seconds[:, None] - self.reference_time
        growth = self.strain_course.derivative(since)
        strained = np.einsum("nij,nj->ni", stretch, inner) @ self.strain.T * growth
        carried = np.einsum("nij,nj->ni", stretch, inner_rate)
        return np.asarray(strained + carried + self.drift.derivative(since), dtype=np.float64)

    def velocity_gradient(self, material: ArrayLike, time: ArrayLike) -> Float:
        """Velocity gradient inside the plates.

        Parameters
        ----------
        material : (N, 2) array_like
            Positions at the reference time, metres.
        time : float or (N,) array_like
            Seconds since 1970.

        Returns
        -------
        (N, 2, 2) float64
            ``[..., i, j]`` is the derivative of velocity component i along map axis j, s-1.
        """
        material, seconds = self._checked(material, time)
        plate = self.plate_of(material)
        stretch = self._stretch(seconds)
        spin = self._spin(plate, seconds)
        quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        turning = stretch @ quarter_turn @ np.linalg.inv(stretch) * spin[:, None, None]
        growth = self.strain_course.derivative(seconds[:, None, None] - self.reference_time)
        return np.asarray(self.strain * growth + turning, dtype=np.float64)

    def material(self, xy: ArrayLike, time: ArrayLike) -> tuple[Float, NDArray[np.intp]]:
        """Which material points lie at map positions.

        Parameters
        ----------
        xy : (N, 2) array_like
            Map positions, metres.
        time : float or (N,) array_like
            Seconds since 1970.

        Returns
        -------
        material : (N, 2) float64
            NaN in open leads.
        plate : (N,) int
            -1 in open leads.
        """
        xy, seconds = self._checked(xy, time)
        best = np.zeros(len(xy))
        found = np.full((len(xy), 2), np.nan)
        plates = np.full(len(xy), -1, dtype=np.intp)
        for plate in range(len(self.centres)):
            matrix, shift = self.inverse_affine(plate, seconds)
            candidate = np.einsum("nij,nj->ni", matrix, xy - self.origin) + shift + self.origin
            margin = self.margin(plate, candidate)
            better = margin > best
            best[better], found[better], plates[better] = margin[better], candidate[better], plate
        return found, plates

    def visible(self, material: ArrayLike, time: ArrayLike) -> NDArray[np.bool_]:
        """Whether material points (N, 2) lie on top, not below another plate, at time(s)."""
        material = np.asarray(material, dtype=np.float64)
        _, plate = self.material(self.position(material, time), time)
        return np.asarray(plate == self.plate_of(material))

    def advected(self, xy: ArrayLike, time: ArrayLike, later: ArrayLike) -> Float:
        """Where the ice that is at map positions (N, 2) at one time is at another.

        NaN for positions in an open lead.
        """
        material, _ = self.material(xy, time)
        return self.position(material, later)

    def margin(self, plate: int, material: NDArray[np.floating]) -> NDArray[np.floating]:
        """Distance (...) of material points (..., 2) inside the plate's edge, metres.

        Negative outside. It is the distance in the plane in which the cracks are straight, so
        it is true to some ten per cent beside them.
        """
        bent = self._bent(material)
        centre = self.centres[plate]
        normals = self.centres[self.neighbours[plate]] - centre
        lengths = np.linalg.norm(normals, axis=1)
        x = bent[..., 0] - bent.dtype.type(centre[0])
        y = bent[..., 1] - bent.dtype.type(centre[1])
        margin = np.full(x.shape, np.inf, dtype=bent.dtype)
        for normal, length in zip(normals / lengths[:, None], lengths, strict=True):
            across = x * x.dtype.type(normal[0]) + y * x.dtype.type(normal[1])
            np.minimum(margin, x.dtype.type(0.5 * length) - across, out=margin)
        return margin

    def inverse_affine(self, plate: int, time: Float) -> tuple[Float, Float]:
        """Matrices (T, 2, 2) and shifts (T, 2) that take map positions to material points.

        Both about the origin: ``X - O = matrix (x - O) + shift``.
        """
        moments, which = np.unique(time, return_inverse=True)
        matrix, shift = self._affine(np.full(len(moments), plate), moments)
        inverse = np.linalg.inv(matrix)
        back = -np.einsum("nij,nj->ni", inverse, shift)
        return np.asarray(inverse[which]), np.asarray(back[which])

    def carried_affine(self, time: Float) -> tuple[Float, Float]:
        """Take map positions back by the large-scale motion alone, as :meth:`inverse_affine`."""
        inverse = np.linalg.inv(self._stretch(time))
        drift = self.drift.value(time[:, None] - self.reference_time)
        return np.asarray(inverse), np.asarray(-np.einsum("nij,nj->ni", inverse, drift))

    def as_json(self) -> str:
        """Text from which :meth:`from_json` makes the same motion, bit for bit."""
        return json.dumps(dataclasses.asdict(self), default=lambda array: array.tolist())

    @classmethod
    def from_json(cls, text: str) -> IceMotion:
        """Inverse of :meth:`as_json`.

        Raises
        ------
        ValueError
            If the text is not a motion.
        """
        try:
            fields = json.loads(text)
            courses = ("strain_course", "drift", "rotation", "slip")
            made: dict[str, Any] = {name: _course_from(fields.pop(name)) for name in courses}
            made["reference_time"] = float(fields.pop("reference_time"))
            made |= {name: np.asarray(value, dtype=np.float64) for name, value in fields.items()}
            return cls(**made)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"text is not an ice motion ({error})") from None

    def _checked(self, points: ArrayLike, time: ArrayLike) -> tuple[Float, Float]:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points have shape {points.shape}, not (N, 2)")
        return points, np.broadcast_to(np.asarray(time, dtype=np.float64), len(points))

    def _bent(self, material: NDArray[np.floating]) -> NDArray[np.floating]:
        """Material points moved so that the cracks between plates become straight."""
        kind = material.dtype.type
        bent = material.copy()
        origin = self.origin.astype(material.dtype)
        x, y = material[..., 0] - origin[0], material[..., 1] - origin[1]
        for size, wave, phase in zip(self.bend, self.bend_wave, self.bend_phase, strict=True):
            ripple = np.sin(x * kind(wave[0]) + y * kind(wave[1]) + kind(phase))
            bent[..., 0] += kind(size[0]) * ripple
            bent[..., 1] += kind(size[1]) * ripple
        return bent

    def _affine(self, plate: NDArray[np.intp], time: Float) -> tuple[Float, Float]:
        """Matrices and shifts with ``x - O = matrix (X - O) + shift``, one for each pair."""
        stretch = self._stretch(time)
        turn = _rotations(self._turn(plate, time))
        centre = self.centres[plate] - self.origin
        inner = centre + self._slip(plate, time) - np.einsum("nij,nj->ni", turn, centre)
        drift = self.drift.value(time[:, None] - self.reference_time)
        return stretch @ turn, np.einsum("nij,nj->ni", stretch, inner) + drift

    def _stretch(self, time: Float) -> Float:
        growth = self.strain_course.value(time - self.reference_time)
        return _exponentials(self.strain, growth)

    def _turn(self, plate: NDArray[np.intp], time: Float) -> Float:
        return self.rotation.taken(plate).value(time - self.reference_time)

    def _spin(self, plate: NDArray[np.intp], time: Float) -> Float:
        return self.rotation.taken(plate).derivative(time - self.reference_time)

    def _slip(self, plate: NDArray[np.intp], time: Float) -> Float:
        own = self.slip.taken(np.stack([2 * plate, 2 * plate + 1], axis=-1))
        return own.value(time[:, None] - self.reference_time)

    def _slip_rate(self, plate: NDArray[np.intp], time: Float) -> Float:
        own = self.slip.taken(np.stack([2 * plate, 2 * plate + 1], axis=-1))
        return own.derivative(time[:, None] - self.reference_time)


def _course_from(fields: dict[str, list[object]]) -> Course:
    shapes = {"wave": 2, "phase": 2, "event": 2}
    dimension = len(fields["rate"])
    arrays = {}
    for name, value in fields.items():
        array = np.asarray(value, dtype=np.float64)
        arrays[name] = array.reshape(-1, dimension) if name in shapes else array
    return Course(**arrays)


def _rotations(angle: Float) -> Float:
    """Matrices (N, 2, 2) of counter-clockwise turns by angles (N,) in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def _exponentials(matrix: Float, factor: Float) -> Float:
    """exp(matrix * factor) for 2 x 2 matrix and factors (N,), by Cayley-Hamilton."""
    half_trace = 0.5 * np.trace(matrix)
    deviator = matrix - half_trace * np.eye(2)
    root = np.sqrt(complex(-np.linalg.det(deviator)))
    cosh = np.cosh(root * factor).real
    sinh = factor if abs(root) < 1e-30 else (np.sinh(root * factor) / root).real
    inner = cosh[:, None, None] * np.eye(2) + sinh[:, None, None] * deviator
    return np.asarray(np.exp(half_trace * factor)[:, None, None] * inner, dtype=np.float64)


@dataclass(frozen=True)
class MotionSettings:
    """How strongly simulated ice moves. All rates are typical values, per day.

    In records longer than ``STEADY_DAYS`` the steady rates are smaller, as the square root of the
    length: directions that last for days do not last for months.

    Attributes
    ----------
    plate_size : float
        Distance of neighbouring plate centres, metres.
    drift : float
        Speed of the mean drift, metres per day.
    rotation : float
        Standard deviation of the plates' rotation, degrees per day.
    slip : float
        Standard deviation of a plate's own motion along each axis, metres per day.
    opening : float
        Rate at which plate centres part, per day: all of it happens in the cracks.
    strain : float
        Standard deviation of each term of the smooth velocity gradient, per day.
    variability : float
        Size of the changes in time against the steady rates; 0 for a steady motion.
    event : float
        Displacement by a wind event (one about every two days), metres; 0 for none.
    """

    plate_size: float = 40e3
    drift: float = 8e3
    rotation: float = 0.7
    slip: float = 250.0
    opening: float = 0.004
    strain: float = 0.003
    variability: float = 0.6
    event: float = 4e3

    def __post_init__(self) -> None:
        if not self.plate_size > 0:
            raise ValueError(f"plate_size {self.plate_size} m is not positive")
        for field in dataclasses.fields(self):
            if not np.isfinite(getattr(self, field.name)):
                raise ValueError(f"{field.name} {getattr(self, field.name)} is not finite")


def random_motion(
    bounds: tuple[float, float, float, float],
    reference_time: float,
    days: float,
    rng: np.random.Generator,
    settings: MotionSettings | None = None,
) -> IceMotion:
    """Draw a motion.

    Parameters
    ----------
    bounds : tuple of float
        xmin, ymin, xmax, ymax of the ice at the reference time, metres.
    reference_time : float
        Seconds since 1970.
    days : float
        Length of the record, in which the events fall.
    rng : numpy.random.Generator
        Source of the randomness.
    settings : MotionSettings, optional
        Strength of the motion.

    Raises
    ------
    ValueError
        If ``days`` is not positive or the plates are too large for the bounds to hold some.
    """
    if not days > 0:
        raise ValueError(f"days {days} is not positive")
    settings = settings or MotionSettings()
    origin = np.array([bounds[0] + bounds[2], bounds[1] + bounds[3]]) / 2
    centres = _plate_centres(bounds, settings.plate_size, rng)
    bend, bend_wave, bend_phase = _bends(settings.plate_size, rng)
    steady = min(1.0, STEADY_DAYS / days) ** 0.5
    strain = steady * rng.normal(0, settings.strain, (2, 2)) / SECONDS_PER_DAY
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    drift = _course(steady * settings.drift / SECONDS_PER_DAY * direction, settings, rng)
    rotation = steady * np.deg2rad(rng.normal(0, settings.rotation, len(centres)))
    slip = rng.normal(0, settings.slip, centres.shape) + settings.opening * (centres - origin)
    slip *= steady
    return IceMotion(
        reference_time=float(reference_time),
        origin=origin,
        centres=centres,
        bend=bend,
        bend_wave=bend_wave,
        bend_phase=bend_phase,
        strain=strain,
        strain_course=_course(np.ones(1), settings, rng),
        drift=_with_events(drift, direction, days, settings, rng),
        rotation=_course(rotation / SECONDS_PER_DAY, settings, rng),
        slip=_course(slip.ravel() / SECONDS_PER_DAY, settings, rng),
    )


def _plate_centres(
    bounds: tuple[float, float, float, float], size: float, rng: np.random.Generator
) -> Float:
    """Jittered hexagonal lattice that reaches a plate and a half beyond the bounds."""
    xs = np.arange(bounds[0] - 1.5 * size, bounds[2] + 1.5 * size, size)
    ys = np.arange(bounds[1] - 1.5 * size, bounds[3] + 1.5 * size, size * 0.75**0.5)
    x, y = np.meshgrid(xs, ys)
    x[1::2] += 0.5 * size
    lattice = np.stack([x.ravel(), y.ravel()], axis=1)
    shifted = lattice + rng.uniform(-0.5, 0.5, 2) * size
    return np.asarray(shifted + rng.uniform(-0.33, 0.33, lattice.shape) * size)


def _bends(size: float, rng: np.random.Generator) -> tuple[Float, Float, Float]:
    """Waves that curve the cracks, from the size of a plate down to a twentieth of it."""
    length = size * np.array([1.3, 0.7, 0.4, 0.2, 0.1, 0.05])
    angle = rng.uniform(0, 2 * np.pi, len(length))
    wave = 2 * np.pi / length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    turn = angle + rng.normal(np.pi / 2, 0.5, len(length))
    bend = 0.05 * length[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return bend, wave, rng.uniform(0, 2 * np.pi, len(length))


def _course(rate: Float, settings: MotionSettings, rng: np.random.Generator) -> Course:
    """Steady rates with a semidiurnal and a synoptic wave in proportion to them."""
    share = settings.variability * np.array([[0.3], [1.0]])
    return Course(
        rate=rate,
        wave=share * rate,
        period=np.array([12.2 * 3600.0, rng.uniform(2.5, 5.0) * SECONDS_PER_DAY]),
        phase=rng.uniform(0, 2 * np.pi, (2, len(rate))),
        event=np.zeros((0, len(rate))),
        moment=np.zeros(0),
        width=np.ones(0),
    )


def _with_events(
    course: Course,
    direction: Float,
    days: float,
    settings: MotionSettings,
    rng: np.random.Generator,
) -> Course:
    count = max(1, round(days / 2)) if settings.event > 0 else 0
    turn = rng.normal(0, 1.0, count)
    size = settings.event * rng.uniform(0.3, 1.5, count)
    along = np.stack([direction, np.array([-direction[1], direction[0]])])
    return dataclasses.replace(
        course,
        event=size[:, None] * (np.stack([np.cos(turn), np.sin(turn)], axis=1) @ along),
        moment=rng.uniform(0, days, count) * SECONDS_PER_DAY,
        width=rng.uniform(0.15, 0.5, count) * SECONDS_PER_DAY,
    )
