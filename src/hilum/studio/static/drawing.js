// The picture: planes, tiles, layers, marks, the cross-hair and the scale, drawn once a frame.
import { PLANES, onPlane } from "/studio-static/planes.js";

export const Drawing = (Base) => class extends Base {
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

  drawHeat(picture, width, height) {
    if (!picture) return;
    this.context.globalAlpha = Math.max(0.75, this.opacity);
    this.context.drawImage(picture, 0, 0, width, height);
    this.context.globalAlpha = 1;
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

  get fieldBox() {
    const side = this.fieldSide || 0;
    const { width, height } = this.sides;
    const at = (size, most) => Math.max(0, Math.min(most - side, Math.round(size - side / 2)));
    return { x: at((this.pane / 2 - this.view.x) / this.view.scale, width), y: at((this.canvas.height / 2 - this.view.y) / this.view.scale / this.stretch, height), side };
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

  centre(mark) {
    const { x, y } = this.placed(mark);
    const scale = Math.max(this.view.scale, 2.5);
    this.view = { scale, x: this.pane / 2 - x * scale, y: this.canvas.height / 2 - y * scale * this.stretch };
    this.repaint();
  }
};
