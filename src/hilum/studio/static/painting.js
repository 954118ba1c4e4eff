// Painting: strokes change the mask here at once and go to the server one after the other.
import { capsule, connected, maskOf, paintSpans, polygon, toggle } from "/studio-static/pixels.js";

export const Painting = (Base) => class extends Base {
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

  // What is painted on now: an answer that was asked for another image, target or slice is left alone.
  get spot() {
    return `${this.name}|${this.key(this.target)}`;
  }

  get painting() {
    return this.drag?.kind === "paint";
  }

  // A stroke belongs to the target and the slice that it is begun on, whatever is chosen before it ends.
  begin(point, value, pointer) {
    const { target, axis, index } = this;
    this.drag = { kind: "paint", value, pointer, target, axis, index, key: this.key(target), held: this.mask, last: point, changed: [] };
  }

  // End the stroke that is being painted: it is sent.
  lift() {
    if (!this.painting) return;
    const { target, changed, axis, index } = this.drag;
    this.drag = null;
    this.finish(target, changed, axis, index);
  }

  // Take back the stroke that is being painted: it was not sent yet.
  abandon() {
    const { held, target, changed, key } = this.drag;
    this.drag = null;
    this.refresh(target, toggle(held.data, held.width, held.height, changed), key);
  }

  stamp(from, to, event) {
    const { held, value, changed, target, key } = this.drag;
    const { data, width, height } = held;
    const snap = ([x, y]) => (this.size <= 1 ? [Math.floor(x) + 0.5, Math.floor(y) + 0.5] : [x, y]);
    const [x0, y0] = snap(from);
    const [x1, y1] = snap(to);
    const area = capsule(data, width, height, x0, y0, x1, y1, Math.max(0.5, this.size / 2), value, changed);
    this.refresh(target, area, key);
    (this.stamps ||= []).push(event.timeStamp);
  }

  refresh(target, area, key = this.key(target)) {
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
    const { place, spot } = this;
    const answer = await this.ask(`/api/wand?case=${encodeURIComponent(this.name)}&y=${Math.floor(py)}&x=${Math.floor(px)}&tolerance=${this.tolerance}&${place}`);
    if (answer && spot === this.spot) this.take(new Uint32Array(await answer.arrayBuffer()));
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
    const { place, spot } = this;
    const drags = Math.hypot(x1 - x0, y1 - y0) * this.view.scale > 6;
    const { width, height } = this.sides;
    const whole = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
    const where = drags
      ? `y=${whole(Math.min(y0, y1), height)}&x=${whole(Math.min(x0, x1), width)}&bottom=${whole(Math.max(y0, y1), height)}&right=${whole(Math.max(x0, x1), width)}`
      : `y=${Math.floor(y0)}&x=${Math.floor(x0)}`;
    const answer = await this.ask(`/api/region?case=${encodeURIComponent(this.name)}&target=${encodeURIComponent(this.target)}&${where}&level=${target.threshold}&${place}`);
    if (answer && spot === this.spot) {
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

  finish(target, changed, axis = this.axis, index = this.index) {
    if (!changed.length) return;
    const stroke = { target, axis, index, spans: Uint32Array.from(changed) };
    this.done.push(stroke);
    this.undone = [];
    this.send(stroke);
  }

  again(from, to) {
    this.lift();
    const stroke = from.pop();
    if (!stroke) return;
    to.push(stroke);
    if (stroke.axis !== this.axis || stroke.index !== this.index) {
      const turned = stroke.axis !== this.axis && !this.three;
      this.enter(stroke.axis, stroke.index);
      this.corners = [];
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

  // Strokes go to the server one after the other; each is on its disk before the next one goes.
  send(stroke) {
    this.queue.push({ ...stroke, case: this.name, key: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}` });
    this.sent += 1;
    this.forgetAcross(stroke);
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
      const address = `/api/stroke?${this.whereabouts(stroke)}&version=${version}&key=${stroke.key}`;
      const answer = await fetch(address, { method: "POST", body: stroke.spans, headers: { "Content-Type": "application/octet-stream" } }).catch(() => null);
      if (answer?.ok) {
        const told = await answer.json().catch(() => null);
        if (!told) continue; // cut short: it is sent again, and done once
        this.versions.set(stroke.target, told.version);
        this.cut.delete(stroke.target);
        if (this.message.textContent === this.holding) this.tell("");
        this.queue.shift();
      } else if (!answer || answer.status === 403) await this.hold(answer);
      else if (answer.status !== 409 || !(await this.resumed(stroke))) await this.refused(answer);
    }
    this.working = false;
    if (this.cutOff) window.socket?.connect();
    this.cutOff = false;
    this.updateButtons();
    this.loadLayers();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(true), 2000);
  }

  whereabouts(stroke) {
    return `case=${encodeURIComponent(stroke.case)}&target=${encodeURIComponent(stroke.target)}&axis=${stroke.axis}&index=${stroke.index}`;
  }

  // Hold what is painted while the studio is away, or after it was started anew: its address has another token then.
  // A page that finds another studio than its own loads itself anew, and its strokes were gone: not before these are sent.
  async hold(answer) {
    window.socket?.disconnect();
    this.cutOff = true;
    for (const target of this.info.targets) this.cut.add(target.name);
    this.holding = answer
      ? "The studio was started anew: open the address that hilum studio printed, in this browser. What you paint is held in this page and sent then: keep it open."
      : "The studio does not answer. What you paint is held in this page and sent as soon as it does: keep it open.";
    this.saved.textContent = answer ? "not kept: the studio was started anew" : "not kept: the studio does not answer";
    this.tell(this.holding, true);
    await new Promise((done) => setTimeout(done, 1000));
  }

  // A studio that was started anew counts strokes from 0: go on with it where its mask is the one painted on here.
  async resumed(stroke) {
    const held = this.masks.get(`${stroke.target}|${stroke.axis}|${stroke.index}`);
    if (!held || !this.cut.has(stroke.target)) return false;
    const answer = await fetch(`/api/mask?${this.whereabouts(stroke)}`).catch(() => null);
    const content = await answer?.arrayBuffer().catch(() => null);
    if (!answer?.ok || !content) return !content;
    const { data, width, height } = held;
    const theirs = maskOf(content, width, height);
    const ours = Uint8Array.from(data);
    const here = (one) => one.target === stroke.target && one.axis === stroke.axis && one.index === stroke.index;
    const unsent = [...this.queue, ...(this.painting ? [{ ...this.drag, spans: this.drag.changed }] : [])];
    for (const one of unsent.filter(here)) toggle(ours, width, height, one.spans);
    const alike = () => ours.every((value, at) => value === theirs[at]);
    if (!alike()) {
      toggle(ours, width, height, stroke.spans); // it may have been done, and its answer lost
      if (!alike()) return false;
      this.queue.shift();
    }
    this.versions.set(stroke.target, Number(answer.headers.get("X-Version")));
    return true;
  }

  // Planes of other directions are read anew after a stroke.
  forgetAcross(stroke) {
    const along = new RegExp(`\\|${stroke.axis}\\|\\d+$`);
    for (const key of [...this.masks.keys()]) {
      if (key.startsWith(`${stroke.target}|`) && !along.test(key)) this.masks.delete(key);
    }
  }

  // A stroke that cannot be done: what was painted after it goes, too, and all masks are loaded anew.
  async refused(answer) {
    const found = await answer.json().catch(() => ({ error: answer.statusText }));
    if (this.painting) this.drag = null; // it was begun on a mask that is loaded anew
    this.queue = [];
    this.done = [];
    this.undone = [];
    this.masks.clear();
    this.versions.clear();
    this.tell(found.error, found.loose);
    if (found.loose) this.emit("loose", {});
    this.loadLayers();
  }

  async drained() {
    while (this.queue.length || this.working) await new Promise((done) => setTimeout(done, 25));
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

  async cutField() {
    const { x, y, side } = this.fieldBox;
    const answer = await this.ask(`/api/field?case=${encodeURIComponent(this.name)}&y=${y}&x=${x}&side=${side}`, { method: "POST" });
    if (answer) location.href = `/paint?case=${encodeURIComponent((await answer.json()).case)}`;
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
};
