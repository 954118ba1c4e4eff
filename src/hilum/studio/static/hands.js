// Pointer, wheel and keys, and what they choose: tool, target, layers, plane and slice.
import { voxelAt } from "/studio-static/planes.js";
import { TOOLS } from "/studio-static/parts.js";

export const Hands = (Base) => class extends Base {
  listen() {
    const canvas = this.canvas;
    new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.repaint(); });
    canvas.addEventListener("dblclick", () => this.tool === "polygon" && this.close());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.onkey = (event) => this.press(event);
    this.onkeyup = (event) => { if (event.key === " ") this.space = false; if (event.key === "`") { this.peek = false; this.repaint(); } };
    document.addEventListener("keydown", this.onkey);
    document.addEventListener("keyup", this.onkeyup);
    this.onleave = (event) => { if (this.queue.length || this.pending || this.painting) event.preventDefault(); };
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
    if (!this.info || this.painting) return;
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
      this.begin(point, this.tool === "eraser" || event.shiftKey ? 0 : 1, event.pointerId);
      this.stamp(point, point, event);
    }
    this.repaint();
  }

  moved(event) {
    if (!this.info || this.stray(event)) return;
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

  // Whether this is another finger or pointer than the one that paints.
  stray(event) {
    return this.painting && event.pointerId !== this.drag.pointer;
  }

  up(event) {
    if (this.stray(event)) return;
    this.lift();
    const drag = this.drag;
    this.drag = null;
    if (drag?.kind === "frame") this.accept();
    if (drag?.kind === "window") this.buildSide();
    if (drag?.kind === "pan" && drag.clicks && this.three) this.crossTo(voxelAt(drag.axis, this.point(event, drag.axis), this.cross, this.info.shape));
    if (this.canvas.hasPointerCapture(event.pointerId)) this.canvas.releasePointerCapture(event.pointerId);
    this.repaint();
  }

  wheel(event) {
    if (!this.info) return;
    event.preventDefault();
    if (this.painting) return;
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
    if (this.painting) {
      event.preventDefault();
      if (event.key === "Escape") this.abandon();
      return;
    }
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
    this.lift();
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
    this.lift();
    if (name !== this.target) this.corners = [];
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
    this.lift();
    this.compare = !this.compare;
    if (this.compare) this.trio = false;
    this.pressed();
    if (this.compare) this.shown.prediction = true;
    this.loadLayers();
    this.fit();
  }

  toggleTrio() {
    this.lift();
    this.trio = !this.trio;
    if (this.trio) this.compare = false;
    this.pressed();
    this.fit();
    this.loadLayers();
  }

  pressed() {
    this.compareButton.setAttribute("aria-pressed", String(this.compare));
    this.trioButton.setAttribute("aria-pressed", String(this.trio));
    this.hint.textContent = this.three ? "Click a plane to move the cross-hair; paint in the blue one, chosen under Slice; V for one plane" : this.help;
  }

  turn(axis) {
    this.lift();
    const beside = this.three;
    this.enter(axis);
    this.corners = [];
    this.buildSide();
    if (!beside) this.fit();
    this.repaint();
    this.loadLayers();
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
    this.lift();
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

  jump(mark) {
    this.crossTo(mark.voxel.map(Math.round));
    if (!this.three) this.centre(mark);
  }

  leave() {
    document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("keyup", this.onkeyup);
    window.removeEventListener("beforeunload", this.onleave);
  }
};
