// What the canvas is made of: its tools, small pieces of the page, coloured masks and heat.
const CHUNK = 512;
export const MISSED = [118, 42, 168];
export const FALSE_ = [230, 84, 0];
export const TOOLS = [
  ["hand", "Move", "H", "Drag to move; wheel or + − to zoom, 0 to fit"],
  ["brush", "Brush", "B", "Drag to paint; [ ] for its size"],
  ["eraser", "Eraser", "E", "Drag to take away; Shift does it with the brush"],
  ["polygon", "Polygon", "P", "Click corners; Enter or double click closes, Esc gives up"],
  ["fill", "Fill", "F", "Click inside a closed outline; on a painted piece it takes the piece away"],
  ["wand", "Wand", "W", "Click: paints what looks alike and is connected; [ ] for how unlike it may be"],
  ["region", "Adopt", "A", "Click or drag a box: adopts what the model finds there"],
  ["ruler", "Ruler", "R", "Drag to measure"],
];
export const ICONS = {
  hand: "M6 12V6a1.5 1.5 0 0 1 3 0v4-6a1.5 1.5 0 0 1 3 0v6-5a1.5 1.5 0 0 1 3 0v6-3a1.5 1.5 0 0 1 3 0v6c0 4-2.5 7-6 7-3 0-4.5-1.5-6-4l-2.5-4c-.8-1.4 1-2.6 2-1.4z",
  brush: "M20 4c-4 1.5-8 5-9.5 8.5l1.5 1.5C15.5 12.5 18.5 8 20 4zM9.5 14c-2 0-3 1.3-3 3 0 1.2-1 2-2.5 2 3 2 8 1.5 8-2.5z",
  eraser: "M14 5l6 6-8 8H8l-4-4zM9 10l6 6",
  polygon: "M12 4l8 6-3 9H7L4 10z",
  fill: "M5 12l7-7 7 7-7 7zM5 12h14M20.5 15c1 1.6 1.5 2.4 1.5 3.2a1.5 1.5 0 0 1-3 0c0-.8.5-1.6 1.5-3.2z",
  wand: "M5 19L15 9M17 3v4M15 5h4M20 11v3M18.5 12.5h3M9 4v3M7.5 5.5h3",
  region: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M8.5 12.5l2.5 2.5 5-6",
  ruler: "M3 16L16 3l5 5L8 21zM7 12l2 2M10 9l3 3M13 6l2 2",
};

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(path) {
  const holder = make("span", { class: "icon", "aria-hidden": "true" });
  holder.innerHTML = `<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor"
    stroke-width="1.700" stroke-linecap="round" stroke-linejoin="round"><path d="${path}"/></svg>`;
  return holder;
}

export function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// Masks coloured, in square pieces that are made when something is in them.
export class Painted {
  constructor(width, height, colourOf) {
    Object.assign(this, { width, height, colourOf, chunks: new Map(), stale: true });
  }

  refresh(touched) {
    const area = {  // outlines change one pixel further
      left: Math.max(0, touched.left - 1), top: Math.max(0, touched.top - 1),
      right: Math.min(this.width, touched.right + 1), bottom: Math.min(this.height, touched.bottom + 1),
    };
    if (touched.right <= touched.left || area.right <= area.left || area.bottom <= area.top) return;
    for (let cy = Math.floor(area.top / CHUNK); cy * CHUNK < area.bottom; cy++) {
      for (let cx = Math.floor(area.left / CHUNK); cx * CHUNK < area.right; cx++) {
        this.refreshChunk(cx, cy, area);
      }
    }
  }

  refreshChunk(cx, cy, area) {
    const key = `${cx},${cy}`;
    const left = Math.max(area.left, cx * CHUNK);
    const top = Math.max(area.top, cy * CHUNK);
    const right = Math.min(area.right, (cx + 1) * CHUNK, this.width);
    const bottom = Math.min(area.bottom, (cy + 1) * CHUNK, this.height);
    const pixels = new ImageData(right - left, bottom - top);
    const words = new Uint32Array(pixels.data.buffer);
    let any = false;
    for (let y = top, to = 0; y < bottom; y++) {
      for (let x = left, at = y * this.width + left; x < right; x++, at++, to++) {
        const word = this.colourOf(at);
        if (word) {
          words[to] = word;
          any = true;
        }
      }
    }
    let canvas = this.chunks.get(key);
    if (!canvas) {
      if (!any) return;
      canvas = document.createElement("canvas");
      canvas.width = Math.min(CHUNK, this.width - cx * CHUNK);
      canvas.height = Math.min(CHUNK, this.height - cy * CHUNK);
      this.chunks.set(key, canvas);
    }
    canvas.getContext("2d").putImageData(pixels, left - cx * CHUNK, top - cy * CHUNK);
  }

  draw(context, opacity) {
    if (this.stale) {
      this.refresh({ left: 0, top: 0, right: this.width, bottom: this.height });
      this.stale = false;
    }
    context.globalAlpha = opacity;
    for (const [key, canvas] of this.chunks) {
      const [cx, cy] = key.split(",").map(Number);
      context.drawImage(canvas, cx * CHUNK, cy * CHUNK);
    }
    context.globalAlpha = 1;
  }
}

export function word([red, green, blue]) {
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

export function swatch(colour) {
  const node = make("span", { class: "swatch" });
  node.style.background = `rgb(${colour.join(",")})`;
  return node;
}

// A map as heat: clear where it says nothing.
export function heat(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const data = pixels.data;
  for (let at = 0; at < data.length; at += 4) {
    const value = data[at];
    data[at] = 255;
    data[at + 1] = Math.max(0, 230 - value);
    data[at + 2] = 40;
    data[at + 3] = value;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Gives the focus back to the control that has it in a panel, once the panel is built anew; null where none has.
export function focusIn(panel) {
  const at = document.activeElement;
  if (!panel.contains(at)) return null;
  const alike = (name) => [...panel.querySelectorAll("a, button, input, select")].filter((one) => calledAs(one) === name);
  const name = calledAs(at);
  const place = alike(name).indexOf(at);
  return () => alike(name)[place]?.focus({ preventScroll: true });
}

function calledAs(control) {
  const words = /^(A|BUTTON)$/.test(control.tagName) ? control.textContent : control.type === "radio" ? control.value : "";
  return [control.tagName, control.type, control.name, words, control.getAttribute("aria-label"), control.closest("[data-layer]")?.dataset.layer].join("|");
}
