// A curve with a point that can be dragged: the operating point of a classifier (ROC) or of a detector (FROC).
const SIDE = 340;
const PAD = 54;

export default {
  template: `
    <div class="roc">
      <div>
        <svg :width="side" :height="side" :viewBox="'0 0 ' + side + ' ' + side" role="img" :aria-label="title" @pointerdown="grab" @pointermove="drag" @pointerup="held = false" ref="plot">
          <line v-for="k in 5" :key="'v' + k" class="axis" :x1="px((k - 1) / 4)" :x2="px((k - 1) / 4)" :y1="py(0)" :y2="py(1)"/>
          <line v-for="k in 5" :key="'h' + k" class="axis" :y1="py((k - 1) / 4)" :y2="py((k - 1) / 4)" :x1="px(0)" :x2="px(1)"/>
          <text v-for="k in 5" :key="'a' + k" :x="px((k - 1) / 4)" :y="py(0) + 17" text-anchor="middle">{{ tick((k - 1) / 4) }}</text>
          <text v-for="k in 5" :key="'b' + k" :x="px(0) - 7" :y="py((k - 1) / 4) + 4" text-anchor="end">{{ ((k - 1) / 4).toFixed(2) }}</text>
          <text :x="px(0.5)" :y="side - 6" text-anchor="middle">{{ free ? 'False alarms a scan' : '1 − specificity' }}</text>
          <text :transform="'translate(13,' + py(0.5) + ') rotate(-90)'" text-anchor="middle">Sensitivity</text>
          <polyline class="curve" :points="points"/>
          <circle class="point" :cx="px(along)" :cy="py(at.sensitivity)" r="8" fill="#d55e00" stroke="#fff" stroke-width="2"/>
        </svg>
      </div>
      <div>
        <label>Threshold <output data-name="threshold">{{ threshold.toFixed(3) }}</output>
          <input type="range" min="0" max="1" step="0.001" v-model.number="threshold" :aria-label="'Threshold for ' + positive"/>
        </label>
        <table class="plain">
          <tr><th>Sensitivity</th><td class="number" data-name="sensitivity">{{ show(at.sensitivity) }}</td></tr>
          <tr v-if="!free"><th>Specificity</th><td class="number" data-name="specificity">{{ show(at.specificity) }}</td></tr>
          <tr v-if="free"><th>False alarms a scan</th><td class="number" data-name="alarms">{{ show(at.alarms) }}</td></tr>
          <tr v-if="!free"><th>Called {{ positive }} rightly</th><td class="number">{{ show(at.precision) }}</td></tr>
        </table>
        <table class="plain" v-if="!free" data-name="confusion">
          <tr><th></th><th class="number">called {{ positive }}</th><th class="number">called other</th></tr>
          <tr><th>{{ positive }}</th><td class="number" data-name="tp">{{ at.tp }}</td><td class="number" data-name="fn">{{ at.fn }}</td></tr>
          <tr><th>other</th><td class="number" data-name="fp">{{ at.fp }}</td><td class="number" data-name="tn">{{ at.tn }}</td></tr>
        </table>
        <p class="soft small-text" v-if="free">{{ at.found }} of {{ total }} nodules in {{ scans }} scans, {{ at.false }} false alarms</p>
        <p class="soft small-text">Drag the point, or move the slider with the arrow keys. These are the cases the model did not learn from; new ones will differ.</p>
      </div>
    </div>`,
  props: { hits: Array, alarms: Array, total: Number, scans: Number, positive: String, start: Number, free: Boolean },
  data() {
    return { threshold: this.start ?? 0.5, held: false, side: SIDE };
  },
  computed: {
    title() {
      return this.free ? "FROC curve with operating point" : `ROC curve of ${this.positive} with operating point`;
    },
    widest() {
      return this.free ? Math.max(1, Math.min(16, this.alarms.length / this.scans)) : 1;
    },
    curve() {
      const cuts = [...new Set([...this.hits, ...this.alarms])].sort((a, b) => b - a);
      return [{ along: 0, sensitivity: 0, cut: 1.001 }, ...cuts.map((cut) => ({ ...this.place(cut), cut }))];
    },
    points() {
      return this.curve.filter((one) => one.along <= 1.0001).map((one) => `${this.px(one.along)},${this.py(one.sensitivity)}`).join(" ");
    },
    at() {
      const tp = this.hits.filter((p) => p >= this.threshold).length;
      const fp = this.alarms.filter((p) => p >= this.threshold).length;
      const negatives = this.alarms.length;
      return {
        tp, fp, fn: this.total - tp, tn: negatives - fp, found: tp, false: fp,
        sensitivity: tp / this.total, specificity: (negatives - fp) / negatives, alarms: fp / this.scans, precision: tp / (tp + fp),
      };
    },
    along() {
      return Math.min(1, this.free ? this.at.alarms / this.widest : 1 - this.at.specificity);
    },
  },
  methods: {
    px(share) { return PAD + share * (SIDE - PAD - 14); },
    py(share) { return SIDE - PAD + 8 - share * (SIDE - PAD - 8); },
    tick(share) { return (share * this.widest).toFixed(this.free && this.widest > 3 ? 0 : 2); },
    show(value) { return Number.isFinite(value) ? value.toFixed(3) : "–"; },
    place(cut) {
      const found = this.hits.filter((p) => p >= cut).length / this.total;
      const false_ = this.alarms.filter((p) => p >= cut).length;
      return { sensitivity: found, along: this.free ? false_ / this.scans / this.widest : false_ / Math.max(1, this.alarms.length) };
    },
    grab(event) {
      this.held = true;
      this.$refs.plot.setPointerCapture(event.pointerId);
      this.drag(event);
    },
    drag(event) {
      if (!this.held) return;
      const box = this.$refs.plot.getBoundingClientRect();
      const x = (((event.clientX - box.left) / box.width) * SIDE - PAD) / (SIDE - PAD - 14);
      const y = (SIDE - PAD + 8 - ((event.clientY - box.top) / box.height) * SIDE) / (SIDE - PAD - 8);
      let best = this.curve[0];
      for (const one of this.curve) {
        const away = (one.along - x) ** 2 + (one.sensitivity - y) ** 2;
        if (away < (best.along - x) ** 2 + (best.sensitivity - y) ** 2) best = one;
      }
      this.threshold = Math.min(1, best.cut);
    },
  },
};
