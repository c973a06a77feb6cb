// Runs Python beside the page, so that the page answers while a program trains. See python.js for the other end.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const beside = (path) => new URL(path, import.meta.url).href; // the worker itself is a blob, beside which there is nothing
const FILES = beside("files.json"); // the name of the wheel, and how many bytes there are in all
const post = (message) => self.postMessage(message);

// Count the bytes that arrive, because the page shows them: Pyodide fetches its own files by this too.
const plainFetch = self.fetch.bind(self);
let arrived = 0, all = 0, stage = "Fetching Python";

function progress() {
  post({ kind: "progress", stage, arrived, all });
}

self.fetch = async (...request) => {
  const response = await plainFetch(...request);
  if (!response.ok || !response.body) return response;
  const counter = new TransformStream({
    transform(chunk, controller) {
      arrived += chunk.byteLength;
      progress();
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), { status: response.status, headers: response.headers });
};

const fetched = async (path) => {
  const response = await self.fetch(beside(path));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
};

async function start() {
  const files = await (await plainFetch(FILES)).json();
  all = files.bytes;
  progress();
  const [wheel, digits, source] = [files.wheel, "digits.npz", "this_page.py"].map(fetched); // they arrive meanwhile
  const python = await loadPyodide({ indexURL: beside("pyodide/") });
  python.setStdout(printer());
  python.setStderr(printer());
  python.setStdin({ stdin: () => null }); // nobody types there: input() is an EOFError
  stage = "Fetching NumPy";
  progress();
  await python.loadPackage("numpy", { messageCallback: () => {} });
  stage = "Importing NumPy and tinygrad_sm";
  await python.unpackArchive(await wheel, "wheel");
  python.FS.writeFile("digits.npz", new Uint8Array(await digits));
  python.FS.writeFile("this_page.py", new Uint8Array(await source));
  arrived = all;
  progress();
  python.runPython("import tinygrad_sm, tinygrad_sm.look, tinygrad_sm.nn");
  stage = "Reading the digits";
  progress();
  const page = python.pyimport("this_page");
  const asObject = { dict_converter: Object.fromEntries, create_pyproxies: false };
  const toJs = python.pyimport("pyodide.ffi").to_js;
  const js = (value) => toJs.callKwargs(value, asObject);
  page.send = (message) => post(js(message));
  self.onmessage = ({ data: { id, call, args } }) => {
    const proxies = []; // JavaScript does not know how much of Python's memory they hold, so they end here
    const noted = (x) => {
      if (x instanceof python.ffi.PyProxy) proxies.push(x);
      return x;
    };
    try {
      const value = noted(noted(page[call])(...args.map((x) => noted(python.toPy(x)))));
      reply({ kind: "answer", id, value: value instanceof python.ffi.PyProxy ? js(value) : value });
    } catch (error) {
      reply({ kind: "failed", id, said: lastLine(error) });
    } finally {
      for (const proxy of proxies) proxy.destroy();
    }
  };
  const versions = python.runPython(
    `import platform, numpy; f"tinygrad_sm {tinygrad_sm.__version__} with NumPy {numpy.__version__} on Python {platform.python_version()}"`,
  );
  post({ kind: "ready", versions });
}

// Where Python prints: lines, or the part of one. The page would drown in all that an endless loop prints: it gets few
// messages in a while, and the rest in the first of the next while.
const WHILE = 100, MESSAGES = 20; // milliseconds, and how many at most
let held = "", began = 0, sent = 0;

function flush() {
  if (held) post({ kind: "printed", text: held });
  held = "";
}

function reply(message) {
  flush(); // what came before it
  post(message);
}

function printer() {
  const decoder = new TextDecoder();
  const write = (bytes) => {
    held += decoder.decode(bytes, { stream: true });
    const now = performance.now();
    if (now - began > WHILE) [began, sent] = [now, 0];
    if (sent++ < MESSAGES) flush();
    return bytes.length;
  };
  return { write };
}

// What a Python error says, without its traceback.
function lastLine(error) {
  const lines = error.message.trimEnd().split("\n");
  const first = lines.findLastIndex((line) => /^[A-Za-z_.]+(: |$)/.test(line));
  return lines.slice(first).join("\n").replace(/^this_page\.Untrained: /, "");
}

start().catch((error) => post({ kind: "broken", said: lastLine(error) }));
