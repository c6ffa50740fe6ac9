// The page's side of the worker: questions and their answers; and what is asked while something is computed.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map(), listeners = new Set();
let count = 0;

worker.onmessage = ({ data: { id, result, error, progress } }) => {
  if (progress) {
    listeners.forEach((listener) => listener(progress));
    return;
  }
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = (event) => {
  const error = new Error(event.message || "the worker could not start");
  waiting.forEach(({ reject }) => reject(error));
  waiting.clear();
};

function ask(task, given) {
  const id = count++;
  worker.postMessage({ id, task, given });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

export const encode = (given) => ask("encode", given);
export const decode = (given) => ask("decode", given);
export const meanPicture = (given) => ask("meanPicture", given);
export const readFile = (bytes) => ask("readFile", { bytes });
export const writeFile = (given) => ask("writeFile", given);

// Call `listener` with { file, there, bytes } while files arrive.
export const onProgress = (listener) => listeners.add(listener);

// A function that starts `work` at once or, where it is still at it, once more when it is done: of what was
// asked meanwhile the last counts.
export function latest(work) {
  let busy = false, next;
  return async function start(...given) {
    next = given;
    if (busy) return;
    busy = true;
    try {
      while (next) {
        const now = next;
        next = undefined;
        await work(...now);
      }
    } finally {
      busy = false;
    }
  };
}
