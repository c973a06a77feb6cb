// Cat, chicken, dog: images of four pixels, small enough to show every number from the pixels to the loss.
import { Question, figures, make, rounded } from "./asking.js";
import { weights } from "./digits.js";
import facts from "./facts.js";
import { paint, picture } from "./pictures.js";
import * as state from "./state.js";

const CLASSES = Object.keys(facts.animals);
const NAMES = ["x₁", "x₂", "x₃", "x₄"];
const light = (x) => Array(3).fill(Math.round(255 * x)); // 1 is white here

export class Animals extends Question {
  constructor(python, program) {
    super(python, program, { call: "animal", title: "The tape of this image", classes: CLASSES, side: 2 });
  }

  learned(message) {
    return weights(message, 2, "A light pixel");
  }

  elements() {
    this.image = picture(this.empty(), 2, 2, light, "The image");
    this.numbers = make("div", { id: "numbers", class: "scroll", role: "region", tabindex: "0", "aria-label": "Every number" });
    this.sliders = NAMES.map((name) => make("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": `pixel ${name}, from 0, black, to 1, white` }));
    this.values = NAMES.map(() => make("output"));
    for (const slider of this.sliders) slider.addEventListener("input", () => this.changed());
    const buttons = CLASSES.map((name, i) => {
      const button = make("button", {}, `A ${name}`);
      button.addEventListener("click", () => {
        this.tape.label.value = i;
        this.fill(facts.animals[name]);
        this.changed();
      });
      return button;
    });
    this.fill(facts.animals[CLASSES[0]]);
    const labels = this.sliders.map((slider, i) => make("label", {}, `${NAMES[i]} = `, this.values[i], slider));
    return [
      make("p", { class: "buttons" }, buttons),
      make("div", { class: "row" },
        make("div", { class: "pixels" }, labels),
        figures([[this.image, "the image"], [this.gradient, "∂ log p(best) / ∂ pixel"]]),
        make("div", {}, this.answer, this.table)),
      this.numbers,
    ];
  }

  pixels() {
    return Float32Array.from(this.sliders, (slider) => Number(slider.value));
  }

  more({ seen, probabilities, ...numbers }) {
    this.numbers.replaceChildren(...(numbers.terms ? [everyNumber(seen, probabilities, numbers)] : []));
  }

  blank() {
    this.numbers.replaceChildren();
  }

  fill(pixels) {
    pixels.forEach((x, i) => (this.sliders[i].value = x));
    this.pixels().forEach((x, i) => (this.values[i].textContent = rounded(x)));
    paint(this.image, this.pixels(), light);
  }

  changed() {
    this.fill(this.pixels());
    state.set("pixels", [...this.pixels()].map((x) => x.toFixed(2)).join());
    this.tape.clear();
    this.latest.now();
  }

  restore() {
    const pixels = (state.get("pixels") ?? "").split(",").map(Number);
    if (pixels.length === 4 && pixels.every((x) => x >= 0 && x <= 1)) this.fill(pixels);
    this.latest.now();
  }
}

// zⱼ = x₁w₁ⱼ + … + bⱼ, a row for each class, then softmax and the loss if that class were the label.
function everyNumber(pixels, p, { weights, terms, biases, logits }) {
  const head = ["", ...NAMES.map((x, i) => `${x} · w${"₁₂₃₄"[i]}`), "b", "z, the sum", "a = softmax(z)", "loss −ln a"];
  const rows = CLASSES.map((name, j) => {
    const products = [0, 1, 2, 3].map((i) => `${rounded(pixels[i])} · ${rounded(weights[4 * j + i])} ≈ ${rounded(terms[4 * j + i])}`);
    const cells = [...products, rounded(biases[j]), rounded(logits[j]), p[j].toFixed(3), rounded(-Math.log(p[j]))];
    return make("tr", {}, make("th", { scope: "row" }, name), cells.map((text) => make("td", {}, text)));
  });
  return make("table", { class: "numbers" },
    make("caption", {}, "Every number, from the pixels to the loss that each class would have as the label"),
    make("thead", {}, make("tr", {}, head.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, rows));
}
