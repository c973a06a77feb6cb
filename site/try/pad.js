// A pad to draw on, by mouse, finger or keys. A drawing is its strokes, or the image of a digit that was put there.

const SIZE = 280, PEN = 24, CLOSE = 5; // pixels of the pad; points that are closer are one
const STEP = 12, EDGE = 20; // how far an arrow key moves the pen, and how near it comes to the edge

export class Pad {
  // Calls `begun` when a stroke begins, `changed` when it ends and when all is cleared, and `says` with words for those who
  // move the pen by keys and do not see it.
  constructor(canvas, { begun, changed, says }) {
    this.canvas = canvas;
    this.begun = begun;
    this.changed = changed;
    this.says = says;
    this.strokes = [];
    this.image = null; // 28×28 numbers, in the place of strokes
    this.pen = [SIZE / 2, EDGE + 4 * STEP];
    this.holder = null; // who holds the pen down: "keys", the id of a pointer, or nobody
    this.ink = document.createElement("canvas"); // what is drawn, without the mark of the pen
    canvas.width = canvas.height = this.ink.width = this.ink.height = SIZE;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.release(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => {
      this.draw();
      if (this.holder === null) this.tell(); // not when the mouse presses it
    });
    canvas.addEventListener("blur", () => {
      this.lift();
      this.draw();
      this.says("");
    });
    this.draw();
  }

  get isEmpty() {
    return !this.image && !this.strokes.length;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const inside = (v) => Math.round(Math.min(SIZE - 1, Math.max(0, v)));
    return [inside(((event.clientX - box.left) / box.width) * SIZE), inside(((event.clientY - box.top) / box.height) * SIZE)];
  }

  press(event) {
    if (event.button || !event.isPrimary) return;
    this.lift(); // what the keys hold down
    this.says("");
    this.canvas.setPointerCapture(event.pointerId);
    this.begin(this.place(event), event.pointerId);
  }

  begin(point, holder) {
    this.begun();
    this.image = null;
    this.holder = holder;
    this.strokes.push([point]);
    this.pen = point;
    this.draw();
  }

  move(event) {
    if (this.holder === event.pointerId) this.add(this.place(event));
  }

  release(event) {
    if (this.holder === event.pointerId) this.lift();
  }

  add(point) {
    const stroke = this.strokes.at(-1), [x, y] = stroke.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) < CLOSE) return;
    stroke.push(point);
    this.pen = point;
    this.draw();
  }

  lift() {
    if (this.holder === null) return;
    this.holder = null;
    this.draw();
    this.changed();
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return; // the browser's own
    const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [0, 0];
    if (dx || dy) {
      const inside = (v) => Math.min(SIZE - EDGE, Math.max(EDGE, v));
      const point = [inside(this.pen[0] + dx), inside(this.pen[1] + dy)];
      if (this.holder === "keys") this.add(point);
      this.pen = point;
      this.draw();
    } else if (event.key === " ") {
      if (this.holder === "keys") this.lift();
      else if (this.holder === null) this.begin(this.pen, "keys");
    } else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
    this.tell();
  }

  // Say where the pen is, in steps of the keys from the top left, and whether it draws.
  tell() {
    const [column, row] = this.pen.map((v) => Math.round((v - EDGE) / STEP) + 1);
    this.says(`Pen ${this.holder === "keys" ? "down" : "up"}, column ${column}, row ${row}`);
  }

  clear() {
    this.strokes = [];
    this.image = null;
    this.holder = null;
    this.draw();
    this.changed();
  }

  // Put an image of 28×28 numbers there.
  put(image) {
    this.strokes = [];
    this.holder = null;
    this.image = image;
    this.draw();
  }

  draw() {
    const pen = this.ink.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIZE, SIZE);
    const cell = SIZE / 28;
    this.image?.forEach((x, i) => {
      pen.fillStyle = `rgb(0 0 0 / ${x})`;
      pen.fillRect((i % 28) * cell, Math.floor(i / 28) * cell, cell, cell);
    });
    Object.assign(pen, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
    for (const [first, ...others] of this.strokes) {
      pen.beginPath();
      pen.moveTo(...first);
      for (const point of others.length ? others : [first]) pen.lineTo(...point);
      pen.stroke();
    }
    const shown = this.canvas.getContext("2d");
    shown.drawImage(this.ink, 0, 0);
    if (document.activeElement !== this.canvas) return;
    shown.beginPath();
    shown.arc(...this.pen, PEN / 2, 0, 2 * Math.PI);
    Object.assign(shown, { lineWidth: 3, strokeStyle: this.holder !== null ? "#d55e00" : "#0072b2" });
    shown.stroke();
  }

  // Ink from 0 to 1, row by row; a digit that was put there as it is.
  pixels() {
    if (this.image) return this.image;
    const { data } = this.ink.getContext("2d").getImageData(0, 0, SIZE, SIZE);
    return Float32Array.from({ length: SIZE * SIZE }, (_, i) => 1 - data[4 * i] / 255);
  }

  // The strokes as letters for the address: two for each coordinate.
  get text() {
    const letters = (v) => v.toString(36).padStart(2, "0");
    return this.strokes.map((stroke) => stroke.map(([x, y]) => letters(x) + letters(y)).join("")).join("-");
  }

  set text(text) {
    const number = (letters) => Math.min(SIZE - 1, parseInt(letters, 36) || 0);
    const strokes = text.split("-").map((stroke) => stroke.match(/.{4}/g) ?? []);
    this.strokes = strokes.filter((s) => s.length).map((s) => s.map((p) => [number(p.slice(0, 2)), number(p.slice(2))]));
    this.image = null;
    this.draw();
  }
}
