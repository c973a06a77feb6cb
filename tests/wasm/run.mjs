// Runs tests under Pyodide in node, with the package's own wheel. The repository is the folder in which it is called:
// node tests/wasm/run.mjs PYODIDE NUMPY WHEEL PACKAGES TEST...      PACKAGES: a folder with pytest and Hypothesis
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [pyodide, numpy, wheel, packages, ...args] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(pyodide, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: resolve(pyodide), env: { HYPOTHESIS_PROFILE: "browser" } });
await python.loadPackage(resolve(numpy), { messageCallback: () => {} });
await python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel", { extractDir: "/wheel" });
for (const [place, root] of [["/packages", packages], ["/repository", "."]]) {
  python.FS.mkdir(place);
  python.FS.mount(python.FS.filesystems.NODEFS, { root }, place);
}
python.globals.set("args", python.toPy(args));
const status = await python.runPythonAsync(`
import os, sys
sys.path[:0] = ["/wheel", "/packages", "/repository/examples", "/repository"]
sys.dont_write_bytecode = True
os.chdir("/repository")
import pytest
int(pytest.main(["-p", "tests.wasm.refusals", "-p", "no:cacheprovider", "--capture=sys", "-o", "pythonpath=", "--quiet", *args]))
`);
process.exit(status);
