// A text area in which programs are written: Enter keeps the indentation, Ctrl+Enter runs. Tab leaves it, as everywhere on a page.

const COMPOSING = 229; // the key code of an Enter that only ends a composition, as of Chinese, in Safari too

export class Editor {
  constructor(area, { run, changed }) {
    this.area = area;
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || event.keyCode === COMPOSING) return;
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) run();
      else this.newLine();
    });
    area.addEventListener("input", () => {
      this.grow();
      changed(area.value);
    });
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    this.area.value = text;
    this.grow();
  }

  grow() {
    this.area.rows = Math.min(40, Math.max(12, this.area.value.split("\n").length + 1));
  }

  newLine() {
    const before = this.area.value.slice(0, this.area.selectionStart).split("\n").at(-1);
    const deeper = /:\s*(#.*)?$/.test(before) ? 4 : 0; // a comment may follow the colon
    const inserted = `\n${" ".repeat(before.length - before.trimStart().length + deeper)}`;
    document.execCommand("insertText", false, inserted); // the one way that can be undone by Ctrl+Z
  }

  // Select a line, counted from 1 on, and go there; the last one if the program has become shorter since.
  select(number) {
    const lines = this.text.split("\n");
    number = Math.min(number, lines.length);
    const start = lines.slice(0, number - 1).join("\n").length + (number > 1 ? 1 : 0);
    this.area.focus();
    this.area.setSelectionRange(start, start + lines[number - 1].length);
    this.area.scrollTop = ((number - 3) / lines.length) * this.area.scrollHeight;
  }
}
