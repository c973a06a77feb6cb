// Python in a worker of its own: ask it by `call`, hear from it by `on`, end it by `restart`.

export class Python {
  constructor() {
    this.listeners = {};
    this.start();
  }

  // Call the function for each message of this kind: progress, ready, broken, printed, shown.
  on(kind, listener) {
    (this.listeners[kind] ??= []).push(listener);
  }

  start() {
    this.waiting = new Map(); // by the id of a call: what to do with its answer
    this.unsent = []; // what was asked before Python was ready
    this.isReady = false;
    this.fault = null; // why Python cannot be called any more
    // Only a worker from a blob has the policy of index.html: no program reaches another server.
    const code = new Blob([`import ${JSON.stringify(new URL("./worker.js", import.meta.url))};`], { type: "text/javascript" });
    this.worker = new Worker((this.url = URL.createObjectURL(code)), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => this.hear({ kind: "broken", said: event.message || "the worker could not start" });
  }

  hear(message) {
    if (message.kind === "answer" || message.kind === "failed") {
      const question = this.waiting.get(message.id);
      if (!question) return; // a program can send messages too
      const { answer, fail } = question;
      this.waiting.delete(message.id);
      if (message.kind === "answer") answer(message.value);
      else fail(new Error(message.said));
      return;
    }
    if (message.kind === "ready") {
      this.isReady = true;
      for (const question of this.unsent) this.worker.postMessage(question);
    }
    if (message.kind === "broken") {
      message.wasReady = this.isReady;
      this.isReady = false;
      this.fault = message.said;
      this.fail(new Error(message.said));
    }
    for (const listener of this.listeners[message.kind] ?? []) listener(message);
  }

  fail(error) {
    for (const { fail } of this.waiting.values()) fail(error);
    this.waiting.clear();
    this.unsent = [];
  }

  // Call a function of this_page.py; the promise is broken if Python is ended before it answers.
  call(name, ...args) {
    if (this.fault) return Promise.reject(new Error(this.fault));
    const id = (this.last = (this.last ?? 0) + 1);
    return new Promise((answer, fail) => {
      this.waiting.set(id, { answer, fail });
      if (this.isReady) this.worker.postMessage({ id, call: name, args });
      else this.unsent.push({ id, call: name, args });
    });
  }

  // End whatever runs, an endless loop too, and start Python anew, without a model.
  restart() {
    this.worker.terminate();
    URL.revokeObjectURL(this.url);
    this.fail(new Stopped("Python was stopped."));
    this.start();
  }
}

export class Stopped extends Error {}
