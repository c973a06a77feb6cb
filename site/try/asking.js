// What the questions to models share: elements, the table of probabilities, the tape of an image.
import { largest, paint, picture, signed } from "./pictures.js";
import { Stopped } from "./python.js";

// Make an element; text goes in as text.
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat());
  return made;
}

export const percent = (p) => `${(100 * p).toFixed(1)} %`;
export const rounded = (x) => x.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−");

// Asks one question at a time; while one waits for its answer, only the newest of the others is kept.
export class Latest {
  constructor(ask) {
    this.ask = ask;
  }

  async now() {
    this.isWanted = true;
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      while (this.isWanted) {
        this.isWanted = false;
        await this.ask();
      }
    } finally {
      this.isAsking = false;
    }
  }
}

// A row for each class, with a bar as long as it is probable.
export function probabilities(classes, p, best) {
  const rows = classes.map((name, i) => {
    const bar = make("div");
    bar.style.width = `${100 * p[i]}%`;
    return make("tr", i === best ? { class: "best" } : {}, make("th", { scope: "row" }, name), make("td", {}, percent(p[i])), make("td", { class: "bar" }, bar));
  });
  const head = make("tr", {}, make("th", { scope: "col" }, "class"), make("th", { scope: "col" }, "probability"), make("td"));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, rows));
}

// A choice of the label, a button, and below them the page of the recording that it asks for. A tape that comes after `clear`,
// or after the button was pressed again, is of something that is not there any more, and does not show.
class Tape {
  // ask : a function of the label that promises the page
  constructor(title, classes, ask) {
    this.label = make("select", { id: "label" }, classes.map((name, i) => make("option", { value: i }, name)));
    this.button = make("button", { id: "tape" }, "Step through its tape");
    this.save = make("a", { download: "tape.html", hidden: "" }, "Save this tape as a page");
    this.place = make("div");
    this.asked = 0; // the number of the newest question
    this.element = make("div", {},
      make("p", { class: "buttons" }, make("label", { for: "label" }, "Its label is"), this.label, this.button, this.save), this.place);
    this.button.addEventListener("click", async () => {
      this.clear();
      const mine = this.asked;
      try {
        const page = await ask(Number(this.label.value));
        if (mine === this.asked) this.show(title, page);
      } catch (error) {
        if (mine === this.asked && !(error instanceof Stopped)) this.place.replaceChildren(make("p", { class: "error", role: "alert" }, error.message));
      }
    });
  }

  // The page stands in a frame that may run its own script and nothing else. No browser opens octets in a tab, where that
  // script would run with the rights of this page: it can only save them.
  show(title, page) {
    const frame = make("iframe", { title, sandbox: "allow-scripts", srcdoc: page });
    this.save.href = URL.createObjectURL(new Blob([page], { type: "application/octet-stream" }));
    this.save.hidden = false;
    this.place.replaceChildren(make("p", { class: "note" }, "In the frame, → and ← go forward and back by one step."), frame);
    frame.addEventListener("load", () => {
      frame.focus({ preventScroll: true });
      this.place.scrollIntoView();
    }, { once: true });
  }

  clear() {
    this.asked += 1;
    if (this.save.href) URL.revokeObjectURL(this.save.href);
    this.save.removeAttribute("href");
    this.save.hidden = true;
    this.place.replaceChildren();
  }
}

// A question to the model of a program about one image: its answer in words, the probabilities, ∂ log p(best) / ∂ pixel, the tape.
// A kind of images adds `elements`, `pixels`, `more`, which shows what else is in an answer, and `blank`, which clears it.
export class Question {
  // call : the function of this_page.py that answers; side : how many pixels the images are wide and high
  constructor(python, program, { call, title, classes, side }) {
    Object.assign(this, { python, program, callName: call, title, classes, side });
  }

  // Make the elements of the page.
  question() {
    this.gradient = picture(this.empty(), this.side, this.side, signed(1), "The gradient of the best class by each pixel");
    this.answer = make("p", { id: "answer", role: "status", class: "result" });
    this.table = make("div", { id: "probabilities" });
    this.latest = new Latest(() => this.ask());
    this.tape = new Tape(this.title, this.classes, (label) => this.python.call("tape", this.program, this.pixels(), label));
    return [...this.elements(), this.tape.element];
  }

  empty() {
    return new Float32Array(this.side ** 2);
  }

  modelChanged() {
    this.latest.now();
  }

  // Another program is shown.
  leave() {
    this.tape.clear();
  }

  async ask() {
    this.tape.clear();
    this.tape.button.disabled = true;
    if (this.isEmpty) return this.say(this.invitation);
    try {
      const answer = await this.python.call(this.callName, this.program, this.pixels());
      const { gradient, probabilities: p, best } = answer;
      paint(this.gradient, gradient, signed(largest(gradient)));
      this.table.replaceChildren(probabilities(this.classes, p, best));
      this.answer.textContent = `The model says ${this.classes[best]}, with ${percent(p[best])}.`;
      this.more(answer);
      this.tape.button.disabled = false;
    } catch (error) {
      this.say(error.message);
    }
  }

  // Say this in the place of an answer.
  say(words) {
    paint(this.gradient, this.empty(), signed(1));
    this.table.replaceChildren();
    this.answer.textContent = words;
    this.blank();
  }
}

// A figure for each picture and its words.
export const figures = (pairs) =>
  make("div", { class: "seen row" }, pairs.map(([image, words]) => make("figure", {}, image, make("figcaption", {}, words))));
