"use strict";
// Puts the recorded steps on the screen, one at a time. It computes nothing but places and colours.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const entries = new Map(data.entries.map((entry) => [entry.key, entry])), steps = [{ kind: "start" }, ...data.steps];
const NAN = 65535, INFINITE = 65534, MINUS_INFINITE = 65533, FINITE = 65000; // the codes of pictures: see views.py
let at = 0;

// Make an element; text goes in as text, so no name of the program is ever read as HTML.
function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat().filter((child) => child !== ""));
  return made;
}

// ---- numbers, tables and pictures

const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

// Integers and bools are written in full and have no colours: they count or choose.
const isExact = (view) => !view.type.startsWith("float");

function text(x, isInFull = false) {
  if (typeof x === "boolean") return x ? "True" : "False";
  if (typeof x === "string") return x;
  const size = Math.abs(x);
  if (isInFull || x === 0 || (size >= 1e-3 && size < 1e6)) return String(x);
  return x.toExponential().replace("e+", "e");
}

// Blue below 0, orange above, by the largest magnitude of the array; both are told apart by the colour-blind.
function heat(x, top) {
  if (typeof x !== "number" || !x || !top) return "transparent";
  const strength = 0.08 + 0.5 * Math.min(1, Math.abs(x) / top);
  return x > 0 ? `rgba(213, 94, 0, ${strength})` : `rgba(0, 114, 178, ${strength})`;
}

function magnitude(view) {
  const written = view.tables.flatMap((one) => one.rows.flat());
  const known = view.statistics ? [view.statistics.low, view.statistics.high] : [];
  return Math.max(0, ...[...written, ...known].filter((x) => typeof x === "number").map(Math.abs));
}

// A table; in each column the decimal points stand below each other, by spaces behind the digits.
function table(view, { at: index, rows, more }) {
  const top = isExact(view) ? 0 : magnitude(view);
  const texts = rows.map((row) => row.map((x) => text(x, isExact(view))));
  const isPlain = (word) => /^-?[0-9.]+$/.test(word);
  const behind = (word) => (isPlain(word) && word.includes(".") ? word.length - word.indexOf(".") : 0);
  const widest = rows[0].map((_, j) => Math.max(...texts.map((row) => behind(row[j]))));
  const body = rows.map((row, i) => {
    const cells = row.map((x, j) => {
      const spaces = isPlain(texts[i][j]) ? widest[j] - behind(texts[i][j]) : 0;
      const cell = make("td", {}, make("span", {}, texts[i][j] + " ".repeat(spaces)));
      cell.style.setProperty("--heat", heat(x, top));
      if (["NaN", "∞", "-∞"].includes(x)) cell.className = "odd";
      return cell;
    });
    return make("tr", {}, cells, more[1] ? make("td", { class: "more" }, "…") : "");
  });
  const dots = [...rows[0], ...(more[1] ? [0] : [])].map(() => make("td", { class: "more" }, "⋮"));
  const whole = make("table", {}, make("tbody", {}, body, more[0] ? make("tr", {}, dots) : ""));
  return index ? make("figure", {}, make("figcaption", {}, index), whole) : whole;
}

// The numbers of a picture, from the two bytes of each.
function decoded(codes, low, high) {
  const bytes = atob(codes), numbers = [];
  for (let i = 0; i < bytes.length; i += 2) {
    const code = bytes.charCodeAt(i) + 256 * bytes.charCodeAt(i + 1);
    const share = code / FINITE;
    numbers.push(code === NAN ? NaN : code === INFINITE ? Infinity : code === MINUS_INFINITE ? -Infinity : low * (1 - share) + high * share);
  }
  return numbers;
}

function colour(x, top, isGrey) {
  if (Number.isNaN(x)) return [204, 121, 167];
  const share = top ? Math.min(1, Math.abs(x) / top) : 0;
  const end = isGrey ? [16, 16, 16] : x > 0 ? [213, 94, 0] : [0, 114, 178];
  return end.map((c) => Math.round(255 + (c - 255) * share));
}

function picture(view, { at: index, codes }) {
  const { size: [rows, columns], low, high } = view.pictures;
  const numbers = decoded(codes, low, high), top = Math.max(Math.abs(low), Math.abs(high));
  const pixels = new Uint8ClampedArray(4 * numbers.length);
  numbers.forEach((x, i) => pixels.set([...colour(x, top, view.is_grey), 255], 4 * i));
  const several = view.pictures.codes.length > 1;
  const scale = Math.max(1, Math.min(16, Math.floor((several ? 112 : 560) / columns), Math.floor((several ? 112 : 260) / rows)));
  const canvas = make("canvas", { width: columns, height: rows, role: "img", "aria-label": `${rows}×${columns} numbers as colours` });
  canvas.style.width = `${columns * scale}px`;
  canvas.style.height = `${Math.max(rows * scale, 12)}px`;
  canvas.getContext("2d").putImageData(new ImageData(pixels, columns, rows), 0, 0);
  const rest = index || " ";
  const caption = make("figcaption", {}, rest);
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    const i = Math.min(rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows)));
    const j = Math.min(columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * columns)));
    const x = numbers[i * columns + j];
    caption.textContent = `row ${i}, column ${j}: ${Number.isFinite(x) ? text(Number(x.toPrecision(3))) : text(String(x).replace("Infinity", "∞"))}`;
  });
  canvas.addEventListener("mouseleave", () => (caption.textContent = rest));
  return make("figure", {}, canvas, caption);
}

// What the colours of a picture mean.
function legend(view) {
  const { low, high } = view.pictures;
  if (view.type === "bool") return "white is False, orange True";
  const end = text(Number(Math.max(Math.abs(low), Math.abs(high)).toPrecision(data.digits)));
  if (view.is_grey) return `white is 0, black ${end}`;
  return `white is 0${high > 0 ? `, full orange ${end}` : ""}${low < 0 ? `, full blue -${end}` : ""}`;
}

function value(place) {
  const view = data.values[place], shown = make("div", { class: "value", "data-value": place });
  if (view.shape.includes(0)) return make("div", { class: "value soft", "data-value": place }, "It has no elements.");
  const tables = (view.tables || []).map((one) => table(view, one));
  const pictures = view.pictures ? view.pictures.codes.map((one) => picture(view, one)) : [];
  shown.append(make("div", { class: "stack" }, tables, pictures));
  if (view.pictures) {
    shown.append(make("p", { class: "note" }, `In the picture${pictures.length > 1 ? "s" : ""}, ${legend(view)}. Point at it to read a number.`));
  }
  if (view.statistics) {
    const { low, high, mean, std } = view.statistics;
    const finite = view.nans || view.infs ? "of the finite ones: " : "";
    shown.append(make("p", { class: "note statistics" }, `${finite}lowest ${text(low)} · highest ${text(high)} · mean ${text(mean)} · standard deviation ${text(std)}`));
  }
  const odd = [[view.nans, "NaN"], [view.infs, "infinite"]].filter(([count]) => count);
  if (odd.length) shown.append(make("p", { class: "note" }, odd.map(([count, what]) => `${count.toLocaleString("en")} ${what}`).join(", ")));
  view.notes.forEach((note) => shown.append(make("p", { class: "note" }, note)));
  return shown;
}

// The shape as Python writes it, and the dtype.
function dimensions(place) {
  const { shape, type } = data.values[place];
  return shape.length ? `(${shape.join(", ")}${shape.length === 1 ? "," : ""}) ${type}` : `scalar ${type}`;
}

// ---- the steps

const named = (entry) => (entry.kind === "operation" && entry.names.length ? entry.names[0] : entry.label);
const KINDS = { parameter: "a parameter", input: "an input", constant: "a constant", earlier: "made before the recording began" };

// A value's name, which leads to the step in which it was made, or to the beginning.
function link(key) {
  const entry = entries.get(key), made = steps.findIndex((step) => step.kind === "forward" && step.of === key);
  const button = make("button", { class: "link" }, named(entry));
  button.addEventListener("click", () => show(Math.max(0, made)));
  const is = entry.kind !== "operation" ? KINDS[entry.kind] : entry.names.length ? `made by ${entry.label}` : "its output";
  return [button, make("span", { class: "soft" }, is)];
}

function card(kind, title, ...rest) {
  return make("div", { class: `card ${kind}` }, make("div", { class: "row" }, title), ...rest);
}

const heading = (...parts) => make("h3", {}, ...parts);
const small = (...parts) => make("span", { class: "soft" }, ...parts);
const code = (line) => make("code", {}, line);

// A line of the program, after its file and number.
const sourceLine = ([where, line]) => make("p", { class: "soft" }, `${where} `, line ? code(line) : "");

function about(entry) {
  const options = Object.entries(entry.options).map(([name, x]) => `${name} = ${x}`);
  return [
    make("p", { class: "formula" }, entry.formula),
    options.length ? make("p", {}, "with ", options.flatMap((option, i) => [i ? ", " : "", code(option)])) : "",
    sourceLine(entry.line),
  ];
}

function operationTitle(entry) {
  return make("h2", {}, entry.names.length ? `${entry.label} → ${entry.names[0]}` : entry.label);
}

// A card for each operand, with the value that it had when the operation ran.
function operands(run) {
  return entries.get(run.of).operands.map((operand, i) =>
    card("", [heading(`${operand.name} = `), ...link(operand.from), small(dimensions(run.operands[i]))], value(run.operands[i])));
}

// The values that the rules of an operation may read, folded.
function read(key) {
  const entry = entries.get(key), run = steps.find((step) => step.kind === "forward" && step.of === key);
  if (!run) return "";
  const output = card("", [heading("out"), small(dimensions(entry.value))], value(entry.value));
  return make("details", {}, make("summary", {}, "the values that its rules may read: its operands and its output"), operands(run), output);
}

const PANELS = {
  start() {
    const operations = data.entries.filter((entry) => entry.kind === "operation").length;
    if (!data.entries.length)
      return [make("h2", {}, "Nothing was recorded"), make("p", {}, "An operation is recorded if one of its operands requires a gradient.")];
    const leaves = data.entries.filter((entry) => entry.kind !== "operation");
    const sign = (x) => { const made = make("span", { class: "sign" }); made.style.setProperty("--heat", heat(x, 1)); return made; };
    return [
      make("h2", {}, "What happened here"),
      make("p", {}, `A program computed ${plural(operations, "operation")} from ${plural(leaves.length, "given value")}. ` +
        "Each of its numbers was written down as it was computed. This page shows them one step at a time, and computes none itself."),
      make("ul", {},
        make("li", {}, "Take a step with ", make("kbd", {}, "→"), " or the button, and one back with ", make("kbd", {}, "←"),
          ". ", make("kbd", {}, "Home"), " and ", make("kbd", {}, "End"), " lead to both ends. A click on a box of the graph leads to its step."),
        make("li", { class: "forward" }, make("b", { class: "badge" }, "forward "), "An operation computes its output from its operands."),
        make("li", { class: "backward" }, make("b", { class: "badge" }, "backward "),
          "The gradient g = ∂L/∂output of an output is complete. For each operand, a rule makes of g what that operand gets. L is the value whose backward() was called."),
        make("li", { class: "arrival" }, make("b", { class: "badge" }, "arrival "), "The gradient of a given value is complete: it is what .grad gets."),
        make("li", { class: "change" }, make("b", { class: "badge" }, "change "), "A value was changed in place, as by an optimizer."),
        make("li", {}, "Colours: ", sign(-1), " negative, ", sign(1), " positive. They are the stronger, the larger the number is beside the largest of its array.")),
      make("h2", { class: "given" }, "What was given"),
      ...leaves.map((entry) => {
        const shown = card("", [heading(entry.label), small(KINDS[entry.kind]), small(dimensions(entry.value))],
          entry.names.length > 1 ? make("p", { class: "note" }, `also ${entry.names.slice(1).join(", ")}`) : "", value(entry.value));
        shown.id = `given${entry.key}`;
        return shown;
      }),
    ];
  },

  forward(step) {
    const entry = entries.get(step.of);
    return [
      operationTitle(entry), ...about(entry),
      ...operands(step),
      card("made", [heading(entry.names.length ? `the output, ${entry.names.join(" = ")}` : "the output"), small(dimensions(entry.value))], value(entry.value)),
    ];
  },

  backward(step) {
    const entry = entries.get(step.of), told = new Map(step.answers.map((answer) => [answer.operand, answer]));
    const output = entry.names.length ? entry.names[0] : "output";
    return [
      operationTitle(entry), ...about(entry),
      card("", [heading(`g = ∂L/∂${output}`), small("complete"), small(dimensions(step.g))], value(step.g),
        entry.uses > 1 ? make("p", { class: "note" }, `${named(entry)} is used ${entry.uses} times: g is the sum over the uses that lead to L.`) : ""),
      ...entry.operands.map((operand, i) => {
        const title = [heading(`∂L/∂${named(entries.get(operand.from))}`), small(`for ${operand.name} =`), ...link(operand.from)];
        const answer = told.get(i);
        if (!answer) {
          const why = operand.needs_gradient ? "The walk did not need this gradient." : "It requires no gradient: the rule does not run.";
          return card("", title, make("p", { class: "soft" }, why));
        }
        const shown = card("made", [...title, small(dimensions(answer.part))]);
        shown.append(make("p", { class: "soft" }, "by the rule"), make("pre", { class: "rule" }, operand.rule || "(its source text is not there)"));
        if (answer.summed.length) {
          const axes = answer.summed.length === 1 ? `axis ${answer.summed[0]}` : `axes ${answer.summed.join(", ")}`;
          shown.append(make("div", { class: "stage soft" }, `which answered, ${dimensions(answer.answer)}:`), value(answer.answer),
            make("div", { class: "stage soft" }, `${operand.name} had been repeated along ${axes}, so this is summed over ${axes}:`));
        }
        shown.append(value(answer.part));
        const uses = entries.get(operand.from).uses;
        if (uses > 1) shown.append(make("p", { class: "note" }, `${named(entries.get(operand.from))} is used ${uses} times: this is the part of its gradient from one of them.`));
        return shown;
      }),
      read(step.of),
    ];
  },

  arrival(step) {
    const entry = entries.get(step.of);
    return [
      make("h2", {}, `∂L/∂${entry.label} has arrived`),
      make("p", {}, entry.uses > 1 ? `${entry.label} is used ${entry.uses} times: its gradient is the sum over the uses that lead to L, and complete.` : "Its gradient is complete."),
      card("made", [heading(`∂L/∂${entry.label}`), small(dimensions(step.g))], value(step.g)),
      card("", [heading(entry.label), small(KINDS[entry.kind]), small(dimensions(step.value))], value(step.value)),
    ];
  },

  change(step) {
    const entry = entries.get(step.of), isPart = data.values[step.before].shape.join() !== data.values[step.difference].shape.join();
    return [
      make("h2", {}, `${entry.label} was changed`),
      sourceLine(step.line),
      card("", [heading("before"), small(dimensions(step.before))], value(step.before)),
      card("", [heading("after"), small(dimensions(step.after))], value(step.after)),
      card("made", [heading("the difference, after − before"), small(dimensions(step.difference)), isPart ? small("of the numbers that were kept") : ""], value(step.difference)),
    ];
  },
};

// ---- the graph

const node = (key) => element(`n${key}`);

// When the value of each entry was there for the first time, and its gradient.
const madeAt = {}, gradientAt = {};
steps.forEach((step, i) => {
  if (step.kind === "forward") madeAt[step.of] ??= i;
  if (step.kind === "backward" || step.kind === "arrival") gradientAt[step.of] ??= i;
});

// The graph shows no number before its step: in a node stand the rows of its value, then those of its gradient.
function markNumbers(key) {
  let is = "value";
  for (const text of node(key)?.querySelectorAll(".key, .number") ?? []) {
    if (text.textContent === "grad") is = "grad";
    text.classList.toggle("unknown", ((is === "grad" ? gradientAt : madeAt)[key] ?? 0) > at);
  }
}

function mark(step) {
  document.querySelectorAll("#drawing .now").forEach((marked) => marked.classList.remove("now"));
  for (const key of entries.keys()) {
    node(key)?.classList.toggle("later", (madeAt[key] || 0) > at);
    markNumbers(key);
  }
  if (step.kind === "start") return;
  node(step.of)?.classList.add("now");
  if (step.kind === "forward" || step.kind === "backward")
    for (const operand of entries.get(step.of).operands)
      if (step.kind === "forward" || operand.needs_gradient) element(`e${operand.from}-${step.of}`)?.classList.add("now");
  reveal(node(step.of));
}

function reveal(shown) {
  const box = element("drawing");
  if (!shown || element("graph").classList.contains("whole")) return;
  const inner = shown.getBoundingClientRect(), outer = box.getBoundingClientRect(), room = 90;
  if (inner.top < outer.top + room || inner.bottom > outer.bottom - room)
    box.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  if (inner.left < outer.left || inner.right > outer.right)
    box.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

// A box of the graph leads to its next step in their order, from here.
function jump(key) {
  const its = steps.flatMap((step, i) => (step.of === key ? [i] : []));
  show(its.find((i) => i > at) ?? its[0] ?? 0);
  if (at === 0) element(`given${key}`)?.scrollIntoView({ block: "nearest" });
}

// ---- where the reader is

// What is wider than its place is scrolled by the keys. Its place changes with the window, and when something is unfolded.
function letKeysScroll(box) {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
}
const places = new ResizeObserver((changes) => changes.forEach(({ target }) => letKeysScroll(target)));

function show(place) {
  at = Math.max(0, Math.min(steps.length - 1, place));
  const step = steps[at], panel = element("panel"), hadFocus = panel.contains(document.activeElement);
  document.body.className = step.kind;
  panel.replaceChildren(make("div", { class: "badge" }, step.kind), ...PANELS[step.kind](step).filter((part) => part !== ""));
  places.disconnect();
  panel.querySelectorAll(".value").forEach((box) => places.observe(box));
  panel.scrollTop = 0;
  if (hadFocus) panel.focus({ preventScroll: true });
  element("place").textContent = at ? `step ${at} of ${steps.length - 1}: ${step.kind}` : `before step 1 of ${steps.length - 1}`;
  element("slider").value = at;
  element("slider").setAttribute("aria-valuetext", element("place").textContent);
  element("first").disabled = element("back").disabled = at === 0;
  element("next").disabled = element("last").disabled = at === steps.length - 1;
  mark(step);
}

const moves = { Home: () => 0, End: () => steps.length - 1, ArrowLeft: () => at - 1, ArrowRight: () => at + 1 };
for (const [id, key] of Object.entries({ first: "Home", back: "ArrowLeft", next: "ArrowRight", last: "End" }))
  element(id).addEventListener("click", () => show(moves[key]()));
addEventListener("keydown", (event) => {
  if (!moves[event.key] || event.target.matches(".value") || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(moves[event.key]());
});

const slider = element("slider");
slider.max = steps.length - 1;
slider.addEventListener("input", () => show(Number(slider.value)));
if (steps.length > 1) {
  const COLOURS = { start: "--line", forward: "--forward", backward: "--backward", arrival: "--backward", change: "--change" };
  const share = (i) => `${((100 * i) / steps.length).toFixed(2)}%`;
  slider.style.setProperty("--track", `linear-gradient(to right, ${steps.map((step, i) => `var(${COLOURS[step.kind]}) ${share(i)} ${share(i + 1)}`).join(", ")})`);
}

for (const key of entries.keys()) {
  const box = node(key);
  if (!box) continue;
  box.setAttribute("tabindex", "0");
  box.setAttribute("role", "button");
  box.addEventListener("click", () => jump(key));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); jump(key); }
  });
}
const drawing = document.querySelector("#drawing svg");
if (drawing) {
  drawing.setAttribute("role", "group");
  const wide = drawing.viewBox.baseVal.width || drawing.clientWidth;
  const fit = () => (drawing.style.width = `${Math.min(wide, Math.max(element("drawing").clientWidth - 40, 0.7 * wide))}px`);
  addEventListener("resize", fit);
  fit();
}
element("fit").addEventListener("click", () => {
  const whole = element("graph").classList.toggle("whole");
  element("fit").setAttribute("aria-pressed", whole);
  element("fit").textContent = whole ? "show it large" : "show the whole graph";
  reveal(node(steps[at].of));
});
show(/^#[0-9]+$/.test(location.hash) ? Number(location.hash.slice(1)) : 0);
addEventListener("hashchange", () => show(Number(location.hash.slice(1)) || 0));
