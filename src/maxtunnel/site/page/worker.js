// Computes beside the page, so that it never stands still. One thing is done at a time, in order.

import { decode, encode, meanPicture, readFile, writeFile } from "./network.js";

const TASKS = { decode, encode, meanPicture, readFile, writeFile };
let last = Promise.resolve();

onmessage = ({ data: { id, task, given } }) => {
  last = last.then(async () => {
    try {
      const result = await TASKS[task](given, (progress) => postMessage({ id, progress }));
      postMessage({ id, result });
    } catch (error) {
      postMessage({ id, error: error.message || String(error) });
    }
  });
};
