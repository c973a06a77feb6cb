// Digits: the images of the weights, and a pad whose drawing the model is asked about.
import { Question, figures, make } from "./asking.js";
import facts from "./facts.js";
import { Pad } from "./pad.js";
import { grey, largest, paint, picture, signed } from "./pictures.js";
import { Stopped } from "./python.js";
import * as state from "./state.js";

// The images of the rows of the first weight, in the place of those of before.
export function weights({ weights, classes, outputs }, side, ink) {
  if (!weights.length) return [make("p", { class: "note" }, "The first layer does not see the pixels, so its weights are no images.")];
  const areClasses = outputs === classes.length, top = largest(weights.map(largest));
  const images = weights.map((row, i) => {
    const name = areClasses ? classes[i] : `unit ${i}`;
    return make("figure", {}, picture(row, side, side, signed(top), `The weights of ${name} as an image`), make("figcaption", {}, name));
  });
  const more = outputs > weights.length ? ` The first ${weights.length} of ${outputs}.` : "";
  return [
    make("h3", {}, areClasses ? "The weights of each class, as images" : "The weights of each hidden unit, as images"),
    make("div", { class: "images" }, images),
    make("p", { class: "note" }, `${ink} on orange speaks for it, on blue against it.${more}`),
  ];
}

export class Digits extends Question {
  invitation = "Draw a digit.";
  wanted = 0; // the number of the newest wish for what is on the pad: an older one that comes late is not put there

  constructor(python, program) {
    super(python, program, { call: "digit", title: "The tape of this digit", classes: [..."0123456789"], side: 28 });
  }

  learned(message) {
    return weights(message, 28, "Ink");
  }

  elements() {
    const canvas = make("canvas", { id: "pad", tabindex: "0", role: "application", "aria-label": "A pad to draw a digit on", "aria-describedby": "pad-keys" });
    const pen = make("p", { class: "note", id: "pen", role: "status" });
    this.seen = picture(this.empty(), 28, 28, grey, "What the model sees of the drawing");
    this.answer.textContent = this.invitation;
    const clear = make("button", { id: "clear" }, "Clear"), another = make("button", { id: "another" }, "A digit of the test set");
    this.pad = new Pad(canvas, { begun: () => (this.wanted += 1), changed: () => this.drawn(), says: (words) => (pen.textContent = words) });
    clear.addEventListener("click", () => this.pad.clear());
    another.addEventListener("click", () => this.put(Math.floor(Math.random() * facts.digits)));
    return [
      make("div", { class: "row" },
        make("div", { class: "drawing" }, canvas, make("p", { class: "buttons" }, clear, another),
          make("p", { class: "note", id: "pad-keys" }, "Draw with the mouse or a finger; or move the pen with the arrow keys: Space lowers and lifts it, Delete clears."), pen),
        make("div", {}, this.answer, this.table),
        figures([[this.seen, "what the model sees"], [this.gradient, "∂ log p(best) / ∂ pixel: orange where more ink would help"]])),
    ];
  }

  pixels() {
    return this.pad.pixels();
  }

  get isEmpty() {
    return this.pad.isEmpty;
  }

  more({ seen, best }) {
    paint(this.seen, seen, grey);
    this.tape.label.value = this.pad.image ? this.label : best;
  }

  blank() {
    paint(this.seen, this.empty(), grey);
  }

  // Bring back the drawing that the address holds.
  restore() {
    const sample = state.get("sample"), drawing = state.get("drawing");
    if (/^\d{1,9}$/.test(sample ?? "")) this.put(Number(sample));
    else if (drawing) {
      this.pad.text = drawing;
      this.latest.now();
    }
  }

  // This program touches neither the pad nor the address any more.
  leave() {
    super.leave();
    this.wanted += 1;
    this.isLeft = true;
  }

  drawn() {
    this.wanted += 1;
    if (this.isLeft) return;
    state.set("sample", null);
    state.set("drawing", this.pad.text || null);
    this.tape.clear();
    this.latest.now();
  }

  async put(i) {
    const mine = ++this.wanted;
    state.set("drawing", null);
    state.set("sample", String(i));
    try {
      const { pixels, label } = await this.python.call("sample", i);
      if (mine !== this.wanted) return;
      this.pad.put(pixels);
      this.label = label;
      await this.latest.now();
    } catch (error) {
      if (mine !== this.wanted) return;
      if (error instanceof Stopped) this.put(i); // Python starts anew, and then it comes
      else this.answer.textContent = error.message;
    }
  }
}
