// Puts the page together: the program, what it learns, the question to its model, and Python beside them.
import { Animals } from "./animals.js";
import { make, percent } from "./asking.js";
import { Digits } from "./digits.js";
import { Editor } from "./editor.js";
import facts from "./facts.js";
import { Losses, curves } from "./pictures.js";
import { Plane } from "./plane.js";
import { Python, Stopped } from "./python.js";
import * as state from "./state.js";

const STEP = "that the last step began with"; // of all points too: one step before the other curve
const SOME = facts.digits.toLocaleString("en");
const PROGRAMS = {
  digits: { title: "Digits", lesson: Digits, about: `Softmax regression on ${SOME} handwritten digits: ten weighted sums of the pixels.`, data: `${SOME} other digits` },
  hidden: { title: "Digits, a hidden layer", lesson: Digits, about: "A layer of 32 hidden units between the pixels and the ten classes.", data: `${SOME} other digits` },
  clouds: { title: "Three clouds", lesson: Plane, about: "Softmax regression on points of a plane: its boundaries are straight lines.", data: "all points", batch: STEP },
  spirals: { title: "Four spirals", lesson: Plane, about: "Four arms, which no straight lines separate: two hidden layers do. Change classes=4 to 3 or 6.", data: "all points", batch: STEP },
  animals: { title: "Cat, chicken, dog", lesson: Animals, about: "Images of 2×2 pixels: 12 weights and 3 biases, small enough to see every number.", data: "all images", batch: STEP },
};
const LONGEST_PRINT = 20_000; // letters of what a program has printed that are kept

const element = (id) => document.getElementById(id);
const python = new Python();
const originals = facts.programs; // all of these are by the name of a program
const edits = {}, records = {}; // what the reader has made of it; what its last run has said
const came = new Set(); // whose edits came with the address
let shown = null, lesson = null, running = null; // names of programs, and what shows the first

const editor = new Editor(element("code"), {
  run: () => element("run").click(),
  changed: (text) => {
    edits[shown] = text;
    noteCode();
  },
});

function noteCode() {
  const isChanged = editor.text !== originals[shown];
  state.set("code", isChanged ? editor.text : null);
  element("reset").disabled = !isChanged;
}

// ---- which program is shown

const links = Object.entries(PROGRAMS).map(([name, { title }]) => {
  const link = make("a", { href: `#program=${name}` }, title);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (name !== shown) go(name);
  });
  return [name, link];
});
element("programs").append(...links.map(([, link]) => link));

function go(name) {
  state.push();
  for (const field of ["code", "drawing", "sample", "pixels"]) state.set(field, null);
  state.set("program", name);
  show(name);
  noteCode();
}

function show(name) {
  shown = name;
  const { about, batch, data, lesson: Lesson, title } = PROGRAMS[name];
  for (const [other, link] of links) {
    if (other === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${title} · tinygrad_sm in this page`;
  element("about").textContent = about;
  element("on-what").textContent = data;
  element("of-what").textContent = batch ?? "of the last batch";
  editor.text = edits[name] ?? originals[name];
  element("reset").disabled = editor.text === originals[name];
  element("came").hidden = !came.has(name);
  lesson?.leave?.();
  lesson = new Lesson(python, name);
  element("ask").hidden = !lesson.question;
  element("question").replaceChildren(...(lesson.question?.() ?? []));
  element("learned").replaceChildren();
  drawError();
  draw();
  lesson.restore?.();
}

// Show what the address says: at the start, and when the reader goes back.
function restore() {
  const name = Object.hasOwn(PROGRAMS, state.get("program") ?? "") ? state.get("program") : "digits";
  const code = state.get("code");
  if (code === null || code === originals[name]) {
    delete edits[name];
    came.delete(name);
  } else if (code !== edits[name]) {
    edits[name] = code;
    came.add(name);
  }
  show(name);
}

// ---- a training

// What a run of a program says: its losses, the last message of `show`, what was printed, the error.
const blank = () => ({ losses: new Losses(), last: null, printed: "", error: null });
const record = (name) => (records[name] ??= blank());

function outcome({ last }) {
  if (!last) return "";
  const { loss, right, count } = last;
  return `Loss ${loss.toFixed(3)}, ${percent(right)} of ${count.toLocaleString("en")} right`;
}

function draw() {
  const { losses, last } = record(shown);
  drawPrinted();
  curves(element("curves"), losses);
  if (!last) {
    element("result").textContent = "Nothing has been trained yet.";
    element("curves").setAttribute("aria-label", "No curve yet: train the model");
    element("learned").replaceChildren();
    return;
  }
  element("result").textContent = outcome(record(shown));
  element("curves").setAttribute("aria-label", `The loss at ${losses.count} calls of show, from ${losses.points[0][1].toFixed(2)} to ${last.loss.toFixed(2)}`);
  element("learned").replaceChildren(...lesson.learned(last));
}

python.on("shown", (message) => {
  if (!running) return;
  record(running).losses.add(message.loss, message.batch);
  record(running).last = message;
  schedule();
});

// Draw at most once for each frame of the screen.
let isScheduled = false;
function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    draw();
  });
}

python.on("printed", ({ text }) => {
  const said = record(running ?? shown);
  said.printed = `${said.printed}${text}`.slice(-LONGEST_PRINT);
  schedule();
});

function drawPrinted() {
  const box = element("printed"), { printed } = record(shown);
  if (box.textContent === printed) return;
  box.hidden = !printed;
  box.textContent = printed;
  box.scrollTop = box.scrollHeight;
}

function say(words) {
  element("status").textContent = words;
}

// It has no memory left, or a recursion was too deep.
const BROKEN = "Python itself broke down. It starts anew, without a model.";

async function train() {
  if (running || !python.isReady) return;
  const name = (running = shown), title = () => (shown === name ? "The program" : PROGRAMS[name].title);
  records[name] = blank();
  document.body.dataset.state = "training";
  drawError();
  drawPrinted();
  buttons();
  say("The program runs.");
  const start = performance.now();
  try {
    const error = await python.call("run", name, editor.text);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    if (error) complain(name, error);
    say(error ? `${title()} ended with an error.` : `${title()} is done, after ${seconds} s. ${outcome(record(name))}`);
  } catch (error) {
    if (!(error instanceof Stopped)) {
      complain(name, { said: error.message, lines: [] });
      restart(BROKEN);
    }
  }
  running = null;
  document.body.dataset.state = python.isReady ? "ready" : "starting";
  buttons();
  if (shown === name) {
    draw();
    lesson.modelChanged?.();
  }
}

// Say what the framework says, and lead to the lines of the program; beside another program it does not show.
function complain(name, error) {
  record(name).error = error;
  if (name !== shown) return;
  drawError();
  element("error").scrollIntoView({ block: "nearest" });
}

function drawError() {
  const { error } = record(shown);
  if (!error) return element("error").replaceChildren();
  const { said, lines } = error;
  const items = lines.map(({ number, text }) => {
    const link = make("button", { class: "link", type: "button" }, `line ${number}`);
    link.addEventListener("click", () => editor.select(number));
    return make("li", {}, link, " ", make("code", {}, text));
  });
  element("error").replaceChildren(make("pre", {}, said), make("ol", {}, items));
}

// Of the two buttons the one that can be pressed takes over the focus, which a disabled one would lose.
function buttons() {
  const run = element("run"), stop = element("stop"), had = document.activeElement;
  run.disabled = !python.isReady || Boolean(running);
  stop.disabled = !running;
  if (had === run && running) stop.focus();
  if (had === stop && !running) (run.disabled ? element("code") : run).focus();
}

element("run").addEventListener("click", train);
element("stop").addEventListener("click", () => restart("Stopped. Python starts anew, without a model."));
element("reset").addEventListener("click", () => {
  delete edits[shown];
  came.delete(shown);
  element("came").hidden = true;
  editor.text = originals[shown];
  noteCode();
  Object.assign(record(shown), { printed: "", error: null });
  drawError();
  drawPrinted();
});

// ---- Python's start

function restart(words) {
  python.restart();
  for (const said of Object.values(records)) Object.assign(said, { losses: new Losses(), last: null });
  document.body.dataset.state = "starting";
  element("starting").hidden = false;
  say(words);
  buttons();
  draw();
  lesson.modelChanged?.();
}

python.on("progress", ({ stage, arrived, all }) => {
  element("progress").value = all ? Math.min(1, arrived / all) : 0;
  element("stage").textContent = `${stage}: ${(arrived / 1e6).toFixed(1)} of ${(all / 1e6).toFixed(1)} MB`;
});

python.on("ready", ({ versions }) => {
  document.body.dataset.state = "ready";
  element("starting").hidden = true;
  say(`Ready: ${versions}.`);
  buttons();
});

python.on("broken", ({ said, wasReady }) => {
  if (running) return; // the call fails too, and starts it anew
  if (wasReady) return restart(BROKEN);
  element("starting").hidden = true;
  say(`Python could not start: ${said}. Reload the page to try again.`);
  buttons();
});

new ResizeObserver(schedule).observe(element("curves"));
restore();
state.onChange(restore);
