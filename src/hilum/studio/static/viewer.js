// The canvas of the studio: shows an image with its layers, and paints masks. All drawing happens here;
// the studio's server gets every finished stroke as spans of changed pixels.
import { PLANES, onPlane, voxelAt } from "/studio-static/planes.js";
import { FALSE_, ICONS, MISSED, Painted, TOOLS, heat, icon, make, rgb, swatch, word } from "/studio-static/parts.js";
import { capsule, connected, grow, box, maskOf, paintSpans, polygon, toggle } from "/studio-static/pixels.js";

class Viewer {
  constructor(root, options, emit) {
    this.root = root;
    this.cases = options.cases;
    this.emit = emit;
    this.tool = "hand";
    this.size = 24;
    this.tolerance = 12;
    this.opacity = 0.45;
    this.shown = { truth: true, prediction: false, errors: false, uncertainty: false, explained: false, outlines: false, alone: false };
    this.look = { what: "gradcam", of: "", channel: 0 };
    this.target = null;
    this.axis = 0;
    this.index = 0;
    this.cross = [0, 0, 0];
    this.views = {};
    this.compare = false;
    this.trio = false;
    this.masks = new Map();
    this.versions = new Map();
    this.predictions = new Map();
    this.uncertainties = new Map();
    this.explanations = new Map();
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
    this.toleranceLabel = make("output", { text: String(this.tolerance) });
    this.toleranceInput = make("input", {
      type: "range", min: "1", max: "100", value: String(this.tolerance), "aria-label": "How unlike what the wand takes may be, of 255",
      oninput: () => this.tolerate(Number(this.toleranceInput.value)),
    });
    this.bar.append(
      make("span", { class: "group" },
        make("button", { type: "button", title: "Image before (,)", "aria-label": "Image before", onclick: step(-1), text: "‹" }),
        this.chooser,
        make("button", { type: "button", title: "Next image (.)", "aria-label": "Next image", onclick: step(1), text: "›" })),
      make("span", { class: "group paints" }, this.undoButton, this.redoButton,
        make("button", { type: "button", title: "Write the masks to their files now (Ctrl+S)", onclick: () => this.save(), text: "Save" }), this.saved),
      (this.sizeControl = make("label", { class: "group paints" }, "Brush", this.sizeInput, this.sizeLabel)),
      (this.toleranceControl = make("label", { class: "group paints", hidden: "" }, "Tolerance", this.toleranceInput, this.toleranceLabel)),
      make("span", { class: "group" },
        make("button", { type: "button", title: "The whole image (0)", onclick: () => this.fit(), text: "Fit" }),
        make("button", { type: "button", title: "One image pixel on one of the screen (1:1)", onclick: () => this.zoomTo(1), text: "1:1" }),
        (this.compareButton = make("button", {
          type: "button", title: "Truth left, model right, moved together (C)", "aria-pressed": "false",
          onclick: () => this.toggleCompare(), text: "Side by side" })),
        (this.trioButton = make("button", {
          type: "button", title: "Axial, coronal and sagittal beside one another, linked by a cross-hair (V)", "aria-pressed": "false", hidden: "",
          onclick: () => this.toggleTrio(), text: "Three planes" }))),
    );
  }

  buildSide() {
    const info = this.info;
    this.side.replaceChildren();
    const section = (title, ...nodes) => this.side.append(make("section", {}, make("h3", { text: title }), ...nodes));
    if (info.paintable) section("Targets", this.targetList(), this.newTarget());
    if (info.targets.length || info.explains.length) section("Layers", this.layerList());
    if (info.paintable && info.shape.length === 2) section("Outlines", this.exchange());
    if (info.slide) section("Fields to paint", ...this.fieldControls());
    if (info.window) section("Window", this.windowControls());
    if (info.shape.length === 3) section("Slice", this.sliceControls());
    if (info.marks.length) section(`Nodules (${info.marks.length})`, this.markList());
    const size = [...info.shape].reverse().join(" × ");
    const spacing = info.spacing ? `${[...info.spacing].reverse().map((s) => +s.toPrecision(4)).join(" × ")} ${info.unit}` : "spacing not known: lengths in px (a column “spacing” in study.csv gives it)";
    section("Image", make("p", { class: "facts", text: `${size}, ${info.channels === 1 ? "1 channel" : `${info.channels} channels`} ${info.kind}` }),
      make("p", { class: "facts", text: spacing }), info.group ? make("p", { class: "facts", text: `group ${info.group}` }) : null,
      info.labels?.length ? make("p", { class: "facts", text: `label ${info.labels.join(", ")}` }) : null);
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
    for (const [name, label] of this.info.targets.length ? Object.entries(names) : []) {
      const input = make("input", { type: "checkbox", onchange: () => this.show(name, input.checked) });
      input.checked = this.shown[name];
      input.disabled = name !== "truth" && !predicted;
      list.append(make("label", { "data-layer": name }, input, make("span", { text: label })));
      if (name === "errors") {
        list.append(make("p", { class: "facts legend" }, swatch(MISSED), "missed ", swatch(FALSE_), "false"));
      }
    }
    if (this.info.explains.length) list.append(...this.lookControls());
    for (const [name, label] of !this.info.targets.length ? [] : [["outlines", "Outlines only (O)"], ["alone", "Chosen target only (I)"]]) {
      const input = make("input", { type: "checkbox", onchange: () => this.show(name, input.checked) });
      input.checked = this.shown[name];
      list.append(make("label", { "data-layer": name }, input, make("span", { text: label })));
    }
    const opacity = make("input", { type: "range", min: "5", max: "100", value: String(100 * this.opacity), "aria-label": "Opacity of layers",
      oninput: () => { this.opacity = Number(opacity.value) / 100; this.repaint(); } });
    list.append(make("label", {}, make("span", { text: "Opacity" }), opacity));
    list.append(make("p", { class: "facts", text: predicted ? `model: ${from}` : this.unpredicted() }));
    return list;
  }

  // Slides are painted in fields that are cut out of them.
  fieldControls() {
    this.fieldSide = Math.min(this.fieldSide || this.info.field_side, this.info.field_side);
    const sizes = make("select", { "aria-label": "Size of a field", onchange: () => { this.fieldSide = Number(sizes.value); this.repaint(); } });
    for (const side of [512, 1024, 2048]) sizes.append(make("option", { value: side, text: `${side} × ${side} px`, selected: side === this.fieldSide ? "" : null }));
    const list = make("ul", { class: "marks" });
    for (const field of this.info.fields) {
      const words = field.annotated.length ? field.annotated.join(", ") : "not annotated";
      list.append(make("li", {}, make("a", { href: `/paint?case=${encodeURIComponent(field.case)}`, text: `${field.x}, ${field.y}` }), ` ${words}`));
    }
    return [make("p", { class: "facts", text: "A slide is painted in fields: zoom until the dashed frame holds what you want to paint, then cut it out. Fields of one slide stay in one group." }),
      make("div", { class: "presets" }, sizes, make("button", { type: "button", class: "small", text: "Cut out and paint", onclick: () => this.cutField() })), list];
  }

  get fieldBox() {
    const side = this.fieldSide || 0;
    const { width, height } = this.sides;
    const at = (size, most) => Math.max(0, Math.min(most - side, Math.round(size - side / 2)));
    return { x: at((this.pane / 2 - this.view.x) / this.view.scale, width), y: at((this.canvas.height / 2 - this.view.y) / this.view.scale / this.stretch, height), side };
  }

  async cutField() {
    const { x, y, side } = this.fieldBox;
    const answer = await this.ask(`/api/field?case=${encodeURIComponent(this.name)}&y=${y}&x=${x}&side=${side}`, { method: "POST" });
    if (answer) location.href = `/paint?case=${encodeURIComponent((await answer.json()).case)}`;
  }

  drawFields() {
    const context = this.context;
    const { x, y, side } = this.fieldBox;
    context.lineWidth = 2 / this.view.scale;
    context.strokeStyle = "#0072b2";
    for (const field of this.info.fields) context.strokeRect(field.x, field.y, field.width, field.height);
    context.setLineDash([8 / this.view.scale, 6 / this.view.scale]);
    context.strokeStyle = "#d55e00";
    context.strokeRect(x, y, side, side);
    context.setLineDash([]);
  }

  // What the model looks at: Grad-CAM of the chosen target or class, or what a layer of the network makes of it.
  lookControls() {
    const input = make("input", { type: "checkbox", onchange: () => this.show("explained", input.checked) });
    input.checked = this.shown.explained;
    const row = make("label", { "data-layer": "explained" }, input, make("span", { text: "Model's look (G)" }));
    if (!this.shown.explained) return [row];
    const picker = (label, options, chosen, change) => {
      const select = make("select", { "aria-label": label, onchange: () => { change(select.value); this.look_again(); } });
      for (const [value, text] of options) select.append(make("option", { value, text, selected: String(value) === String(chosen) ? "" : null }));
      return select;
    };
    const layers = this.info.network_layers.map((name) => [name, `layer ${name}`]);
    const nodes = [row, picker("What of the model's look", [["gradcam", "Grad-CAM"], ...layers], this.look.what, (value) => { this.look.what = value; this.look.channel = 0; })];
    if (this.look.what === "gradcam" && !this.info.targets.length) {
      nodes.push(picker("Class", this.info.explains.map((name) => [name, name]), this.lookOf, (value) => (this.look.of = value)));
    } else if (this.look.what !== "gradcam") {
      const channels = [[0, "all channels"], ...Array.from({ length: 24 }, (_, k) => [k + 1, `channel ${k + 1}`])];
      nodes.push(picker("Channel", channels, this.look.channel, (value) => (this.look.channel = Number(value))));
    }
    return nodes;
  }

  look_again() {
    this.buildSide();
    this.loadLayers();
  }

  get lookOf() {
    const known = this.info.explains;
    if (this.info.targets.length) return known.includes(this.target) ? this.target : "";
    return known.includes(this.look.of) ? this.look.of : known[known.length - 1] || "";
  }

  get lookKey() {
    const { what, channel } = this.look;
    return this.key(`${what}|${channel}|${what === "gradcam" ? this.lookOf : ""}`);
  }

  async loadExplained(generation) {
    const key = this.lookKey;
    const { what, channel } = this.look;
    if (this.explanations.has(key) || (what === "gradcam" && !this.lookOf)) return;
    const answer = await this.ask(`/api/explained?case=${encodeURIComponent(this.name)}&of=${encodeURIComponent(this.lookOf)}&what=${encodeURIComponent(what)}&channel=${channel}&${this.place}`);
    if (generation !== this.generation || !this.shown.explained) return;
    if (!answer) return this.show("explained", false);
    if (answer.status === 202) {
      this.tell("The model is asked what it looks at; this takes some seconds …", true);
      clearTimeout(this.looking);
      this.looking = setTimeout(() => generation === this.generation && this.loadLayers(), 600);
    } else if (answer.status === 200) {
      const bitmap = await createImageBitmap(await answer.blob());
      this.explanations.set(key, heat(bitmap));
      this.trim(this.explanations, 32);
      this.tell("");
      if (!this.info.network_layers.length) {
        this.info.network_layers = JSON.parse(answer.headers.get("X-Layers"));
        this.buildSide();
      }
      this.repaint();
    }
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
    const row = make("div", { class: "presets", role: "group", "aria-label": "Plane" });
    PLANES.forEach((name, axis) => row.append(make("button", { type: "button", class: "small", text: name, "aria-pressed": String(axis === this.axis), onclick: () => this.turn(axis) })));
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
    for (const held of [this.masks, this.versions, this.predictions, this.uncertainties, this.explanations, this.bitmaps]) held.clear();
    this.done = [];
    this.undone = [];
    this.ruler = null;
    this.corners = [];
    const names = this.info.targets.map((target) => target.name);
    if (!names.includes(this.target)) this.target = names[0] || null;
    if (this.info.marks.length && this.info.marks[0].index !== undefined) this.index = this.info.marks[0].index;
    this.cross = this.info.shape.length === 3 ? this.info.shape.map((side) => Math.floor(side / 2)) : [0, 0, 0];
    this.cross[0] = this.index;
    this.compareButton.hidden = !this.info.targets.length;
    this.trioButton.hidden = this.info.shape.length !== 3;
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
    this.explanations.clear();
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
    const place = this.place;
    await Promise.all(this.axes.flatMap((axis) => this.within(axis, () => this.loads())));
    if (place === this.place) this.repaint();
  }

  loads() {
    const generation = this.generation;
    const jobs = [];
    for (const target of this.info.targets) {
      if (this.shown.truth || this.shown.errors || target.name === this.target) jobs.push(this.loadMask(target, generation));
      if (target.predicted && (this.shown.prediction || this.shown.errors)) jobs.push(this.loadPrediction(target, generation));
    }
    if (this.shown.uncertainty && this.target) jobs.push(this.loadUncertainty(generation));
    if (this.shown.explained && this.info.explains.length) jobs.push(this.loadExplained(generation));
    return jobs;
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
    const errors = this.predictions.get(key)?.errors;
    if (errors) errors.stale = true;
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

  get three() {
    return this.trio && !this.compare && this.info?.shape.length === 3;
  }

  get axes() {
    return this.three ? [0, 1, 2] : [this.axis];
  }

  get pane() {
    return this.canvas.width / (this.three ? 3 : this.compare ? 2 : 1);
  }

  // Do something with another of the three planes as if it were the chosen one.
  within(axis, work) {
    if (axis === this.axis) return work();
    const own = [this.axis, this.index, this.view];
    [this.axis, this.index, this.view] = [axis, this.cross[axis], this.views[axis] || { scale: 1, x: 0, y: 0 }];
    try {
      return work();
    } finally {
      this.views[axis] = this.view;
      [this.axis, this.index, this.view] = own;
    }
  }

  // Make another plane the chosen one, through the cross-hair.
  enter(axis, index = this.cross[axis]) {
    this.views[this.axis] = this.view;
    this.axis = axis;
    this.cross[axis] = this.index = index;
    if (this.views[axis]) this.view = this.views[axis];
  }

  fit() {
    if (!this.info) return;
    for (const axis of this.axes) this.within(axis, () => this.fitPlane());
  }

  fitPlane() {
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
    this.chosenAxis = this.axis; // `within` changes the axis while the others are drawn
    if (this.three) for (const axis of this.axes) this.within(axis, () => this.drawPlane(axis * this.pane));
    else if (this.compare) {
      this.drawPane(0, { truth: true });
      this.drawPane(this.pane, { prediction: !this.shown.errors, errors: this.shown.errors, uncertainty: this.shown.uncertainty, explained: this.shown.explained });
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = "#8895a0";
      context.fillRect(this.pane - 1, 0, 2, this.canvas.height);
    } else this.drawPane(0, this.shown);
    this.left = this.three ? this.axis * this.pane : 0;
    this.drawScale();
  }

  // One of three planes, with its name, and the cross-hair that all of them share.
  drawPlane(left) {
    const { context, axis, ratio } = this;
    this.drawPane(left, this.shown);
    const [x, y] = onPlane(axis, this.cross, this.info.shape);
    const [cx, cy] = [left + this.view.x + (x + 0.5) * this.view.scale, this.view.y + (y + 0.5) * this.view.scale * this.stretch];
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(left, 0, this.pane, this.canvas.height);
    context.clip();
    context.fillStyle = "rgba(240, 228, 66, 0.6)";
    context.fillRect(Math.round(cx), 0, 1, this.canvas.height);
    context.fillRect(left, Math.round(cy), this.pane, 1);
    context.strokeStyle = axis === this.chosenAxis ? "#56b4e9" : "#59656d";
    context.lineWidth = 2 * ratio;
    context.strokeRect(left + 1, 1, this.pane - 2, this.canvas.height - 2);
    context.font = `${12 * ratio}px sans-serif`;
    context.fillStyle = "#fff";
    context.fillText(`${PLANES[axis]} ${this.index + 1} / ${this.info.shape[axis]}`, left + 10 * ratio, 20 * ratio);
    context.restore();
  }

  drawPane(left, shown) {
    this.left = left;
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
    if (shown.uncertainty && this.target && !this.peek) this.drawHeat(this.uncertainties.get(this.key(this.target)), width, height);
    if (shown.explained && !this.peek) this.drawHeat(this.explanations.get(this.lookKey), width, height);
    if (!this.peek) {
      context.imageSmoothingEnabled = this.view.scale < 1;
      for (const target of this.info.targets) {
        const key = this.key(target.name);
        const chosen = target.name === this.target;
        const opacity = this.shown.outlines ? Math.max(this.opacity, 0.9) : this.opacity;
        if (this.shown.alone && !chosen) continue;
        if ((shown.uncertainty || shown.explained) && !this.shown.outlines) continue; // areas would hide what the heat says
        if (shown.truth && !shown.errors) this.masks.get(key)?.painted.draw(context, opacity);
        if (shown.prediction && !shown.errors) this.predictions.get(key)?.painted.draw(context, opacity * (shown.truth ? 0.6 : 1));
        if (shown.errors && chosen) this.predictions.get(key)?.errors.draw(context, Math.max(this.opacity, 0.6));
      }
    }
    this.drawMarks();
    if (this.info.slide) this.drawFields();
    if (this.axis === this.chosenAxis) this.drawHelp();
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

  drawHeat(picture, width, height) {
    if (!picture) return;
    this.context.globalAlpha = Math.max(0.75, this.opacity);
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
      this.context.fillText(String(at + 1), this.left + this.view.x + (x + radius[0] + 3) * this.view.scale, this.view.y + (y - radius[1]) * this.view.scale * this.stretch);
      this.context.restore();
    }
  }

  placed(mark) {
    const [z, y, x] = mark.voxel;
    const [rz, ry, rx] = mark.radius;
    const [px, py] = onPlane(this.axis, mark.voxel, this.info.shape);
    const radius = [[rx, ry], [rx, rz], [ry, rz]][this.axis];
    return { across: [z, y, x][this.axis], x: px, y: py, radius, depth: Math.max(0.5, [rz, ry, rx][this.axis]) };
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
    const x = this.left + 14 * this.ratio;
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

  // Where the pointer is on the canvas, counted from the left of its pane, and of which plane that is.
  aim(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) * this.ratio;
    const y = (event.clientY - box.top) * this.ratio;
    const at = Math.max(0, Math.min(2, Math.floor(x / this.pane)));
    if (this.three) return { axis: at, x: x - at * this.pane, y };
    return { axis: this.axis, x: this.compare && x >= this.pane ? x - this.pane : x, y };
  }

  // The point [x, y] of the chosen plane, or of another of three, under the pointer.
  point(event, axis = this.axis) {
    const aimed = this.aim(event);
    const x = aimed.x + (this.three ? (aimed.axis - axis) * this.pane : 0);
    return this.within(axis, () => [(x - this.view.x) / this.view.scale, (aimed.y - this.view.y) / this.view.scale / this.stretch]);
  }

  down(event) {
    if (!this.info) return;
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.point(event);
    const pans = this.tool === "hand" || event.button === 1 || this.space;
    if (event.button === 2 && this.window) this.drag = { kind: "window", x: event.clientX, y: event.clientY, from: [...this.window] };
    else if (pans) this.drag = { kind: "pan", x: event.clientX, y: event.clientY, axis: this.aim(event).axis, clicks: event.button === 0 };
    else if (event.button === 0 && this.aim(event).axis !== this.axis) this.follow(event, this.aim(event).axis);
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
    if (drag?.kind === "cross") this.follow(event, drag.axis);
    else if (drag?.kind === "pan") {
      if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 2) drag.clicks = false;
      this.within(drag.axis, () => this.move((event.clientX - drag.x) * this.ratio, (event.clientY - drag.y) * this.ratio));
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
    if (drag?.kind === "pan" && drag.clicks && this.three) this.crossTo(voxelAt(drag.axis, this.point(event, drag.axis), this.cross, this.info.shape));
    if (this.canvas.hasPointerCapture(event.pointerId)) this.canvas.releasePointerCapture(event.pointerId);
    this.repaint();
  }

  wheel(event) {
    if (!this.info) return;
    event.preventDefault();
    const { axis, x, y } = this.aim(event);
    const fine = event.deltaMode === 0 && (event.deltaX !== 0 || (Math.abs(event.deltaY) < 40 && event.deltaY % 1 !== 0));
    if (event.shiftKey && !event.ctrlKey) this.resize(this.size * (event.deltaY + event.deltaX < 0 ? 1.15 : 0.87));
    else if (axis !== this.axis) this.wheelBeside(event, axis, x, y);
    else if (this.info.shape.length === 3 && !event.ctrlKey) this.slice(this.index + Math.sign(event.deltaY));
    else if (fine && !event.ctrlKey) this.move(-event.deltaX * this.ratio, -event.deltaY * this.ratio);
    else this.zoomTo(this.view.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), x, y);
  }

  wheelBeside(event, axis, x, y) {
    if (event.ctrlKey) return this.within(axis, () => this.zoomTo(this.view.scale * Math.exp(-event.deltaY * 0.01), x, y));
    const next = [...this.cross];
    next[axis] += Math.sign(event.deltaY);
    return this.crossTo(next);
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
    else if ((key === "[" || key === "]") && this.tool === "wand") this.tolerate(this.tolerance + (key === "]" ? 2 : -2));
    else if (key === "[" || key === "]") this.resize(this.size * (key === "]" ? 1.2 : 0.83));
    else if (key === "+" || key === "=") this.zoomTo(this.view.scale * 1.25);
    else if (key === "-") this.zoomTo(this.view.scale * 0.8);
    else if (key === "0") this.fit();
    else if (key === ".") this.go(1);
    else if (key === ",") this.go(-1);
    else if (key === "c" && !this.compareButton.hidden) this.toggleCompare();
    else if (key === "v" && this.info.shape.length === 3) this.toggleTrio();
    else if (/^[1-9]$/.test(key) && this.info.targets[Number(key) - 1]) this.chooseTarget(this.info.targets[Number(key) - 1].name);
    else if ("tmxugoi".includes(key)) this.flip({ t: "truth", m: "prediction", x: "errors", u: "uncertainty", g: "explained", o: "outlines", i: "alone" }[key]);
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
    this.help = TOOLS.find((tool) => tool[0] === name)[3];
    this.hint.textContent = this.help;
    this.canvas.dataset.tool = name;
    this.sizeControl.hidden = name === "wand";
    this.toleranceControl.hidden = name !== "wand";
    this.repaint();
  }

  tolerate(tolerance) {
    this.tolerance = Math.max(1, Math.min(100, tolerance));
    this.toleranceInput.value = String(this.tolerance);
    this.toleranceLabel.textContent = String(this.tolerance);
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
    if (name === "explained") {
      if (this.info.explains.length) this.show(name, !this.shown[name]);
      else this.tell("No model is in use whose look can be shown: train one");
      return;
    }
    if (["truth", "outlines", "alone"].includes(name) || this.info.targets.some((target) => target.predicted)) this.show(name, !this.shown[name]);
  }

  toggleCompare() {
    this.compare = !this.compare;
    if (this.compare) this.trio = false;
    this.pressed();
    if (this.compare) this.shown.prediction = true;
    this.loadLayers();
    this.fit();
  }

  toggleTrio() {
    this.trio = !this.trio;
    if (this.trio) this.compare = false;
    this.pressed();
    this.fit();
    this.across();
  }

  pressed() {
    this.compareButton.setAttribute("aria-pressed", String(this.compare));
    this.trioButton.setAttribute("aria-pressed", String(this.trio));
    this.hint.textContent = this.three ? "Click a plane to move the cross-hair; paint in the blue one, chosen under Slice; V for one plane" : this.help;
  }

  turn(axis) {
    const beside = this.three;
    this.enter(axis);
    this.corners = [];
    this.buildSide();
    if (!beside) this.fit();
    this.repaint();
    this.across();
  }

  slice(index) {
    const next = [...this.cross];
    next[this.axis] = index;
    this.crossTo(next);
  }

  // Drag the cross-hair in one of the planes that are not painted in.
  follow(event, axis) {
    this.drag = { kind: "cross", axis };
    this.crossTo(voxelAt(axis, this.point(event, axis), this.cross, this.info.shape));
  }

  // Move the cross-hair to a voxel (z, y, x), and with it all planes.
  crossTo(voxel) {
    const next = voxel.map((at, k) => Math.max(0, Math.min(this.info.shape[k] - 1, at)));
    if (next.every((at, k) => at === this.cross[k])) return;
    if (next[this.axis] !== this.index) this.corners = [];
    this.cross = next;
    this.index = next[this.axis];
    if (this.sliceInput) {
      this.sliceInput.value = String(this.index);
      this.sliceLabel.textContent = `${this.index + 1} / ${this.info.shape[this.axis]}`;
    }
    this.repaint();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.loadLayers(), 30);
  }

  // Load planes of another direction, where strokes on the way to the server are to be seen too.
  async across() {
    await this.drained();
    await this.loadLayers();
  }

  jump(mark) {
    this.crossTo(mark.voxel.map(Math.round));
    if (!this.three) this.centre(mark);
  }

  centre(mark) {
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
      this.tell(this.unpredicted());
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
      const turned = stroke.axis !== this.axis && !this.three;
      this.enter(stroke.axis, stroke.index);
      if (turned) this.fit();
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
        this.forgetAcross(stroke);
      } else await this.refused(answer);
    }
    this.working = false;
    this.updateButtons();
    if (this.three) this.loadLayers();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(true), 2000);
  }

  // Planes of other directions, and through slices that are not in sight, are read anew after a stroke.
  forgetAcross(stroke) {
    const along = new RegExp(`\\|${stroke.axis}\\|\\d+$`);
    for (const key of [...this.masks.keys()]) {
      if (key.startsWith(`${stroke.target}|`) && !along.test(key)) this.masks.delete(key);
    }
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

  unpredicted() {
    if (!this.info.run) return "No model yet: train one";
    if (this.info.targets.some((target) => target.annotated))
      return "The model has no prediction of this image: it is newer, or the fold that holds it out was not trained";
    return "The model has not seen this image yet: What next predicts it";
  }

  async save(quiet) {
    await this.drained();
    this.pending += 1;
    this.updateButtons();
    const answer = await this.ask("/api/save", { method: "POST" });
    this.pending -= 1;
    if (answer) {
      const { saved: files, waiting } = await answer.json();
      this.savedWords = waiting.length ? "kept" : "saved";
      this.saved.title = files.join(", ");
      if (!quiet && waiting.length)
        this.tell(`Kept: ${waiting.join(", ")}. The training still reads the file, which is replaced when it has ended`);
      else if (!quiet) this.tell(files.length ? `Written: ${files.join(", ")}` : "Everything is in its file already");
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
