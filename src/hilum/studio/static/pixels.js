// Strokes as spans of pixels: pure functions on a mask of 0 and 1, row by row. Every change is collected as
// pairs of first pixel and length, so that doing a stroke twice undoes it.

export function maskOf(buffer, width, height) {
  const spans = new Uint32Array(buffer);
  const data = new Uint8Array(width * height);
  for (let k = 0; k < spans.length; k += 2) data.fill(1, spans[k], spans[k] + spans[k + 1]);
  return data;
}

export function box(width, height) {
  return { left: width, top: height, right: 0, bottom: 0 };
}

export function grow(area, left, top, right, bottom) {
  if (left < area.left) area.left = left;
  if (top < area.top) area.top = top;
  if (right > area.right) area.right = right;
  if (bottom > area.bottom) area.bottom = bottom;
}

// Set pixels from `from` up to `to` (exclusive) of a row; what changed goes into `changed`.
function setRow(data, start, from, to, value, changed) {
  let first = -1;
  for (let x = from; x < to; x++) {
    const at = start + x;
    if (data[at] !== value) {
      data[at] = value;
      if (first < 0) first = at;
    } else if (first >= 0) {
      changed.push(first, at - first);
      first = -1;
    }
  }
  if (first >= 0) changed.push(first, start + to - first);
}

// All pixels whose centre is within `radius` of the line from (x0, y0) to (x1, y1).
export function capsule(data, width, height, x0, y0, x1, y1, radius, value, changed) {
  const area = box(width, height);
  const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
  const bottom = Math.min(height, Math.ceil(Math.max(y0, y1) + radius) + 1);
  const length = Math.hypot(x1 - x0, y1 - y0);
  const dx = length ? (x1 - x0) / length : 0;
  const dy = length ? (y1 - y0) / length : 0;
  for (let row = top; row < bottom; row++) {
    const y = row + 0.5;
    let low = Infinity;
    let high = -Infinity;
    for (const [cx, cy] of [[x0, y0], [x1, y1]]) {
      const rest = radius * radius - (y - cy) * (y - cy);
      if (rest >= 0) {
        low = Math.min(low, cx - Math.sqrt(rest));
        high = Math.max(high, cx + Math.sqrt(rest));
      }
    }
    if (length) {
      let [a, b] = limits(-dy, (y - y0) * dx, -radius, radius);
      const [c, d] = limits(dx, (y - y0) * dy, 0, length);
      a = Math.max(a, c);
      b = Math.min(b, d);
      if (a <= b) {
        low = Math.min(low, x0 + a);
        high = Math.max(high, x0 + b);
      }
    }
    const from = Math.max(0, Math.ceil(low - 0.5));
    const to = Math.min(width, Math.floor(high - 0.5) + 1);
    if (from < to) {
      setRow(data, row * width, from, to, value, changed);
      grow(area, from, row, to, row + 1);
    }
  }
  return area;
}

// The u for which low <= slope * u + offset <= high.
function limits(slope, offset, low, high) {
  if (Math.abs(slope) < 1e-12) return offset >= low && offset <= high ? [-Infinity, Infinity] : [1, 0];
  const ends = [(low - offset) / slope, (high - offset) / slope];
  return [Math.min(...ends), Math.max(...ends)];
}

// All pixels whose centre is inside a closed outline of points [x, y], by the even-odd rule.
export function polygon(data, width, height, points, value, changed) {
  const area = box(width, height);
  const ys = points.map((point) => point[1]);
  const top = Math.max(0, Math.floor(Math.min(...ys)));
  const bottom = Math.min(height, Math.ceil(Math.max(...ys)));
  for (let row = top; row < bottom; row++) {
    const y = row + 0.5;
    const cuts = [];
    points.forEach(([xa, ya], k) => {
      const [xb, yb] = points[(k + 1) % points.length];
      if ((ya <= y) !== (yb <= y)) cuts.push(xa + ((y - ya) / (yb - ya)) * (xb - xa));
    });
    cuts.sort((a, b) => a - b);
    for (let k = 0; k + 1 < cuts.length; k += 2) {
      const from = Math.max(0, Math.ceil(cuts[k] - 0.5));
      const to = Math.min(width, Math.ceil(cuts[k + 1] - 0.5));
      if (from < to) {
        setRow(data, row * width, from, to, value, changed);
        grow(area, from, row, to, row + 1);
      }
    }
  }
  return area;
}

// Set all pixels of the spans; the area that they lie in.
export function paintSpans(data, width, height, spans, value, changed) {
  const area = box(width, height);
  for (let k = 0; k < spans.length; k += 2) {
    let at = spans[k];
    const end = at + spans[k + 1];
    while (at < end) {
      const row = Math.floor(at / width);
      const to = Math.min(end, (row + 1) * width);
      setRow(data, row * width, at - row * width, to - row * width, value, changed);
      grow(area, at - row * width, row, to - row * width, row + 1);
      at = to;
    }
  }
  return area;
}

export function toggle(data, width, height, spans) {
  const area = box(width, height);
  for (let k = 0; k < spans.length; k += 2) {
    const end = spans[k] + spans[k + 1];
    for (let at = spans[k]; at < end; at++) data[at] ^= 1;
    const first = Math.floor(spans[k] / width);
    const last = Math.floor((end - 1) / width);
    const whole = first !== last;
    grow(area, whole ? 0 : spans[k] - first * width, first, whole ? width : end - first * width, last + 1);
  }
  return area;
}

// The connected pixels (by their sides) that are as the one at (x, y): spans, how many, whether they reach the rim.
export function connected(data, width, height, x, y) {
  const wanted = data[y * width + x];
  const seen = new Uint8Array(width * height);
  const spans = [];
  const stack = [[x, y]];
  let count = 0;
  let rim = false;
  while (stack.length) {
    const [px, py] = stack.pop();
    const start = py * width;
    if (seen[start + px] || data[start + px] !== wanted) continue;
    let from = px;
    let to = px + 1;
    while (from > 0 && data[start + from - 1] === wanted && !seen[start + from - 1]) from--;
    while (to < width && data[start + to] === wanted && !seen[start + to]) to++;
    seen.fill(1, start + from, start + to);
    spans.push(start + from, to - from);
    count += to - from;
    if (from === 0 || to === width || py === 0 || py === height - 1) rim = true;
    for (const row of [py - 1, py + 1]) {
      if (row < 0 || row >= height) continue;
      let open = false;
      for (let k = from; k < to; k++) {
        const free = data[row * width + k] === wanted && !seen[row * width + k];
        if (free && !open) stack.push([k, row]);
        open = free;
      }
    }
  }
  return { spans, count, rim };
}
