// The canvas of the studio: shows an image with its layers, and paints masks. All drawing happens here;
// the studio's server gets every finished stroke as spans of changed pixels.
import { Drawing } from "/studio-static/drawing.js";
import { Hands } from "/studio-static/hands.js";
import { Loading } from "/studio-static/loading.js";
import { Painting } from "/studio-static/painting.js";
import { Panels } from "/studio-static/panels.js";

// Its parts share one state, which the constructor names; each file adds what it does with it.
class Viewer extends Painting(Hands(Drawing(Loading(Panels(Object))))) {
  constructor(root, options, emit) {
    super();
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
    this.sent = 0;
    this.cut = new Set();
    this.cutOff = false; // whether the page left its connection so as not to load itself anew with strokes unsent
    this.pending = 0;
    this.view = { scale: 1, x: 0, y: 0 };
    this.latency = [];
    this.generation = 0;
    this.build();
    this.listen();
    this.open(options.case || this.cases[0]);
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
