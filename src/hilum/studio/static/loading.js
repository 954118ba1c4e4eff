// A case and its layers: asked of the server when they are to be seen, a few held.
import { FALSE_, MISSED, Painted, heat, rgb, word } from "/studio-static/parts.js";
import { maskOf } from "/studio-static/pixels.js";

export const Loading = (Base) => class extends Base {
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
    const info = await answer.json();
    this.lift();
    await this.drained();
    if (generation !== this.generation) return;
    this.drag = null;
    this.info = info;
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
    const address = `/api/mask?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(target.name)}&${this.place}`;
    const answer = await this.settled(address);
    if (!answer || generation !== this.generation || this.masks.has(key)) return;
    const data = maskOf(answer.content, width, height);
    if (!this.versions.has(target.name)) this.versions.set(target.name, Number(answer.headers.get("X-Version")));
    this.masks.set(key, { data, width, height, painted: this.coloured(data, width, height, target) });
    this.trim(this.masks, 64);
    const errors = this.predictions.get(key)?.errors;
    if (errors) errors.stale = true;
    if (answer.headers.get("X-Recovered") === "1") this.tell(`${target.name}: strokes that an earlier studio could not save were taken up`);
    this.repaint();
  }

  // An answer with all strokes in it that this page has made: one sent meanwhile may be in it, or not.
  async settled(address) {
    for (;;) {
      await this.drained();
      const { sent } = this;
      const answer = await this.ask(address);
      const content = await answer?.arrayBuffer();
      if (!answer || sent === this.sent) return answer && { content, headers: answer.headers };
    }
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

  trim(held, most) {
    while (held.size > most) held.delete(held.keys().next().value);
  }

  get place() {
    return `axis=${this.axis}&index=${this.index}`;
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
};
