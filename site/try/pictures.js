// Draws arrays and curves. It computes nothing but places and colours; what they say stands in text beside them too.

const INK = [16, 16, 16], PAPER = [255, 255, 255], ORANGE = [213, 94, 0], BLUE = [0, 114, 178];
const CLASSES = [BLUE, ORANGE, [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0], [80, 80, 80]];
const NAMED = { red: ORANGE, green: [0, 158, 115], blue: BLUE };
const MARKS = ["●", "■", "▲", "◆", "✚", "✖", "★"];

const mixed = (from, to, share) => from.map((c, i) => Math.round(c + (to[i] - c) * Math.min(1, Math.max(0, share))));

export const classColour = (name, i) => NAMED[name] ?? CLASSES[i % CLASSES.length];
export const classMark = (i) => MARKS[i % MARKS.length];
export const css = (colour) => `rgb(${colour.join(" ")})`;
export const largest = (numbers) => numbers.reduce((top, x) => Math.max(top, Math.abs(x)), 0);

// Ink on paper, from 0 to 1.
export const grey = (x) => mixed(PAPER, INK, x);

// White is 0; orange speaks for it, blue against it.
export const signed = (top) => (x) => mixed(PAPER, x > 0 ? ORANGE : BLUE, top ? Math.abs(x) / top : 0);

export function paint(canvas, numbers, colour) {
  const columns = canvas.width, rows = canvas.height, image = new ImageData(columns, rows);
  numbers.forEach((x, i) => image.data.set([...colour(x), 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A canvas of so many pixels as there are numbers, with words for those who do not see it.
export function picture(numbers, rows, columns, colour, words) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  paint(canvas, numbers, colour);
  return canvas;
}

// The plane: the colour of the most likely class, the paler the less sure, and the points on it.
export function plane(canvas, { best, sure, grid, points, labels, classes }) {
  const pen = canvas.getContext("2d"), size = canvas.width, small = document.createElement("canvas");
  small.width = small.height = grid;
  const image = new ImageData(grid, grid), chance = 1 / classes.length;
  const colours = classes.map((name, i) => classColour(name, i));
  best.forEach((c, i) => {
    const share = 0.12 + (0.5 * (sure[i] - chance)) / (1 - chance);
    image.data.set([...mixed(PAPER, colours[c], share), 255], 4 * i);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, size, size);
  pen.font = `${Math.round(size / 40)}px sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 3;
  pen.strokeStyle = "#fff";
  labels.forEach((c, i) => {
    const x = ((points[2 * i] + 1) / 2) * size, y = ((1 - points[2 * i + 1]) / 2) * size;
    pen.fillStyle = css(mixed(colours[c], INK, 0.25));
    pen.strokeText(classMark(c), x, y);
    pen.fillText(classMark(c), x, y);
  });
}

// ---- curves

const HIGH = 220, LEFT = 44, RIGHT = 10, TOP = 24, BOTTOM = 44; // pixels of the screen: letters keep their size on a phone
const MOST = 1000; // points that are kept

// The losses of a run, as points [i, on the data, of the batch]. In a long run every second goes, and then of those that come
// too: it is drawn as quickly as a short one.
export class Losses {
  points = [];
  count = 0;
  every = 1;

  add(onData, ofBatch) {
    this.newest = [this.count, onData, ofBatch];
    if (this.count++ % this.every === 0) this.points.push(this.newest);
    if (this.points.length < MOST) return;
    this.points = this.points.filter((_, i) => i % 2 === 0);
    this.every *= 2;
  }

  // The points of one curve as pairs, the newest too; without those that are not there or not finite.
  curve(which) {
    const points = this.points.at(-1) === this.newest ? this.points : [...this.points, this.newest];
    return points.map((point) => [point[0], point[which]]).filter(([, loss]) => Number.isFinite(loss));
  }
}

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// About four round numbers from 0 to the top.
function ticks(top) {
  const rough = top / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

// The two curves of losses, named as their classes of style.
export function curves(svg, losses) {
  const wide = svg.clientWidth || 520;
  const series = losses.count ? { batch: losses.curve(2), test: losses.curve(1) } : { batch: [], test: [] };
  const top = 1.05 * largest(Object.values(series).flat().map(([, loss]) => loss)) || 1, last = Math.max(1, losses.count - 1);
  const x = (i) => LEFT + (i / last) * (wide - LEFT - RIGHT), y = (v) => HIGH - BOTTOM - (v / top) * (HIGH - BOTTOM - TOP);
  const parts = ticks(top).flatMap((v) => [
    drawn("line", { x1: LEFT, x2: wide - RIGHT, y1: y(v), y2: y(v), class: "grid" }),
    drawn("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, String(v)),
  ]);
  for (const i of ticks(last).filter(Number.isInteger))
    parts.push(drawn("text", { x: x(i), y: HIGH - BOTTOM + 17, "text-anchor": "middle" }, String(i)));
  parts.push(drawn("text", { x: LEFT - 6, y: 13, "text-anchor": "end" }, "loss"));
  parts.push(drawn("text", { x: (LEFT + wide - RIGHT) / 2, y: HIGH - 6, "text-anchor": "middle" }, "calls of show(), from 0"));
  for (const [name, points] of Object.entries(series)) {
    const path = points.map(([i, v], k) => `${k ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    parts.push(drawn("path", { d: path, class: `curve ${name}` }));
    if (points.length <= 30) parts.push(...points.map(([i, v]) => dot(name, x(i), y(v))));
  }
  svg.setAttribute("viewBox", `0 0 ${wide} ${HIGH}`);
  svg.replaceChildren(...parts);
}

const dot = (name, x, y) =>
  name === "batch"
    ? drawn("rect", { x: x - 2.5, y: y - 2.5, width: 5, height: 5, class: `dot ${name}` })
    : drawn("circle", { cx: x, cy: y, r: 3, class: `dot ${name}` });
