"use strict";
(() => {
  const DAY = 86400, QUANTUM = 0.1, BINS = 64;
  const INK = "#26323d", QUIET = "#5d6b78", WATER = "#f3f6f9", LAND = "#d8d3c8", LINE = "#c2ccd6", MARK = "#c8553d";
  const MISSING = "#a9b4be";
  const KINDS = ["#1f5a8c", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a5195", "#8a8d3c"];
  const $ = (id) => document.getElementById(id);
  const page = JSON.parse($("page").textContent);

  // ---- data ------------------------------------------------------------------------------
  async function inflate(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, i1: Int8Array };

  function unpack(buffer, column) {
    const values = new TYPES[column.type](buffer, column.offset, column.count);
    if (column.delta) for (let i = 1; i < values.length; i++) values[i] += values[i - 1];
    if (!column.factor) return values;
    return Float64Array.from(values, (value) => value * column.factor + (column.add || 0));
  }

  const missing = (column, value) => Number.isNaN(value) || value === column.missing;

  // ---- map: polar stereographic, EPSG:3413, WGS84 -------------------------------------------
  const ECC = 0.0818191908426215, AXIS = 6378137, RAD = Math.PI / 180;
  const half = (lat) => {
    const s = ECC * Math.sin(lat);
    return Math.tan(Math.PI / 4 - lat / 2) / Math.pow((1 - s) / (1 + s), ECC / 2);
  };
  const LAT_TS = 70 * RAD;
  const SCALE = AXIS * Math.cos(LAT_TS) / Math.sqrt(1 - (ECC * Math.sin(LAT_TS)) ** 2) / half(LAT_TS);
  const radius = (lat) => SCALE * half(lat * RAD);

  function lonLat(x, y) {
    const t = Math.hypot(x, y) / SCALE;
    let lat = Math.PI / 2 - 2 * Math.atan(t);
    for (let i = 0; i < 8; i++) {
      const s = ECC * Math.sin(lat);
      lat = Math.PI / 2 - 2 * Math.atan(t * Math.pow((1 - s) / (1 + s), ECC / 2));
    }
    let lon = Math.atan2(x, -y) / RAD - 45;
    if (lon < -180) lon += 360;
    return [lon, lat / RAD];
  }

  // ---- text --------------------------------------------------------------------------------
  const two = (number) => String(number).padStart(2, "0");
  function stamp(seconds) {
    const d = new Date(Math.round(seconds) * 1000);
    return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ` +
      `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  }
  function number(value, digits = 4) {
    if (Number.isNaN(value)) return "\u2013";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
    return String(Number(value.toPrecision(digits)));
  }
  function place(x, y) {
    const [lon, lat] = lonLat(x, y);
    return `${lat.toFixed(4)}\u00b0N ${Math.abs(lon).toFixed(4)}\u00b0${lon < 0 ? "W" : "E"}`;
  }
  function meaning(column, value) {
    if (missing(column, value)) return "\u2013";
    if (!column.mask) return (column.flags.find((flag) => flag[0] === value) || [0, String(value)])[1];
    const set = column.flags.filter((flag) => (value & flag[0]) !== 0).map((flag) => flag[1]);
    return set.length ? set.join(", ") : "good";
  }
  function shown(column, value) {
    if (missing(column, value)) return "\u2013";
    if (column.flags) return meaning(column, value);
    return column.time ? stamp(page.origin + value * DAY) : number(value);
  }
  const withUnit = (column) => column.label + (column.unit ? ` (${column.unit})` : "");

  function element(name, text, parent) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  // ---- colours -----------------------------------------------------------------------------
  function rampOf(name) {
    const text = page.maps[name], ramp = [];
    for (let i = 0; i < text.length; i += 6) ramp.push(`#${text.slice(i, i + 6)}`);
    return ramp;
  }

  class Colours {
    constructor(column, values, low, high, log) {
      this.column = column;
      this.count = column.flags ? column.flags.length + 1 : BINS;
      this.ramp = column.flags ? this.kinds() : rampOf(column.map);
      this.bins = new Int16Array(values.length);
      const span = log ? Math.log(high / low) : high - low;
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        if (missing(column, value)) this.bins[i] = -1;
        else if (column.flags) this.bins[i] = this.kind(value);
        else {
          const share = log ? Math.log(Math.max(value, 1e-300) / low) / span : (value - low) / span;
          this.bins[i] = Math.max(0, Math.min(BINS - 1, Math.floor(share * BINS)));
        }
      }
    }
    kinds() { return ["#dfe5ea", ...this.column.flags.map((_, i) => KINDS[i % KINDS.length])]; }
    kind(value) {
      const at = this.column.flags.findIndex((flag) => this.column.mask ? (value & flag[0]) !== 0 : flag[0] === value);
      return at + 1;
    }
    css(bin) { return bin < 0 ? MISSING : this.ramp[bin]; }
  }

  /** Indices grouped by colour: those of bin b lie from start[b + 1] to start[b + 2]. */
  function grouped(bins, count, indices) {
    const start = new Int32Array(count + 3);
    for (const i of indices) start[bins[i] + 3]++;
    for (let b = 1; b < start.length; b++) start[b] += start[b - 1];
    const order = new Int32Array(indices.length), at = start.slice();
    for (const i of indices) order[at[bins[i] + 2]++] = i;
    return { order, start: start.slice(1) };
  }

  // ---- the page ------------------------------------------------------------------------------
  async function main() {
    const buffer = await inflate($("data").textContent);
    const table = (columns) => Object.fromEntries(columns.map((column) => [column.name, unpack(buffer, column)]));
    const obs = table(page.observations), parcels = table(page.parcels);
    const nodes = table(page.nodes), faces = table(page.faces);
    const n = page.observations.length ? obs.x.length : 0, m = page.parcels.length ? parcels.trajectory.length : 0;
    const f = page.faces.length ? faces.pair.length : 0;
    const has = { lines: n > 0, faces: f > 0 };

    const first = new Int32Array(m + 1).fill(n);
    for (let i = n - 1; i >= 0; i--) first[obs.parcel[i]] = i;
    const segments = [];
    for (let i = 1; i < n; i++) if (obs.parcel[i] === obs.parcel[i - 1]) segments.push(i);

    const pairs = [];
    for (let i = 0; i < f; i++) {
      const last = pairs[pairs.length - 1];
      if (last && last.pair === faces.pair[i]) last.stop = i + 1;
      else pairs.push({ pair: faces.pair[i], start: i, stop: i + 1, begin: Infinity, end: -Infinity });
    }
    for (const pair of pairs) for (let i = pair.start; i < pair.stop; i++) for (const key of ["a", "b", "c"]) {
      const node = faces[key][i];
      pair.begin = Math.min(pair.begin, nodes.time_start[node]);
      pair.end = Math.max(pair.end, nodes.time_end[node]);
    }
    pairs.sort((one, other) => one.end - other.end);

    const land = page.land.map((part) => {
      const points = unpack(buffer, part.points), sizes = unpack(buffer, part.sizes), path = new Path2D();
      let at = 0;
      for (const size of sizes) {
        let x = 0, y = 0;
        for (let i = 0; i < size; i++, at += 2) {
          x += points[at] * part.unit;
          y += points[at + 1] * part.unit;
          if (i) path.lineTo(x, y); else path.moveTo(x, y);
        }
        path.closePath();
      }
      return { path, bounds: part.bounds };
    });

    // ---- view ----------------------------------------------------------------------------
    const canvas = $("map"), pen = canvas.getContext("2d");
    const view = { x: 0, y: 0, scale: 1, width: 1, height: 1 };
    const state = { time: page.last, trail: Infinity, parcel: -1, face: -1, playing: false };
    const px = (x) => (x - view.x) * view.scale + view.width / 2;
    const py = (y) => (view.y - y) * view.scale + view.height / 2;
    const mx = (left) => (left - view.width / 2) / view.scale + view.x;
    const my = (top) => view.y - (top - view.height / 2) / view.scale;

    function fit() {
      const [left, bottom, right, top] = page.bounds;
      view.scale = Math.min(view.width / (right - left), (view.height - 70) / (top - bottom));
      view.x = (left + right) / 2;
      view.y = (bottom + top) / 2 - 25 / view.scale;
    }
    function resize() {
      const box = canvas.getBoundingClientRect(), dots = window.devicePixelRatio || 1;
      const fresh = view.width === 1;
      view.width = Math.max(box.width, 2);
      view.height = Math.max(box.height, 2);
      canvas.width = Math.round(view.width * dots);
      canvas.height = Math.round(view.height * dots);
      if (fresh) fit();
      ask();
    }
    function zoom(factor, left = view.width / 2, top = view.height / 2) {
      const x = mx(left), y = my(top);
      view.scale = Math.max(2e-5, Math.min(10, view.scale * factor));
      view.x = x - (left - view.width / 2) / view.scale;
      view.y = y + (top - view.height / 2) / view.scale;
      ask();
    }

    // ---- what is coloured how --------------------------------------------------------------
    const layers = {
      line: { columns: page.observations.filter((c) => c.colour), data: obs, group: null, colours: null },
      face: { columns: page.faces.filter((c) => c.colour), data: faces, colours: null },
    };
    function paint(key) {
      const layer = layers[key], column = layer.column;
      const log = $(`${key}-log`).checked && layer.low > 0;
      layer.colours = new Colours(column, layer.data[column.name], layer.low, layer.high, log);
      if (key === "line") layer.group = grouped(layer.colours.bins, layer.colours.count, segments);
      bars();
      ask();
    }
    function choose(key, name, log) {
      const layer = layers[key];
      layer.column = layer.columns.find((column) => column.name === name) || layer.columns[0];
      const column = layer.column;
      // flags have names, not a range
      [layer.low, layer.high] = column.flags ? [0, 1] : [column.low, column.high];
      $(`${key}-colour`).value = column.name;
      $(`${key}-low`).value = number(layer.low);
      $(`${key}-high`).value = number(layer.high);
      $(`${key}-log`).checked = log === undefined ? Boolean(column.log) : log;
      $(`${key}-what`).textContent = column.comment || "";
      $(`${key}-low`).closest(".range").hidden = Boolean(column.flags || column.time);
      paint(key);
      if (key === "line" && state.parcel >= 0) tellParcel();
    }
    function bars() {
      const box = $("bars");
      box.textContent = "";
      for (const [key, tick] of [["line", "lines"], ["face", "faces"]]) {
        const layer = layers[key];
        if (!layer.colours || !$(tick).checked) continue;
        const bar = element("div", undefined, box), column = layer.column;
        bar.className = "bar";
        bar.dataset.variable = column.name;
        element("p", `${key === "line" ? "Trajectories" : "Triangles"}: ${withUnit(column)}`, bar);
        if (column.flags) keys(bar, layer.colours); else scaleBar(bar, layer, $(`${key}-log`).checked && layer.low > 0);
      }
    }
    function keys(bar, colours) {
      const line = element("div", undefined, bar);
      const names = colours.column.flags.map((flag) => flag[1]);
      (colours.column.mask ? ["good", ...names] : names).forEach((name, i) => {
        const at = colours.column.mask ? i : i + 1;
        const key = element("span", "", line);
        key.className = "key";
        key.style.background = colours.ramp[at];
        element("span", name.replaceAll("_", " "), line);
      });
    }
    function scaleBar(bar, layer, log) {
      const strip = element("canvas", undefined, bar), width = 260, dots = window.devicePixelRatio || 1;
      strip.width = (width + 20) * dots;
      strip.height = 28 * dots;
      strip.style.width = `${width + 20}px`;
      strip.style.height = "28px";
      const draw = strip.getContext("2d");
      draw.scale(dots, dots);
      layer.colours.ramp.forEach((colour, i) => {
        draw.fillStyle = colour;
        draw.fillRect(10 + Math.floor(i * width / BINS), 0, Math.ceil(width / BINS) + 1, 10);
      });
      draw.fillStyle = INK;
      draw.font = "11px system-ui, sans-serif";
      draw.clearRect(10 + width, 0, 10, 10);
      const ticks = layer.column.time ? 2 : 4;
      for (let i = 0; i <= ticks; i++) {
        const share = i / ticks;
        const value = log ? layer.low * Math.pow(layer.high / layer.low, share) : layer.low + share * (layer.high - layer.low);
        draw.textAlign = i === 0 ? "left" : i === ticks ? "right" : "center";
        draw.fillRect(10 + share * width - 0.5, 10, 1, 3);
        const text = layer.column.time ? stamp(page.origin + value * DAY).slice(5, 16) : number(value, 3);
        draw.fillText(text, i === 0 ? 2 : i === ticks ? width + 18 : 10 + share * width, 25);
      }
    }

    // ---- drawing ---------------------------------------------------------------------------
    let asked = false;
    function ask() {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; draw(); });
    }
    function draw() {
      const dots = window.devicePixelRatio || 1;
      pen.setTransform(dots, 0, 0, dots, 0, 0);
      pen.fillStyle = WATER;
      pen.fillRect(0, 0, view.width, view.height);
      drawLand(dots);
      pen.setTransform(dots, 0, 0, dots, 0, 0);
      graticule();
      const counts = { triangles: 0, segments: 0, dots: 0 };
      if (has.faces && $("faces").checked) counts.triangles = drawFaces();
      if (has.lines && $("lines").checked) {
        counts.segments = drawLines();
        counts.dots = drawDots();
      }
      drawChosen();
      drawScale();
      for (const [name, count] of Object.entries(counts)) canvas.dataset[name] = count;
      $("now").textContent = `${stamp(state.time)} UTC`;
    }
    function drawLand(dots) {
      for (const part of land) {
        const [left, bottom, right, top] = part.bounds;
        pen.save();
        pen.setTransform(dots, 0, 0, dots, 0, 0);
        pen.beginPath();
        pen.rect(px(left), py(top), (right - left) * view.scale, (top - bottom) * view.scale);
        pen.clip();
        pen.fillStyle = WATER;
        pen.fill();
        const s = view.scale * dots;
        pen.setTransform(s, 0, 0, -s, dots * view.width / 2 - s * view.x, dots * view.height / 2 + s * view.y);
        pen.fillStyle = LAND;
        pen.fill(part.path, "evenodd");
        pen.restore();
      }
    }
    function graticule() {
      const far = Math.max(Math.hypot(mx(0), my(0)), Math.hypot(mx(view.width), my(0)), Math.hypot(mx(0), my(view.height)), Math.hypot(mx(view.width), my(view.height)));
      const span = 90 * Math.max(view.width, view.height) / view.scale / 1e7;
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15].find((size) => size > span / 5) || 15;
      const near = Math.hypot(view.x, view.y), turn = near > 0 ? Math.max(view.width, view.height) / view.scale / near / RAD : 360;
      const across = turn > 150 ? 30 : [0.5, 1, 2, 5, 10, 15, 30].find((size) => size > turn / 6) || 30;
      pen.strokeStyle = LINE;
      pen.fillStyle = QUIET;
      pen.lineWidth = 0.7;
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "center";
      const inside = (left, top) => left > 50 && left < view.width - 10 && top > 10 && top < view.height - 60;
      for (let lat = 90 - step; lat >= 40 && radius(lat + step) < far; lat -= step) {
        const r = radius(lat);
        pen.beginPath();
        pen.arc(px(0), py(0), r * view.scale, 0, 2 * Math.PI);
        pen.stroke();
        for (let a = 0; a < 360; a += 3) {
          const left = px(r * Math.sin(a * RAD)), top = py(-r * Math.cos(a * RAD));
          if (inside(left, top)) { pen.fillText(`${number(lat)}\u00b0N`, left, top - 3); break; }
        }
      }
      for (let lon = -180; lon < 180; lon += across) {
        const a = (lon + 45) * RAD, x = Math.sin(a), y = -Math.cos(a), r0 = radius(90 - step), r1 = radius(40);
        pen.beginPath();
        pen.moveTo(px(r0 * x), py(r0 * y));
        pen.lineTo(px(r1 * x), py(r1 * y));
        pen.stroke();
        for (let s = 1; s >= 0; s -= 0.01) {
          const r = r0 + s * (Math.min(far, r1) - r0), left = px(r * x), top = py(r * y);
          if (inside(left, top)) { pen.fillText(lon === -180 ? "180\u00b0" : `${Math.abs(lon)}\u00b0${lon < 0 ? "W" : lon > 0 ? "E" : ""}`, left, top); break; }
        }
      }
    }
    const OVER = 1 * DAY;
    const active = () => pairs.filter((pair) => pair.begin <= state.time && pair.end > state.time - OVER);
    const unfit = (i) => !$("doubtful").checked && (faces.quality_flag[i] & page.unfit) !== 0;
    function nodeAt(node) {
      const t0 = nodes.time_start[node], share = Math.max(0, Math.min(1, (state.time - t0) / (nodes.time_end[node] - t0)));
      return [nodes.x[node] + share * nodes.dx[node], nodes.y[node] + share * nodes.dy[node]];
    }
    function drawFaces() {
      const colours = layers.face.colours;
      let count = 0;
      pen.lineWidth = 0.6;
      pen.lineJoin = "round";
      for (const pair of active()) {
        const paths = new Map();
        for (let i = pair.start; i < pair.stop; i++) {
          if (unfit(i)) continue;
          const bin = colours.bins[i];
          if (!paths.has(bin)) paths.set(bin, new Path2D());
          trace(paths.get(bin), i);
          count++;
        }
        for (const [bin, path] of paths) {
          pen.fillStyle = pen.strokeStyle = colours.css(bin);
          pen.fill(path);
          pen.stroke(path);
        }
      }
      return count;
    }
    function trace(path, i) {
      ["a", "b", "c"].forEach((key, k) => {
        const [x, y] = nodeAt(faces[key][i]);
        if (k) path.lineTo(px(x), py(y)); else path.moveTo(px(x), py(y));
      });
      path.closePath();
    }
    function drawLines() {
      const { order, start } = layers.line.group, colours = layers.line.colours;
      const oldest = state.time - state.trail;
      let count = 0;
      pen.lineWidth = m > 3000 ? 0.8 : 1.4;
      pen.lineCap = "round";
      // over triangles the ways are faint, so that the colours below can be read
      pen.globalAlpha = has.faces && $("faces").checked ? 0.45 : 1;
      for (let bin = -1; bin < colours.count; bin++) {
        pen.beginPath();
        for (let k = start[bin + 1]; k < start[bin + 2]; k++) {
          const i = order[k];
          if (obs.time[i] > state.time || obs.time[i] < oldest) continue;
          pen.moveTo(px(obs.x[i - 1]), py(obs.y[i - 1]));
          pen.lineTo(px(obs.x[i]), py(obs.y[i]));
          count++;
        }
        pen.strokeStyle = colours.css(bin);
        pen.stroke();
      }
      pen.globalAlpha = 1;
      return count;
    }
    /** Last observation of a parcel up to the time shown, -1 before its birth. */
    function lastSeen(p) {
      let low = first[p] - 1, high = first[p + 1] - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (obs.time[middle] <= state.time) low = middle; else high = middle - 1;
      }
      return low < first[p] ? -1 : low;
    }
    const ended = (p) => parcels.death_time[p] <= state.time;
    const dotSize = () => Math.max(0.8, Math.min(3, 130 / Math.sqrt(m)));
    function drawDots() {
      const colours = layers.line.colours, size = dotSize();
      let count = 0;
      for (let p = 0; p < m; p++) {
        const i = lastSeen(p);
        if (i < 0) continue;
        const left = px(obs.x[i]), top = py(obs.y[i]);
        if (left < -9 || top < -9 || left > view.width + 9 || top > view.height + 9) continue;
        count++;
        pen.beginPath();
        if (ended(p)) {
          const arm = Math.max(1.5, size * 0.8);
          pen.moveTo(left - arm, top - arm); pen.lineTo(left + arm, top + arm);
          pen.moveTo(left + arm, top - arm); pen.lineTo(left - arm, top + arm);
          pen.strokeStyle = MARK;
          pen.lineWidth = 1;
          pen.stroke();
          continue;
        }
        pen.arc(left, top, size, 0, 2 * Math.PI);
        pen.fillStyle = colours.css(colours.bins[i]);
        pen.fill();
        if (size > 1.4) { pen.strokeStyle = "rgba(38,50,61,.75)"; pen.lineWidth = 0.6; pen.stroke(); }
      }
      return count;
    }
    /** A line that is seen on every colour. */
    function marked(path) {
      for (const [colour, width] of [["#fff", 6], [MARK, 2.5]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = width;
        pen.stroke(path);
      }
    }
    function drawChosen() {
      if (state.face >= 0) {
        const path = new Path2D();
        trace(path, state.face);
        marked(path);
      }
      if (state.parcel < 0) return;
      const p = state.parcel, way = new Path2D();
      for (let i = first[p]; i < first[p + 1]; i++) way.lineTo(px(obs.x[i]), py(obs.y[i]));
      marked(way);
      for (let i = first[p]; i < first[p + 1]; i++) errorEllipse(i);
      const now = lastSeen(p);
      if (now < 0) return;
      const ring = new Path2D();
      ring.arc(px(obs.x[now]), py(obs.y[now]), 8, 0, 2 * Math.PI);
      marked(ring);
    }
    /** One stated sigma of tracking, true to scale: seen when one looks close. */
    function errorEllipse(i) {
      const a = obs.x_standard_error[i] ** 2, c = obs.y_standard_error[i] ** 2, b = obs.xy_error_covariance[i];
      const middle = (a + c) / 2, off = Math.hypot((a - c) / 2, b);
      const large = Math.sqrt(middle + off) * view.scale, small = Math.sqrt(Math.max(middle - off, 0)) * view.scale;
      if (!(large > 1)) { pen.fillStyle = MARK; pen.fillRect(px(obs.x[i]) - 1.5, py(obs.y[i]) - 1.5, 3, 3); return; }
      pen.beginPath();
      pen.ellipse(px(obs.x[i]), py(obs.y[i]), large, small, -Math.atan2(2 * b, a - c) / 2, 0, 2 * Math.PI);
      pen.stroke();
    }
    function drawScale() {
      const size = [1, 2, 5].flatMap((unit) => [0, 1, 2, 3, 4, 5, 6].map((power) => unit * 10 ** power))
        .sort((a, b) => a - b).filter((length) => length * view.scale <= 150).pop() || 1;
      const width = size * view.scale, top = view.height - 66;
      pen.fillStyle = INK;
      pen.fillRect(14, top, width, 3);
      pen.textAlign = "left";
      pen.font = "11px system-ui, sans-serif";
      pen.fillText(size >= 1000 ? `${size / 1000} km` : `${size} m`, 20 + width, top + 5);
    }

    // ---- details -----------------------------------------------------------------------------
    function list(parent, rows) {
      const dl = element("dl", undefined, parent);
      for (const [name, value] of rows) { element("dt", name, dl); element("dd", value, dl); }
    }
    function hint() {
      const box = $("details");
      box.textContent = "";
      const what = [has.lines && "a parcel for its history and errors", has.faces && "a triangle for its strain rates"].filter(Boolean);
      element("p", `Click ${what.join(", or ")}.`, box).className = "what";
    }
    const columnOf = (columns, name) => columns.find((column) => column.name === name);
    function tellParcel() {
      const box = $("details"), p = state.parcel;
      box.textContent = "";
      const stream = String.fromCharCode(97 + parcels.stream[p]);
      element("h2", `Parcel ${parcels.trajectory[p]}`, box);
      const reason = meaning(columnOf(page.parcels, "death_reason"), parcels.death_reason[p]).replaceAll("_", " ");
      const dead = parcels.death_time[p], now = lastSeen(p), rows = [
        ["stream", `${stream}, seed row ${parcels.seed_row[p]}, column ${parcels.seed_col[p]}`],
        ["born", `${stamp(parcels.birth_time[p])} UTC`],
        ["ended", Number.isNaN(dead) ? "not ended" : `${stamp(dead)} UTC: ${reason}`],
      ];
      if (now >= 0) rows.push(["last seen", `${stamp(obs.time[now])} UTC, ${place(obs.x[now], obs.y[now])}`]);
      list(box, rows);
      chart(box, p);
      history(box, p);
    }
    function history(box, p) {
      const scroll = element("div", undefined, box), grid = element("table", undefined, scroll);
      scroll.className = "scroll";
      const head = element("tr", undefined, element("thead", undefined, grid)), body = element("tbody", undefined, grid);
      const quality = columnOf(page.observations, "q_flag");
      const heads = [["time (UTC)", "time"], ["x (km)", "x"], ["y (km)", "y"], ["\u03c3x (m)", "x_standard_error"],
        ["\u03c3y (m)", "y_standard_error"], ["mcc", "correlation"], ["q_flag", "q_flag"], ["pass", ""]];
      for (const [text, name] of heads) element("th", text, head).title = (columnOf(page.observations, name) || {}).comment || "";
      for (let i = first[p]; i < first[p + 1]; i++) {
        const row = element("tr", undefined, body);
        row.dataset.time = obs.time[i];
        const image = page.images[obs.image[i]];
        const cells = [stamp(obs.time[i]), (obs.x[i] / 1e3).toFixed(3), (obs.y[i] / 1e3).toFixed(3), number(obs.x_standard_error[i], 3),
          number(obs.y_standard_error[i], 3), number(obs.correlation[i], 3), `${obs.q_flag[i]} ${meaning(quality, obs.q_flag[i]).replaceAll("_", " ")}`, image ? image.name : ""];
        for (const text of cells) element("td", text, row);
        if (image) row.title = image.title;
        row.addEventListener("click", () => setTime(Number(row.dataset.time)));
      }
      mark();
    }
    function mark() {
      const rows = [...document.querySelectorAll("#details tbody tr")];
      const now = rows.filter((row) => Number(row.dataset.time) <= state.time).pop();
      for (const row of rows) row.classList.toggle("now", row === now);
    }
    function chart(box, p) {
      const column = layers.line.column, values = obs[column.name];
      const points = [];
      for (let i = first[p]; i < first[p + 1]; i++) if (!missing(column, values[i])) points.push([obs.time[i], values[i]]);
      if (column.time || points.length < 2) return;
      element("p", `${withUnit(column)} over time`, box).className = "what";
      const strip = element("canvas", undefined, box), width = 388, height = 96, dots = window.devicePixelRatio || 1;
      strip.width = width * dots;
      strip.height = height * dots;
      strip.style.width = `${width}px`;
      strip.style.height = `${height}px`;
      const at = strip.getContext("2d");
      at.scale(dots, dots);
      const ys = points.map((point) => point[1]), low = Math.min(...ys), high = Math.max(...ys);
      const x = (t) => 44 + (width - 52) * (t - points[0][0]) / (points[points.length - 1][0] - points[0][0]);
      const y = (v) => high > low ? height - 16 - (height - 26) * (v - low) / (high - low) : height / 2;
      at.font = "10px system-ui, sans-serif";
      at.fillStyle = QUIET;
      at.textAlign = "right";
      at.fillText(number(high, 3), 40, y(high) + 3);
      if (high > low) at.fillText(number(low, 3), 40, y(low) + 3);
      at.textAlign = "left";
      at.fillText(stamp(points[0][0]).slice(0, 10), 44, height - 2);
      at.textAlign = "right";
      at.fillText(stamp(points[points.length - 1][0]).slice(0, 10), width - 4, height - 2);
      at.strokeStyle = "#1f5a8c";
      at.fillStyle = "#1f5a8c";
      at.lineWidth = 1.3;
      at.beginPath();
      for (const [t, v] of points) at.lineTo(x(t), y(v));
      at.stroke();
      for (const [t, v] of points) at.fillRect(x(t) - 1.5, y(v) - 1.5, 3, 3);
    }
    function tellFace() {
      const box = $("details"), i = state.face;
      box.textContent = "";
      element("h2", "Triangle", box);
      const corners = ["a", "b", "c"].map((key) => faces[key][i]);
      const rows = [["parcels", corners.map((node) => nodes.trajectory[node]).join(", ")],
        ["from", `${stamp(Math.min(...corners.map((node) => nodes.time_start[node])))} UTC`],
        ["to", `${stamp(Math.max(...corners.map((node) => nodes.time_end[node])))} UTC`]];
      for (const column of page.faces) {
        if (!column.colour || column.name.endsWith("_standard_error")) continue;
        const error = columnOf(page.faces, `${column.name}_standard_error`);
        const spread = error ? ` \u00b1 ${number(faces[error.name][i], 3)}` : "";
        const unit = column.flags || !column.unit ? "" : ` ${column.unit}`;
        rows.push([column.label, shown(column, faces[column.name][i]).replaceAll("_", " ") + spread + unit]);
      }
      list(box, rows);
    }

    // ---- choosing by click -----------------------------------------------------------------
    function pick(left, top) {
      state.parcel = has.lines && $("lines").checked ? nearestParcel(left, top) : -1;
      state.face = state.parcel < 0 && has.faces && $("faces").checked ? faceAt(left, top) : -1;
      tell();
    }
    function tell() {
      if (state.parcel >= 0) tellParcel();
      else if (state.face >= 0) tellFace();
      else hint();
      remember();
      ask();
    }
    function nearestParcel(left, top) {
      let best = 12, found = -1;
      for (let p = 0; p < m; p++) {
        const i = lastSeen(p);
        if (i < 0) continue;
        const apart = Math.hypot(px(obs.x[i]) - left, py(obs.y[i]) - top);
        if (apart < best) { best = apart; found = p; }
      }
      if (found >= 0) return found;
      best = 7;
      for (let i = 0; i < n; i++) {
        if (obs.time[i] > state.time || obs.time[i] < state.time - state.trail) continue;
        const apart = Math.hypot(px(obs.x[i]) - left, py(obs.y[i]) - top);
        if (apart < best) { best = apart; found = obs.parcel[i]; }
      }
      return found;
    }
    function faceAt(left, top) {
      for (const pair of active().reverse()) for (let i = pair.start; i < pair.stop; i++) {
        if (unfit(i)) continue;
        const path = new Path2D();
        trace(path, i);
        pen.save();
        pen.setTransform(1, 0, 0, 1, 0, 0);
        const hit = pen.isPointInPath(path, left, top);
        pen.restore();
        if (hit) return i;
      }
      return -1;
    }

    // ---- time ------------------------------------------------------------------------------
    const moments = [...new Set(page.images.map((image) => image.time))].sort((a, b) => a - b);
    function setTime(time) {
      state.time = Math.max(page.first, Math.min(page.last, time));
      $("time").value = state.time;
      mark();
      remember();
      ask();
    }
    function step(way) {
      // a pass counts as reached when its last parcels are seen, up to a minute or two after its mean
      const ahead = moments.filter((time) => way > 0 ? time > state.time + 1 : time < state.time - 1);
      if (ahead.length) setTime(way > 0 ? Math.min(ahead[0] + page.half, page.last) : ahead[ahead.length - 1] - page.half);
      else setTime(way > 0 ? page.last : page.first);
    }
    function play(on) {
      state.playing = on;
      $("play").textContent = on ? "Pause" : "Play";
      if (!on) return;
      if (state.time >= page.last) setTime(page.first);
      let before = performance.now();
      const go = (now) => {
        if (!state.playing) return;
        setTime(state.time + (page.last - page.first) * (now - before) / 12000);
        before = now;
        if (state.time >= page.last) play(false); else requestAnimationFrame(go);
      };
      requestAnimationFrame(go);
    }

    // ---- state in the address: a view can be sent to a colleague -----------------------------
    let writing = 0;
    function remember() {
      clearTimeout(writing);
      writing = setTimeout(() => {
        const words = new URLSearchParams();
        words.set("time", new Date(Math.round(state.time) * 1000).toISOString().slice(0, 19));
        if (has.lines) words.set("colour", layers.line.column.name);
        if (has.faces) words.set("faces", layers.face.column.name);
        if (state.parcel >= 0) words.set("parcel", String(parcels.trajectory[state.parcel]));
        try { history_.replaceState(null, "", `#${words}`); } catch { /* some browsers refuse it for files */ }
      }, 300);
    }
    const history_ = window.history;
    function recall() {
      const words = new URLSearchParams(location.hash.slice(1));
      const time = Date.parse(`${words.get("time")}Z`) / 1000;
      if (has.lines) choose("line", words.get("colour"));
      if (has.faces) choose("face", words.get("faces") || "total_deformation");
      if (Number.isFinite(time)) state.time = Math.max(page.first, Math.min(page.last, time));
      if (has.lines && words.has("parcel")) state.parcel = parcels.trajectory.indexOf(Number(words.get("parcel")));
    }

    // ---- wiring ------------------------------------------------------------------------------
    $("title").textContent = page.title;
    $("subtitle").textContent = page.subtitle;
    for (const note of page.notes) element("p", note, $("notes"));
    $("parcels").hidden = !has.lines;
    $("triangles").hidden = !has.faces;
    for (const key of ["line", "face"]) {
      for (const column of layers[key].columns) element("option", withUnit(column), $(`${key}-colour`)).value = column.name;
      $(`${key}-colour`).addEventListener("change", (event) => { choose(key, event.target.value); remember(); });
      for (const end of ["low", "high"]) $(`${key}-${end}`).addEventListener("change", (event) => {
        const value = Number(event.target.value);
        if (Number.isFinite(value)) { layers[key][end] = value; paint(key); }
      });
      $(`${key}-log`).addEventListener("change", () => paint(key));
    }
    for (const [text, days] of [["all", Infinity], ["30 days", 30], ["10 days", 10], ["3 days", 3], ["1 day", 1], ["none", 0]]) element("option", text, $("trail")).value = days;
    $("trail").addEventListener("change", (event) => { state.trail = Number(event.target.value) * DAY || (event.target.value === "0" ? 0 : Infinity); ask(); });
    for (const id of ["lines", "faces", "doubtful"]) $(id).addEventListener("change", () => { bars(); ask(); });
    $("time").min = page.first;
    $("time").max = page.last;
    $("time").addEventListener("input", (event) => setTime(Number(event.target.value)));
    $("play").addEventListener("click", () => play(!state.playing));
    $("back").addEventListener("click", () => step(-1));
    $("forth").addEventListener("click", () => step(1));
    $("closer").addEventListener("click", () => zoom(1.6));
    $("wider").addEventListener("click", () => zoom(1 / 1.6));
    $("whole").addEventListener("click", () => { fit(); ask(); });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = { left: event.offsetX, top: event.offsetY, x: view.x, y: view.y, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const x = mx(event.offsetX), y = my(event.offsetY);
      $("readout").textContent = `${place(x, y)}  \u00b7  x ${(x / 1e3).toFixed(1)} km, y ${(y / 1e3).toFixed(1)} km`;
      if (!held) return;
      const left = event.offsetX - held.left, top = event.offsetY - held.top;
      if (Math.hypot(left, top) > 4) held.moved = true;
      if (!held.moved) return;
      view.x = held.x - left / view.scale;
      view.y = held.y + top / view.scale;
      ask();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.moved) pick(event.offsetX, event.offsetY);
      held = null;
    });
    canvas.addEventListener("pointercancel", () => { held = null; });
    document.addEventListener("keydown", (event) => {
      if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
      const act = { " ": () => play(!state.playing), "+": () => zoom(1.6), "-": () => zoom(1 / 1.6), 0: () => { fit(); ask(); }, ArrowLeft: () => step(-1), ArrowRight: () => step(1) }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    window.addEventListener("resize", resize);

    recall();
    $("time").value = state.time;
    resize();
    tell();
    draw();
    document.documentElement.dataset.ready = "true";
    // for tests and for the curious: where on the screen a parcel is now
    window.lagrangianIce = {
      lonLat, radius, unpacked: { obs, parcels, nodes, faces },
      screen: (id) => { const i = lastSeen(parcels.trajectory.indexOf(id)); return [px(obs.x[i]), py(obs.y[i])]; },
      screenOfFace: (i) => { const at = ["a", "b", "c"].map((key) => nodeAt(faces[key][i])); return [px(at.reduce((s, q) => s + q[0], 0) / 3), py(at.reduce((s, q) => s + q[1], 0) / 3)]; },
    };
  }

  main().catch((error) => {
    $("details").textContent = `This page could not be drawn: ${error.message}`;
    document.documentElement.dataset.ready = "failed";
  });
})();
