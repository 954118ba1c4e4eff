// What stands around the canvas: tools, the bar above and the panel beside it.
import { PLANES } from "/studio-static/planes.js";
import { FALSE_, ICONS, MISSED, TOOLS, focusIn, icon, make, swatch } from "/studio-static/parts.js";

export const Panels = (Base) => class extends Base {
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
    const focused = focusIn(this.side);
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
    focused?.();
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
        this.canvas.focus();
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

  updateButtons() {
    this.undoButton.disabled = !this.done.length;
    this.redoButton.disabled = !this.undone.length;
    this.saved.textContent = this.queue.length || this.pending ? "keeping…" : this.done.length || this.undone.length ? this.savedWords || "kept" : "";
  }

  unpredicted() {
    if (!this.info.run) return "No model yet: train one";
    if (this.info.targets.some((target) => target.annotated))
      return "The model has no prediction of this image: it is newer, or the fold that holds it out was not trained";
    return "The model has not seen this image yet: What next predicts it";
  }
};
