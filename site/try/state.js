// The state of the page stands in its address, so that a reload or a link brings it back. It holds text alone, and nothing in it
// runs before the reader says so.

const fields = new URLSearchParams(location.hash.slice(1));
const SILENCE = 400, LATER = 5000; // milliseconds
let timer;

export const get = (name) => fields.get(name);

// Note a field of the state; null removes it. The address follows a little later, because browsers limit how often: Safari
// allows 100 changes in 30 seconds, and throws at the next.
export function set(name, text) {
  if (text === null) fields.delete(name);
  else fields.set(name, text);
  clearTimeout(timer);
  timer = setTimeout(write, SILENCE);
}

function write() {
  const text = String(fields);
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    clearTimeout(timer);
    timer = setTimeout(write, LATER);
  }
}

addEventListener("pagehide", write);

// Leave the state as it is now for the Back button.
export function push() {
  write();
  try {
    history.pushState(null, "", location.href);
  } catch {} // too many in a short time: the Back button then leads further back
}

// Call the function when the reader follows a link to another state, as from the list of bookmarks.
export function onChange(listener) {
  addEventListener("popstate", () => {
    clearTimeout(timer);
    for (const name of [...fields.keys()]) fields.delete(name);
    for (const [name, text] of new URLSearchParams(location.hash.slice(1))) fields.set(name, text);
    listener();
  });
}
