// The canvas of the studio: shows an image with its layers, and paints masks. All drawing happens here;
// the studio's server gets every finished stroke as spans of changed pixels.
import { capsule, connected, grow, box, maskOf, paintSpans, polygon, toggle } from "/studio-static/pixels.js";

const CHUNK = 512;
const MISSED = [118, 42, 168];
const FALSE_ = [230, 84, 0];
const TOOLS = [
  ["hand", "Move", "H", "Drag to move; wheel or + − to zoom, 0 to fit"],
  ["brush", "Brush", "B", "Drag to paint; [ ] for its size"],
  ["eraser", "Eraser", "E", "Drag to take away; Shift does it with the brush"],
  ["polygon", "Polygon", "P", "Click corners; Enter or double click closes, Esc gives up"],
  ["fill", "Fill", "F", "Click inside a closed outline; on a painted piece it takes the piece away"],
  ["wand", "Wand", "W", "Click: paints what looks alike and is connected"],
  ["region", "Adopt", "A", "Click or drag a box: adopts what the model finds there"],
  ["ruler", "Ruler", "R", "Drag to measure"],
];
const ICONS = {
  hand: "M6 12V6a1.5 1.5 0 0 1 3 0v4-6a1.5 1.5 0 0 1 3 0v6-5a1.5 1.5 0 0 1 3 0v6-3a1.5 1.5 0 0 1 3 0v6c0 4-2.5 7-6 7-3 0-4.5-1.5-6-4l-2.5-4c-.8-1.4 1-2.6 2-1.4z",
  brush: "M20 4c-4 1.5-8 5-9.5 8.5l1.5 1.5C15.5 12.5 18.5 8 20 4zM9.5 14c-2 0-3 1.3-3 3 0 1.2-1 2-2.5 2 3 2 8 1.5 8-2.5z",
  eraser: "M14 5l6 6-8 8H8l-4-4zM9 10l6 6",
  polygon: "M12 4l8 6-3 9H7L4 10z",
  fill: "M5 12l7-7 7 7-7 7zM5 12h14M20.5 15c1 1.6 1.5 2.4 1.5 3.2a1.5 1.5 0 0 1-3 0c0-.8.5-1.6 1.5-3.2z",
  wand: "M5 19L15 9M17 3v4M15 5h4M20 11v3M18.5 12.5h3M9 4v3M7.5 5.5h3",
  region: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M8.5 12.5l2.5 2.5 5-6",
  ruler: "M3 16L16 3l5 5L8 21zM7 12l2 2M10 9l3 3M13 6l2 2",
};

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function icon(path) {
  const holder = make("span", { class: "icon", "aria-hidden": "true" });
  holder.innerHTML = `<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor"
    stroke-width="1.700" stroke-linecap="round" stroke-linejoin="round"><path d="${path}"/></svg>`;
  return holder;
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// Masks coloured, in square pieces that are made when something is in them.
class Painted {
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

function word([red, green, blue]) {
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

class Viewer {
  constructor(root, options, emit) {
    this.root = root;
    this.cases = options.cases;
    this.emit = emit;
    this.tool = "hand";
    this.size = 24;
    this.tolerance = 12;
    this.opacity = 0.45;
    this.shown = { truth: true, prediction: false, errors: false, uncertainty: false, outlines: false, alone: false };
    this.target = null;
    this.axis = 0;
    this.index = 0;
    this.compare = false;
    this.masks = new Map();
    this.versions = new Map();
    this.predictions = new Map();
    this.uncertainties = new Map();
    this.bitmaps = new Map();
    this.undone = [];
    this.done = [];
    this.queue = [];
    this.pending = 0;
    this.view = { scale: 1, x: 0, y: 0 };
    this.latency = [];
    this.generation = 0;
    this.build();
    this.listen();
    this.open(options.case || this.cases[0]);
  }

  // ---- what is on the page -------------------------------------------------------------------------

  build() {
    this.canvas = make("canvas", {
      class: "stage",
      tabindex: "0",
      role: "application",
      "aria-label": "Image with its masks. Keys: + and − zoom, arrows move, 0 fits, B brush, E eraser, Ctrl+Z undoes",
    });
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.tools = make("div", { class: "tools", role: "toolbar", "aria-label": "Tools" });
    for (const [name, label, key, help] of TOOLS) {
      this.tools.append(
        make(
          "button",
          { type: "button", "data-tool": name, title: `${label} (${key}): ${help}`, "aria-pressed": "false", onclick: () => this.choose(name) },
          icon(ICONS[name]),
          make("span", { text: label }),
        ),
      );
    }
    this.bar = make("div", { class: "bar" });
    this.hint = make("div", { class: "hint", role: "status", "aria-live": "polite" });
    this.side = make("div", { class: "side" });
    this.message = make("div", { class: "message", role: "alert", hidden: "" });
    const stage = make("div", { class: "stage-box" }, this.canvas, this.message);
    this.root.append(this.bar, make("div", { class: "body" }, this.tools, stage, this.side), this.hint);
    this.buildBar();
  }

  buildBar() {
    const step = (way) => () => this.go(way);
    this.chooser = make("select", { "aria-label": "Image", onchange: () => this.open(this.chooser.value) });
    for (const name of this.cases) this.chooser.append(make("option", { value: name, text: name }));
    this.undoButton = make("button", { type: "button", title: "Undo (Ctrl+Z)", onclick: () => this.undo(), text: "Undo" });
    this.redoButton = make("button", { type: "button", title: "Redo (Ctrl+Shift+Z)", onclick: () => this.redo(), text: "Redo" });
    this.saved = make("span", { class: "saved", role: "status", "aria-live": "polite" });
    this.sizeLabel = make("output", { text: "24" });
    this.sizeInput = make("input", {
      type: "range", min: "1", max: "200", value: "24", "aria-label": "Brush size in pixels",
      oninput: () => this.resize(Number(this.sizeInput.value)),
    });
    this.bar.append(
      make("span", { class: "group" },
        make("button", { type: "button", title: "Image before (,)", "aria-label": "Image before", onclick: step(-1), text: "‹" }),
        this.chooser,
        make("button", { type: "button", title: "Next image (.)", "aria-label": "Next image", onclick: step(1), text: "›" })),
      make("span", { class: "group paints" }, this.undoButton, this.redoButton,
        make("button", { type: "button", title: "Write the masks to their files now (Ctrl+S)", onclick: () => this.save(), text: "Save" }), this.saved),
      make("label", { class: "group paints" }, "Brush", this.sizeInput, this.sizeLabel),
      make("span", { class: "group" },
        make("button", { type: "button", title: "The whole image (0)", onclick: () => this.fit(), text: "Fit" }),
        make("button", { type: "button", title: "One image pixel on one of the screen (1:1)", onclick: () => this.zoomTo(1), text: "1:1" }),
        (this.compareButton = make("button", {
          type: "button", title: "Truth left, model right, moved together (C)", "aria-pressed": "false",
          onclick: () => this.toggleCompare(), text: "Side by side" }))),
    );
  }

  buildSide() {
    const info = this.info;
    this.side.replaceChildren();
    const section = (title, ...nodes) => this.side.append(make("section", {}, make("h3", { text: title }), ...nodes));
    if (info.paintable) section("Targets", this.targetList(), this.newTarget());
    if (info.targets.length) section("Layers", this.layerList());
    if (info.paintable && info.shape.length === 2) section("Outlines", this.exchange());
    if (info.window) section("Window", this.windowControls());
    if (info.shape.length === 3) section("Slice", this.sliceControls());
    if (info.marks.length) section(`Nodules (${info.marks.length})`, this.markList());
    const size = [...info.shape].reverse().join(" × ");
    const spacing = info.spacing ? `${[...info.spacing].reverse().map((s) => +s.toPrecision(4)).join(" × ")} ${info.unit}` : "spacing not known: lengths in px (a column `spacing` of study.csv gives it)";
    section("Image", make("p", { class: "facts", text: `${size}, ${info.channels === 1 ? "1 channel" : `${info.channels} channels`} ${info.kind}` }),
      make("p", { class: "facts", text: spacing }), info.group ? make("p", { class: "facts", text: `group ${info.group}` }) : null);
  }

  targetList() {
    const list = make("div", { role: "radiogroup", "aria-label": "Target to paint", class: "targets" });
    this.info.targets.forEach((target, at) => {
      const input = make("input", { type: "radio", name: "target", value: target.name, onchange: () => this.chooseTarget(target.name) });
      input.checked = target.name === this.target;
      const state = target.locked ? "locked" : target.annotated ? "annotated" : "not annotated";
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = target.colour;
      const words = make("span", { class: "name" }, target.name, make("span", { class: "state", text: state }));
      const row = make("label", { title: target.locked || `${state}; key ${at + 1}` }, input, swatch, words);
      list.append(row);
      if (!target.annotated && !target.locked && target.name === this.target) {
        list.append(make("button", { type: "button", class: "small", title: "Count this target as annotated here, with an empty mask",
          onclick: () => this.markEmpty(), text: "There is none in this image" }));
      }
    });
    return list;
  }

  newTarget() {
    const field = make("input", { type: "text", placeholder: "New target, such as Nerve", "aria-label": "Name of a new target", maxlength: "60" });
    const form = make("form", { class: "new-target", onsubmit: async (event) => {
      event.preventDefault();
      if (!field.value.trim()) return;
      const found = await this.ask(`/api/target?name=${encodeURIComponent(field.value)}`, { method: "POST" });
      if (found) {
        await this.reload();
        this.chooseTarget((await found.json()).target);
        this.choose("brush");
      }
    } }, field, make("button", { type: "submit", text: "Add" }));
    return form;
  }

  layerList() {
    const list = make("div", { class: "layers" });
    const predicted = this.info.targets.some((target) => target.predicted);
    const from = this.info.out_of_fold ? `${this.info.run}, out of fold` : this.info.run;
    const names = { truth: "Painted (T)", prediction: "Model (M)", errors: "Errors (X)", uncertainty: "Uncertainty (U)" };
    for (const [name, label] of Object.entries(names)) {
      const input = make("input", { type: "checkbox", onchange: () => this.show(name, input.checked) });
      input.checked = this.shown[name];
      input.disabled = name !== "truth" && !predicted;
      list.append(make("label", { "data-layer": name }, input, make("span", { text: label })));
      if (name === "errors") {
        list.append(make("p", { class: "facts legend" }, swatch(MISSED), "missed ", swatch(FALSE_), "false"));
      }
    }
    for (const [name, label] of [["outlines", "Outlines only (O)"], ["alone", "Chosen target only (I)"]]) {
      const input = make("input", { type: "checkbox", onchange: () => this.show(name, input.checked) });
      input.checked = this.shown[name];
      list.append(make("label", { "data-layer": name }, input, make("span", { text: label })));
    }
    const opacity = make("input", { type: "range", min: "5", max: "100", value: String(100 * this.opacity), "aria-label": "Opacity of layers",
      oninput: () => { this.opacity = Number(opacity.value) / 100; this.repaint(); } });
    list.append(make("label", {}, make("span", { text: "Opacity" }), opacity));
    list.append(make("p", { class: "facts", text: predicted ? `model: ${from}` : this.info.run ? "the model has not seen this image yet: What next predicts it" : "no model yet: train one" }));
    return list;
  }

  exchange() {
    const file = make("input", { type: "file", accept: ".geojson,.json", hidden: "", "aria-label": "GeoJSON file" });
    file.addEventListener("change", async () => {
      await this.drained();
      const answer = await this.ask(`/api/geojson?case=${encodeURIComponent(this.name)}`, { method: "POST", body: file.files[0] });
      if (!answer) return;
      const gained = Object.entries(await answer.json()).map(([target, pixels]) => `${target} ${pixels} px`);
      this.masks.clear();
      this.versions.clear();
      this.done = [];
      this.undone = [];
      await this.reload();
      this.updateButtons();
      this.tell(`Added: ${gained.join(", ") || "nothing"}`);
    });
    const link = make("a", { href: `/api/geojson?case=${encodeURIComponent(this.name)}`, download: "", text: "Export GeoJSON" });
    return make("div", { class: "presets" }, link, make("button", { type: "button", class: "small", text: "Import…", title: "Add the shapes of a GeoJSON file, such as QuPath's", onclick: () => file.click() }), file);
  }

  windowControls() {
    const holder = make("div", { class: "window" });
    const [low, high] = this.info.range;
    const slider = (at, label) => {
      const input = make("input", { type: "range", min: String(low), max: String(high), step: String((high - low) / 500 || 1), value: String(this.window[at]), "aria-label": label,
        oninput: () => { this.window[at] = Number(input.value); output.textContent = (+input.value).toPrecision(4) * 1; this.bitmaps.clear(); this.repaint(); } });
      const output = make("output", { text: String(+this.window[at].toPrecision(4)) });
      return make("label", {}, make("span", { text: label }), input, output);
    };
    holder.append(slider(0, "Black"), slider(1, "White"));
    const presets = { ...this.info.presets, "as opened": this.info.window };
    const row = make("div", { class: "presets" });
    for (const [name, window] of Object.entries(presets)) {
      row.append(make("button", { type: "button", class: "small", text: name, onclick: () => { this.window = [...window]; this.bitmaps.clear(); this.buildSide(); this.repaint(); } }));
    }
    holder.append(row);
    return holder;
  }

  sliceControls() {
    const holder = make("div", { class: "slices" });
    const names = ["axial", "coronal", "sagittal"];
    const row = make("div", { class: "presets", role: "group", "aria-label": "Plane" });
    names.forEach((name, axis) => row.append(make("button", { type: "button", class: "small", text: name, "aria-pressed": String(axis === this.axis), onclick: () => this.turn(axis) })));
    this.sliceInput = make("input", { type: "range", min: "0", max: String(this.info.shape[this.axis] - 1), value: String(this.index), "aria-label": "Slice",
      oninput: () => this.slice(Number(this.sliceInput.value)) });
    this.sliceLabel = make("output", { text: `${this.index + 1} / ${this.info.shape[this.axis]}` });
    holder.append(row, make("label", {}, this.sliceInput, this.sliceLabel));
    return holder;
  }

  markList() {
    const list = make("ol", { class: "marks" });
    this.info.marks.forEach((mark, at) => {
      const jump = make("button", { type: "button", class: "jump", onclick: () => this.jump(mark), title: "Go there" },
        make("strong", { text: `${at + 1}` }), ` ${mark.words}`);
      const judge = (decision, label) => make("button", { type: "button", class: `small ${decision}`, text: label, "aria-pressed": String(mark.decision === decision),
        onclick: () => this.judge(mark, decision) });
      list.append(make("li", { "data-decision": mark.decision || "" }, jump, make("span", { class: "judge" }, judge("accepted", "Accept"), judge("rejected", "Reject"))));
    });
    return list;
  }

  // ---- a case ---------------------------------------------------------------------------------------

  async ask(address, options) {
    try {
      const answer = await fetch(address, options);
      if (answer.ok) return answer;
      const found = await answer.json().catch(() => ({ error: answer.statusText }));
      this.tell(found.error, found.loose);
      if (found.loose) this.emit("loose", {});
      answer.refused = true;
      return null;
    } catch {
      this.tell("The studio does not answer: is it still running in its terminal? Strokes are kept here and sent again.");
      return null;
    }
  }

  tell(text, stays) {
    this.message.textContent = text;
    this.message.hidden = !text;
    clearTimeout(this.telling);
    if (text && !stays) this.telling = setTimeout(() => (this.message.hidden = true), 9000);
  }

  async open(name) {
    await this.drained();
    this.generation += 1;
    const generation = this.generation;
    const answer = await this.ask(`/api/case?case=${encodeURIComponent(name)}`);
    if (!answer || generation !== this.generation) return;
    this.info = await answer.json();
    this.name = name;
    this.chooser.value = name;
    this.axis = 0;
    this.index = this.info.shape.length === 3 ? Math.floor(this.info.shape[0] / 2) : 0;
    this.window = this.info.window ? [...this.info.window] : null;
    for (const held of [this.masks, this.versions, this.predictions, this.uncertainties, this.bitmaps]) held.clear();
    this.done = [];
    this.undone = [];
    this.ruler = null;
    this.corners = [];
    const names = this.info.targets.map((target) => target.name);
    if (!names.includes(this.target)) this.target = names[0] || null;
    if (this.info.marks.length && this.info.marks[0].index !== undefined) this.index = this.info.marks[0].index;
    history.replaceState(null, "", `?case=${encodeURIComponent(name)}`);
    document.title = `${name} – Hilum studio`;
    this.buildSide();
    this.root.classList.toggle("looks-only", !this.info.paintable);
    this.choose(this.info.paintable ? this.tool : "hand");
    this.updateButtons();
    this.layout();
    this.fit();
    await this.loadLayers();
    this.emit("opened", { case: name });
  }

  async reload() {
    await this.drained();
    const answer = await this.ask(`/api/case?case=${encodeURIComponent(this.name)}`);
    if (!answer) return;
    this.info = await answer.json();
    const names = this.info.targets.map((target) => target.name);
    if (!names.includes(this.target)) this.target = names[0] || null;
    this.predictions.clear();
    this.uncertainties.clear();
    this.buildSide();
    await this.loadLayers();
  }

  go(way) {
    const at = this.cases.indexOf(this.name) + way;
    if (at >= 0 && at < this.cases.length) this.open(this.cases[at]);
  }

  get sides() {
    const shape = this.info.shape;
    const rest = shape.length === 2 ? shape : shape.filter((_, at) => at !== this.axis);
    return { height: rest[0], width: rest[1] };
  }

  get stretch() {
    const spacing = this.info.spacing;
    if (!spacing) return 1;
    const rest = spacing.length === 2 ? spacing : spacing.filter((_, at) => at !== this.axis);
    return rest[0] / rest[1];
  }

  get place() {
    return `axis=${this.axis}&index=${this.index}`;
  }

  key(target) {
    return `${target}|${this.axis}|${this.index}`;
  }

  async loadLayers() {
    const generation = this.generation;
    const place = this.place;
    const jobs = [];
    for (const target of this.info.targets) {
      if (this.shown.truth || this.shown.errors || target.name === this.target) jobs.push(this.loadMask(target, generation));
      if (target.predicted && (this.shown.prediction || this.shown.errors)) jobs.push(this.loadPrediction(target, generation));
    }
    if (this.shown.uncertainty && this.target) jobs.push(this.loadUncertainty(generation));
    await Promise.all(jobs);
    if (place === this.place) this.repaint();
  }

  async loadMask(target, generation) {
    const key = this.key(target.name);
    if (this.masks.has(key)) return;
    const { width, height } = this.sides;
    const answer = await this.ask(`/api/mask?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(target.name)}&${this.place}`);
    if (!answer) return;
    const data = maskOf(await answer.arrayBuffer(), width, height);
    if (generation !== this.generation || this.masks.has(key)) return;
    if (!this.versions.has(target.name)) this.versions.set(target.name, Number(answer.headers.get("X-Version")));
    this.masks.set(key, { data, width, height, painted: this.coloured(data, width, height, target) });
    this.trim(this.masks, 64);
    if (answer.headers.get("X-Recovered") === "1") this.tell(`${target.name}: strokes that an earlier studio could not save were taken up`);
    this.repaint();
  }

  // A mask in its target's colour, as area or as outline.
  coloured(data, width, height, target) {
    const colour = word(rgb(target.colour));
    const rim = (at) => !data[at - 1] || !data[at + 1] || !data[at - width] || !data[at + width];
    return new Painted(width, height, (at) => (data[at] && (!this.shown.outlines || rim(at)) ? colour : 0));
  }

  async loadPrediction(target, generation) {
    const key = this.key(target.name);
    if (this.predictions.has(key)) return;
    const { width, height } = this.sides;
    const answer = await this.ask(`/api/prediction?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(target.name)}&${this.place}`);
    if (!answer) return;
    const data = maskOf(await answer.arrayBuffer(), width, height);
    if (generation !== this.generation) return;
    const truth = () => this.masks.get(key)?.data;
    const missed = word(MISSED);
    const extra = word(FALSE_);
    this.predictions.set(key, {
      data,
      painted: this.coloured(data, width, height, target),
      errors: new Painted(width, height, (at) => {
        const mask = truth();
        if (!mask) return 0;
        return mask[at] ? (data[at] ? 0 : missed) : data[at] ? extra : 0;
      }),
    });
    this.trim(this.predictions, 64);
    this.repaint();
  }

  async loadUncertainty(generation) {
    const key = this.key(this.target);
    if (this.uncertainties.has(key) || !this.info.targets.find((target) => target.name === this.target)?.predicted) return;
    const answer = await this.ask(`/api/uncertainty?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(this.target)}&${this.place}`);
    if (!answer) return;
    const bitmap = await createImageBitmap(await answer.blob());
    if (generation !== this.generation) return;
    this.uncertainties.set(key, heat(bitmap));
    this.trim(this.uncertainties, 16);
    this.repaint();
  }

  trim(held, most) {
    while (held.size > most) held.delete(held.keys().next().value);
  }

  // ---- drawing ----------------------------------------------------------------------------------------

  layout() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.ratio = ratio;
    this.repaint();
  }

  get pane() {
    return this.compare ? this.canvas.width / 2 : this.canvas.width;
  }

  fit() {
    if (!this.info) return;
    const { width, height } = this.sides;
    const tall = height * this.stretch;
    const scale = 0.96 * Math.min(this.pane / width, this.canvas.height / tall);
    this.view = { scale, x: (this.pane - width * scale) / 2, y: (this.canvas.height - tall * scale) / 2 };
    this.repaint();
  }

  zoomTo(scale, x = this.pane / 2, y = this.canvas.height / 2) {
    const { width, height } = this.sides;
    const least = 0.3 * Math.min(this.pane / width, this.canvas.height / height);
    const next = Math.min(64, Math.max(Math.min(least, 1), scale));
    const factor = next / this.view.scale;
    this.view = { scale: next, x: x - (x - this.view.x) * factor, y: y - (y - this.view.y) * factor };
    this.repaint();
  }

  move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.repaint();
  }

  repaint() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
      if (this.stamps?.length) {
        const now = performance.now();
        for (const stamp of this.stamps) this.latency.push(now - stamp);
        this.stamps = [];
        if (this.latency.length > 5000) this.latency.splice(0, 1000);
      }
    });
  }

  draw() {
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#14181c";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.info) return;
    if (this.compare) {
      this.drawPane(0, { truth: true });
      this.drawPane(this.pane, { prediction: !this.shown.errors, errors: this.shown.errors, uncertainty: this.shown.uncertainty });
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#8895a0";
      context.fillRect(this.pane - 1, 0, 2, this.canvas.height);
    } else this.drawPane(0, this.shown);
    this.drawScale();
  }

  drawPane(left, shown) {
    const context = this.context;
    const { width, height } = this.sides;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(left, 0, this.pane, this.canvas.height);
    context.clip();
    context.translate(left + this.view.x, this.view.y);
    context.scale(this.view.scale, this.view.scale * this.stretch);
    context.imageSmoothingEnabled = this.view.scale < 2;
    this.drawTiles(width, height);
    if (shown.uncertainty && this.target) this.drawUncertainty(width, height);
    if (!this.peek) {
      context.imageSmoothingEnabled = this.view.scale < 1;
      for (const target of this.info.targets) {
        const key = this.key(target.name);
        const chosen = target.name === this.target;
        const opacity = this.shown.outlines ? Math.max(this.opacity, 0.9) : this.opacity;
        if (this.shown.alone && !chosen) continue;
        if (shown.uncertainty && !this.shown.outlines) continue; // areas would hide what the heat says
        if (shown.truth && !shown.errors) this.masks.get(key)?.painted.draw(context, opacity);
        if (shown.prediction && !shown.errors) this.predictions.get(key)?.painted.draw(context, opacity * (shown.truth ? 0.6 : 1));
        if (shown.errors && chosen) this.predictions.get(key)?.errors.draw(context, Math.max(this.opacity, 0.6));
      }
    }
    this.drawMarks();
    this.drawHelp();
    context.restore();
  }

  drawTiles(width, height) {
    const size = this.info.tile;
    let most = 0;
    for (let side = Math.max(width, height); side > size; side = Math.ceil(side / 2)) most += 1;
    const wanted = Math.max(0, Math.min(most, Math.floor(Math.log2(1 / this.view.scale) + 0.25)));
    for (const level of wanted === most ? [most] : [most, wanted]) {
      const step = size * 2 ** level;
      const view = this.visible(width, height);
      for (let row = Math.floor(view.top / step); row * step < view.bottom; row++) {
        for (let column = Math.floor(view.left / step); column * step < view.right; column++) {
          const bitmap = this.bitmap(level, row, column);
          if (bitmap) {
            this.context.drawImage(bitmap, column * step, row * step, bitmap.width * 2 ** level, bitmap.height * 2 ** level);
          }
        }
      }
    }
  }

  visible(width, height) {
    const { scale, x, y } = this.view;
    return {
      left: Math.max(0, -x / scale),
      right: Math.min(width, (this.pane - x) / scale),
      top: Math.max(0, -y / scale / this.stretch),
      bottom: Math.min(height, (this.canvas.height - y) / scale / this.stretch),
    };
  }

  bitmap(level, row, column) {
    const window = this.window ? `&low=${this.window[0]}&high=${this.window[1]}` : "";
    const key = `${this.place}|${level}|${row}|${column}|${window}`;
    const held = this.bitmaps.get(key);
    if (held) return held === "asked" ? null : held;
    this.bitmaps.set(key, "asked");
    const generation = this.generation;
    fetch(`/api/tile?case=${encodeURIComponent(this.name)}&level=${level}&row=${row}&column=${column}&${this.place}${window}`)
      .then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(answer.status))))
      .then((blob) => createImageBitmap(blob))
      .then((bitmap) => {
        if (generation !== this.generation || !this.bitmaps.has(key)) return;
        this.bitmaps.set(key, bitmap);
        this.trim(this.bitmaps, 400);
        this.repaint();
      })
      .catch(() => setTimeout(() => this.bitmaps.get(key) === "asked" && this.bitmaps.delete(key), 1500));
    return null;
  }

  drawUncertainty(width, height) {
    const picture = this.uncertainties.get(this.key(this.target));
    if (!picture) return;
    this.context.globalAlpha = 0.75;
    this.context.drawImage(picture, 0, 0, width, height);
    this.context.globalAlpha = 1;
  }

  drawMarks() {
    for (const [at, mark] of this.info.marks.entries()) {
      const { across, x, y, radius, depth } = this.placed(mark);
      if (Math.abs(across - this.index) > depth) continue;
      this.context.beginPath();
      this.context.ellipse(x + 0.5, y + 0.5, Math.max(4, radius[0]), Math.max(4 / this.stretch, radius[1]), 0, 0, 7);
      this.context.lineWidth = 2 / this.view.scale;
      this.context.strokeStyle = mark.decision === "rejected" ? "#8895a0" : mark.decision === "accepted" ? "#2bb673" : mark.truth ? "#56b4e9" : "#e69f00";
      this.context.stroke();
      this.context.save();
      this.context.setTransform(1, 0, 0, 1, 0, 0);
      this.context.font = `${13 * this.ratio}px sans-serif`;
      this.context.fillStyle = this.context.strokeStyle;
      this.context.fillText(String(at + 1), this.view.x + (x + radius[0] + 3) * this.view.scale, this.view.y + (y - radius[1]) * this.view.scale * this.stretch);
      this.context.restore();
    }
  }

  placed(mark) {
    const [z, y, x] = mark.voxel;
    const [rz, ry, rx] = mark.radius;
    if (this.axis === 0) return { across: z, x, y, radius: [rx, ry], depth: Math.max(0.5, rz) };
    const up = this.info.shape[0] - 1 - z;
    if (this.axis === 1) return { across: y, x, y: up, radius: [rx, rz], depth: Math.max(0.5, ry) };
    return { across: x, x: y, y: up, radius: [ry, rz], depth: Math.max(0.5, rx) };
  }

  drawHelp() {
    const context = this.context;
    const line = 1.5 / this.view.scale;
    context.lineWidth = line;
    if (this.hover && (this.tool === "brush" || this.tool === "eraser")) {
      const [x, y] = this.hover;
      for (const [colour, more] of [["#000", line], ["#fff", 0]]) {
        context.beginPath();
        context.ellipse(x, y, this.size / 2 + more, this.size / 2 + more, 0, 0, 7);
        context.strokeStyle = colour;
        context.stroke();
      }
    }
    if (this.tool === "polygon" && this.corners?.length) {
      context.beginPath();
      for (const [x, y] of [...this.corners, ...(this.hover ? [this.hover] : [])]) context.lineTo(x, y);
      context.strokeStyle = "#fff";
      context.stroke();
    }
    if (this.ruler) {
      const [[x0, y0], [x1, y1]] = this.ruler;
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.strokeStyle = "#f0e442";
      context.lineWidth = 2 / this.view.scale;
      context.stroke();
    }
    if (this.frame) {
      const [[x0, y0], [x1, y1]] = this.frame;
      context.strokeStyle = "#f0e442";
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }

  drawScale() {
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    const spacing = this.info.spacing ? this.info.spacing[this.info.spacing.length - 1] : 1;
    const unit = this.info.spacing ? (this.info.unit === "um" ? "µm" : this.info.unit) : "px";
    const widest = ((this.pane / 5) / this.view.scale) * spacing;
    const power = 10 ** Math.floor(Math.log10(widest));
    const length = power * ([5, 2, 1].find((part) => part * power <= widest) || 1);
    const pixels = (length / spacing) * this.view.scale;
    const y = this.canvas.height - 14 * this.ratio;
    const x = 14 * this.ratio;
    context.font = `${12 * this.ratio}px sans-serif`;
    const words = `${+length.toPrecision(3)} ${unit}${this.rulerWords()}`;
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.fillRect(x - 6, y - 20 * this.ratio, Math.max(pixels, context.measureText(words).width) + 12, 28 * this.ratio);
    context.fillStyle = "#fff";
    context.fillRect(x, y, pixels, 3 * this.ratio);
    context.fillText(words, x, y - 5 * this.ratio);
  }

  rulerWords() {
    if (!this.ruler) return "";
    const [[x0, y0], [x1, y1]] = this.ruler;
    const spacing = this.info.spacing;
    const rest = spacing ? (spacing.length === 2 ? spacing : spacing.filter((_, at) => at !== this.axis)) : [1, 1];
    const length = Math.hypot((x1 - x0) * rest[1], (y1 - y0) * rest[0]);
    return `   ruler: ${length.toPrecision(4) * 1} ${spacing ? (this.info.unit === "um" ? "µm" : this.info.unit) : "px"}`;
  }

  // ---- hands -------------------------------------------------------------------------------------------

  listen() {
    const canvas = this.canvas;
    new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.repaint(); });
    canvas.addEventListener("dblclick", () => this.tool === "polygon" && this.close());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.onkey = (event) => this.press(event);
    this.onkeyup = (event) => { if (event.key === " ") this.space = false; if (event.key === "`") { this.peek = false; this.repaint(); } };
    document.addEventListener("keydown", this.onkey);
    document.addEventListener("keyup", this.onkeyup);
    this.onleave = (event) => { if (this.queue.length || this.pending) event.preventDefault(); };
    window.addEventListener("beforeunload", this.onleave);
    window.addEventListener("pagehide", () => navigator.sendBeacon?.("/api/save"));
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    let x = (event.clientX - box.left) * this.ratio;
    const y = (event.clientY - box.top) * this.ratio;
    if (this.compare && x >= this.pane) x -= this.pane;
    return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale / this.stretch];
  }

  down(event) {
    if (!this.info) return;
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.point(event);
    const pans = this.tool === "hand" || event.button === 1 || this.space;
    if (event.button === 2 && this.window) this.drag = { kind: "window", x: event.clientX, y: event.clientY, from: [...this.window] };
    else if (pans) this.drag = { kind: "pan", x: event.clientX, y: event.clientY };
    else if (event.button === 0) this.press_tool(point, event);
  }

  press_tool(point, event) {
    if (this.tool === "ruler") {
      this.ruler = [point, point];
      this.drag = { kind: "ruler" };
    } else if (this.tool === "region") {
      this.frame = [point, point];
      this.drag = { kind: "frame" };
    } else if (this.tool === "polygon") {
      if (this.mayPaint()) this.corners.push(point);
    } else if (this.tool === "fill") this.fill(point);
    else if (this.tool === "wand") this.wand(point);
    else if (this.mayPaint()) {
      const value = this.tool === "eraser" || event.shiftKey ? 0 : 1;
      this.drag = { kind: "paint", value, last: point, changed: [] };
      this.stamp(point, point, event);
    }
    this.repaint();
  }

  moved(event) {
    if (!this.info) return;
    const point = this.point(event);
    this.hover = point;
    const drag = this.drag;
    if (drag?.kind === "pan") {
      this.move((event.clientX - drag.x) * this.ratio, (event.clientY - drag.y) * this.ratio);
      drag.x = event.clientX;
      drag.y = event.clientY;
    } else if (drag?.kind === "paint") {
      const events = event.getCoalescedEvents?.() || [];
      for (const one of events.length ? events : [event]) {
        const next = this.point(one);
        this.stamp(drag.last, next, one);
        drag.last = next;
      }
    } else if (drag?.kind === "ruler") this.ruler[1] = point;
    else if (drag?.kind === "frame") this.frame[1] = point;
    else if (drag?.kind === "window") this.dragWindow(event);
    this.repaint();
  }

  dragWindow(event) {
    const { from, x, y } = this.drag;
    const unit = (this.info.range[1] - this.info.range[0]) / 600 || 1;
    const level = (from[0] + from[1]) / 2 + (y - event.clientY) * unit;
    const width = Math.max(unit, from[1] - from[0] + (event.clientX - x) * unit);
    this.window = [level - width / 2, level + width / 2];
    this.bitmaps.clear();
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (drag?.kind === "paint") this.finish(this.target, drag.changed);
    if (drag?.kind === "frame") this.accept();
    if (drag?.kind === "window") this.buildSide();
    if (this.canvas.hasPointerCapture(event.pointerId)) this.canvas.releasePointerCapture(event.pointerId);
    this.repaint();
  }

  wheel(event) {
    if (!this.info) return;
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    let x = (event.clientX - box.left) * this.ratio;
    const y = (event.clientY - box.top) * this.ratio;
    if (this.compare && x >= this.pane) x -= this.pane;
    const fine = event.deltaMode === 0 && (event.deltaX !== 0 || (Math.abs(event.deltaY) < 40 && event.deltaY % 1 !== 0));
    if (event.shiftKey && !event.ctrlKey) this.resize(this.size * (event.deltaY + event.deltaX < 0 ? 1.15 : 0.87));
    else if (this.info.shape.length === 3 && !event.ctrlKey) this.slice(this.index + Math.sign(event.deltaY));
    else if (fine && !event.ctrlKey) this.move(-event.deltaX * this.ratio, -event.deltaY * this.ratio);
    else this.zoomTo(this.view.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), x, y);
  }

  press(event) {
    if (!this.info || !this.root.isConnected || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName) && event.target.type !== "range" && event.target.type !== "radio" && event.target.type !== "checkbox") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const ranged = event.target.type === "range";
    const command = event.ctrlKey || event.metaKey;
    if (command && key === "z") (event.shiftKey ? this.redo() : this.undo());
    else if (command && key === "y") this.redo();
    else if (command && key === "s") this.save();
    else if (command || event.altKey) return;
    else if (key === " " && event.target === this.canvas) this.space = true;
    else if (key === "`") { this.peek = true; this.repaint(); }
    else if (key === "Escape") { this.corners = []; this.ruler = null; this.drag = null; this.frame = null; this.repaint(); }
    else if (key === "Enter" && this.tool === "polygon" && this.corners.length) this.close();
    else if (key === "[" || key === "]") this.resize(this.size * (key === "]" ? 1.2 : 0.83));
    else if (key === "+" || key === "=") this.zoomTo(this.view.scale * 1.25);
    else if (key === "-") this.zoomTo(this.view.scale * 0.8);
    else if (key === "0") this.fit();
    else if (key === ".") this.go(1);
    else if (key === ",") this.go(-1);
    else if (key === "c") this.toggleCompare();
    else if (/^[1-9]$/.test(key) && this.info.targets[Number(key) - 1]) this.chooseTarget(this.info.targets[Number(key) - 1].name);
    else if ("tmxuoi".includes(key)) this.flip({ t: "truth", m: "prediction", x: "errors", u: "uncertainty", o: "outlines", i: "alone" }[key]);
    else if (key === "PageDown" || key === "PageUp") this.info.shape.length === 3 ? this.slice(this.index + (key === "PageDown" ? 1 : -1)) : this.go(key === "PageDown" ? 1 : -1);
    else if (key.startsWith("Arrow") && !ranged && event.target === this.canvas) this.move(...{ ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[key]);
    else {
      const tool = TOOLS.find(([, , letter]) => letter.toLowerCase() === key);
      if (!tool || (!this.info.paintable && !["hand", "ruler"].includes(tool[0]))) return;
      this.choose(tool[0]);
    }
    event.preventDefault();
  }

  choose(name) {
    this.tool = name;
    this.corners = [];
    for (const button of this.tools.children) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    this.hint.textContent = TOOLS.find((tool) => tool[0] === name)[3];
    this.canvas.dataset.tool = name;
    this.repaint();
  }

  chooseTarget(name) {
    this.target = name;
    this.buildSide();
    this.loadLayers();
  }

  resize(size) {
    this.size = Math.min(200, Math.max(1, size < this.size ? Math.floor(size) : Math.ceil(size)));
    this.sizeInput.value = String(this.size);
    this.sizeLabel.textContent = String(this.size);
    this.repaint();
  }

  show(name, on) {
    this.shown[name] = on;
    if (name === "outlines") for (const held of [...this.masks.values(), ...this.predictions.values()]) held.painted.stale = true;
    if (name === "errors" && on) this.predictions.forEach((one) => (one.errors.stale = true));
    this.buildSide();
    this.loadLayers();
  }

  flip(name) {
    if (["truth", "outlines", "alone"].includes(name) || this.info.targets.some((target) => target.predicted)) this.show(name, !this.shown[name]);
  }

  toggleCompare() {
    this.compare = !this.compare;
    this.compareButton.setAttribute("aria-pressed", String(this.compare));
    if (this.compare) this.shown.prediction = true;
    this.loadLayers();
    this.fit();
  }

  turn(axis) {
    this.axis = axis;
    this.index = Math.floor(this.info.shape[axis] / 2);
    this.bitmaps.clear();
    this.buildSide();
    this.fit();
    this.loadLayers();
  }

  slice(index) {
    const next = Math.max(0, Math.min(this.info.shape[this.axis] - 1, index));
    if (next === this.index) return;
    this.index = next;
    this.corners = [];
    if (this.sliceInput) {
      this.sliceInput.value = String(next);
      this.sliceLabel.textContent = `${next + 1} / ${this.info.shape[this.axis]}`;
    }
    this.repaint();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.loadLayers(), 30);
  }

  jump(mark) {
    this.slice(Math.round(mark.voxel[this.axis]));
    const { x, y } = this.placed(mark);
    const scale = Math.max(this.view.scale, 2.5);
    this.view = { scale, x: this.pane / 2 - x * scale, y: this.canvas.height / 2 - y * scale * this.stretch };
    this.repaint();
  }

  async judge(mark, decision) {
    const next = mark.decision === decision ? "" : decision;
    const address = `/api/judge?case=${encodeURIComponent(this.name)}&x=${mark.centre[0]}&y=${mark.centre[1]}&z=${mark.centre[2]}&diameter=${mark.diameter}&decision=${next}`;
    if (await this.ask(address, { method: "POST" })) {
      mark.decision = next;
      this.buildSide();
      this.repaint();
    }
  }

  // ---- painting -----------------------------------------------------------------------------------------

  mayPaint() {
    const target = this.info.targets.find((one) => one.name === this.target);
    if (!target) this.tell("Name a target first: what is it that you paint?");
    else if (target.locked) this.tell(target.locked, false);
    if (target?.locked.includes("`images`")) this.emit("loose", {});
    return target && !target.locked && this.masks.has(this.key(target.name));
  }

  get mask() {
    return this.masks.get(this.key(this.target));
  }

  stamp(from, to, event) {
    const { data, width, height } = this.mask;
    const snap = ([x, y]) => (this.size <= 1 ? [Math.floor(x) + 0.5, Math.floor(y) + 0.5] : [x, y]);
    const [x0, y0] = snap(from);
    const [x1, y1] = snap(to);
    const area = capsule(data, width, height, x0, y0, x1, y1, Math.max(0.5, this.size / 2), this.drag.value, this.drag.changed);
    this.refresh(this.target, area);
    (this.stamps ||= []).push(event.timeStamp);
  }

  refresh(target, area) {
    const key = this.key(target);
    this.masks.get(key)?.painted.refresh(area);
    const errors = this.predictions.get(key)?.errors;
    if (errors && this.shown.errors) errors.refresh(area);
    else if (errors) errors.stale = true;
    this.repaint();
  }

  close() {
    if (this.corners.length > 2 && this.mayPaint()) {
      const { data, width, height } = this.mask;
      const changed = [];
      this.refresh(this.target, polygon(data, width, height, this.corners, 1, changed));
      this.finish(this.target, changed);
    }
    this.corners = [];
    this.repaint();
  }

  fill([px, py]) {
    if (!this.mayPaint()) return;
    const { data, width, height } = this.mask;
    const [x, y] = [Math.floor(px), Math.floor(py)];
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const value = data[y * width + x] ? 0 : 1;
    const { spans, rim, count } = connected(data, width, height, x, y);
    if (value && rim && count > 0.5 * width * height) {
      this.tell("This is not enclosed: draw a closed outline first, or fill smaller parts");
      return;
    }
    const changed = [];
    this.refresh(this.target, paintSpans(data, width, height, spans, value, changed));
    this.finish(this.target, changed);
  }

  async wand([px, py]) {
    if (!this.mayPaint()) return;
    const place = this.place;
    const answer = await this.ask(`/api/wand?case=${encodeURIComponent(this.name)}&y=${Math.floor(py)}&x=${Math.floor(px)}&tolerance=${this.tolerance}&${place}`);
    if (answer && place === this.place) this.take(new Uint32Array(await answer.arrayBuffer()));
  }

  async accept() {
    const [[x0, y0], [x1, y1]] = this.frame;
    this.frame = null;
    const target = this.info.targets.find((one) => one.name === this.target);
    if (!this.mayPaint()) return;
    if (!target.predicted) {
      this.tell("No model has predicted this image yet: train one, or let What next predict it");
      return;
    }
    const place = this.place;
    const drags = Math.hypot(x1 - x0, y1 - y0) * this.view.scale > 6;
    const { width, height } = this.sides;
    const whole = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
    const where = drags
      ? `y=${whole(Math.min(y0, y1), height)}&x=${whole(Math.min(x0, x1), width)}&bottom=${whole(Math.max(y0, y1), height)}&right=${whole(Math.max(x0, x1), width)}`
      : `y=${Math.floor(y0)}&x=${Math.floor(x0)}`;
    const answer = await this.ask(`/api/region?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(this.target)}&${where}&level=${target.threshold}&${place}`);
    if (answer && place === this.place) {
      const spans = new Uint32Array(await answer.arrayBuffer());
      if (spans.length) this.take(spans);
      else this.tell("The model finds nothing there");
    }
  }

  take(spans) {
    const { data, width, height } = this.mask;
    const changed = [];
    this.refresh(this.target, paintSpans(data, width, height, spans, 1, changed));
    this.finish(this.target, changed);
  }

  finish(target, changed) {
    if (!changed.length) return;
    const stroke = { target, axis: this.axis, index: this.index, spans: Uint32Array.from(changed) };
    this.done.push(stroke);
    this.undone = [];
    this.send(stroke);
  }

  again(from, to) {
    const stroke = from.pop();
    if (!stroke) return;
    to.push(stroke);
    if (stroke.axis !== this.axis || stroke.index !== this.index) {
      this.axis = stroke.axis;
      this.index = stroke.index;
      this.buildSide();
    }
    const mask = this.masks.get(this.key(stroke.target));
    if (mask) this.refresh(stroke.target, toggle(mask.data, mask.width, mask.height, stroke.spans));
    this.send(stroke);
    this.loadLayers();
  }

  undo() { this.again(this.done, this.undone); }

  redo() { this.again(this.undone, this.done); }

  updateButtons() {
    this.undoButton.disabled = !this.done.length;
    this.redoButton.disabled = !this.undone.length;
    this.saved.textContent = this.queue.length || this.pending ? "keeping…" : this.done.length || this.undone.length ? this.savedWords || "kept" : "";
  }

  // Strokes go to the server one after the other; each is on its disk before the next one goes.
  send(stroke) {
    this.queue.push({ ...stroke, case: this.name, key: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}` });
    this.savedWords = "";
    this.updateButtons();
    this.work();
  }

  async work() {
    if (this.working) return;
    this.working = true;
    while (this.queue.length) {
      const stroke = this.queue[0];
      const version = this.versions.get(stroke.target) ?? 0;
      const address = `/api/stroke?case=${encodeURIComponent(stroke.case)}&target=${encodeURIComponent(stroke.target)}&axis=${stroke.axis}&index=${stroke.index}&version=${version}&key=${stroke.key}`;
      let answer = null;
      try {
        answer = await fetch(address, { method: "POST", body: stroke.spans, headers: { "Content-Type": "application/octet-stream" } });
      } catch {
        this.saved.textContent = "not kept: the studio does not answer";
        this.tell("The studio does not answer. What you paint is held in this page and sent as soon as it does: keep it open.", true);
        await new Promise((done) => setTimeout(done, 1000));
        continue;
      }
      if (answer.ok) {
        this.versions.set(stroke.target, (await answer.json()).version);
        if (!this.message.hidden && this.message.textContent.startsWith("The studio does not answer")) this.tell("");
        this.queue.shift();
      } else await this.refused(answer);
    }
    this.working = false;
    this.updateButtons();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(true), 2000);
  }

  async refused(answer) {
    const found = await answer.json().catch(() => ({ error: answer.statusText }));
    this.queue = [];
    this.done = [];
    this.undone = [];
    this.masks.clear();
    this.versions.clear();
    this.tell(found.error, found.loose);
    if (found.loose) this.emit("loose", {});
    await this.loadLayers();
  }

  async drained() {
    for (let k = 0; k < 200 && (this.queue.length || this.working); k++) await new Promise((done) => setTimeout(done, 25));
  }

  async save(quiet) {
    await this.drained();
    this.pending += 1;
    this.updateButtons();
    const answer = await this.ask("/api/save", { method: "POST" });
    this.pending -= 1;
    if (answer) {
      const files = (await answer.json()).saved;
      this.savedWords = "saved";
      this.saved.title = files.join(", ");
      if (!quiet) this.tell(files.length ? `Written: ${files.join(", ")}` : "Everything is in its file already");
      if (files.length && this.info.targets.some((target) => !target.annotated && target.name === this.target)) {
        const fresh = await this.ask(`/api/case?case=${encodeURIComponent(this.name)}`);
        if (fresh) { this.info = await fresh.json(); this.buildSide(); }
      }
    }
    this.updateButtons();
    this.emit("saved", {});
  }

  async markEmpty() {
    if (await this.ask(`/api/empty?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(this.target)}`, { method: "POST" })) await this.reload();
  }

  leave() {
    document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("keyup", this.onkeyup);
    window.removeEventListener("beforeunload", this.onleave);
  }
}

function swatch(colour) {
  const node = make("span", { class: "swatch" });
  node.style.background = `rgb(${colour.join(",")})`;
  return node;
}

// Uncertainty as heat: clear where all is sure.
function heat(bitmap) {
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

export default {
  template: `<div class="viewer"></div>`,
  props: { cases: Array, case: String },
  mounted() {
    this.viewer = new Viewer(this.$el, { cases: this.cases, case: this.case }, (name, value) => this.$emit(name, value));
    window.hilumViewer = this.viewer;
  },
  unmounted() {
    this.viewer.leave();
  },
  methods: {
    reload() { return this.viewer.reload(); },
    go(way) { this.viewer.go(way); },
  },
};
