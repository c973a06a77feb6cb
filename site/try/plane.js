// Points of a plane: which class the model takes for the most likely at each place, while it learns.
import { make } from "./asking.js";
import { classColour, classMark, css, plane } from "./pictures.js";

export class Plane {
  learned(message) {
    this.canvas ??= make("canvas", { id: "plane", width: "480", height: "480", role: "img" });
    this.names ??= make("ul", { class: "classes" });
    plane(this.canvas, message);
    const share = (c) => message.best.filter((x) => x === c).length / message.best.length;
    const parts = message.classes.map((name, c) => `${name} on ${Math.round(100 * share(c))} %`);
    this.canvas.setAttribute("aria-label", `The plane, by the most likely class: ${parts.join(", ")} of it`);
    this.names.replaceChildren(...message.classes.map((name, c) => {
      const mark = make("span", { "aria-hidden": "true" }, classMark(c));
      mark.style.color = css(classColour(name, c));
      return make("li", {}, mark, ` ${name}`);
    }));
    return [
      make("h3", {}, "The most likely class at each place"),
      this.canvas, this.names,
      make("p", { class: "note" }, "The paler, the less sure. The marks are the examples that it learns from."),
    ];
  }
}
