// Networks in the browser: each part is fetched when it is first used, and computed piece by piece.

import * as ort from "./runtime/ort.wasm.min.mjs";
import { makeCoder } from "./codec.js";
import { readHeader, readLevels, write } from "./mxt.js";
import { cut, denormalise, normalise, padded, paste, pieces, stretch } from "./planes.js";

const ROOT = new URL("./", import.meta.url).href;
const SIDE = { encoder: 512, mirrored: 512, strong: 256 }; // of pieces, in pixels
const kept = new Map();

ort.env.wasm.numThreads = 1; // more would need headers that a plain server of files does not send
ort.env.wasm.wasmPaths = `${ROOT}runtime/`;
ort.env.logLevel = "error";

// What `make` gives for this name, made once; after a failure it is tried again.
function once(name, make) {
  if (!kept.has(name)) kept.set(name, make().catch((error) => { kept.delete(name); throw error; }));
  return kept.get(name);
}

// A file's bytes; `told` hears how many of them there are so far.
async function read(file, bytes, told) {
  const answer = await fetch(ROOT + file);
  if (!answer.ok) throw new Error(`${file} cannot be loaded (${answer.status})`);
  const reader = answer.body.getReader(), parts = [];
  for (let there = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    parts.push(value);
    told({ file, there: (there += value.length), bytes });
  }
}

export const about = () => once("about", async () => (await fetch(`${ROOT}networks.json`)).json());

async function described(name) {
  const found = (await about()).networks.find((network) => network.name === name);
  if (!found) throw new Error(`there is no network ${name}`);
  return found;
}

async function start(told) {
  return once("runtime", async () => {
    const { file, bytes } = (await about()).runtime;
    ort.env.wasm.wasmBinary = await read(file, bytes, told);
  });
}

async function session(part, told) {
  await start(told);
  return once(part.file, async () =>
    ort.InferenceSession.create(await read(part.file, part.bytes, told), { executionProviders: ["wasm"] }));
}

// The mean image at a size; only that of the last size is kept.
async function meanAt(network, size, told) {
  const { file, width, height } = network.mean;
  const mean = await once(file, async () => {
    const bytes = await read(file, 12 * width * height, told);
    return { data: new Float32Array(bytes.buffer), width, height };
  });
  if (mean.at !== `${size.width}x${size.height}`) {
    mean.stretched = stretch(mean, size.width, size.height);
    mean.at = `${size.width}x${size.height}`;
  }
  return mean.stretched;
}

const levelSize = (size, level) => ({ width: size.width >> level, height: size.height >> level });
const inside = (box, level) =>
  Object.fromEntries(Object.entries(box).map(([side, at]) => [side, at >> level]));
const spread = (box) => ({ width: box.right - box.left, height: box.bottom - box.top });

// The switches of a picture of RGBA bytes: for each level, finest first, its codes and their sizes.
export async function encode({ name, pixels, width, height }, told) {
  const network = await described(name), { encoder, multiple, scale, widths } = network;
  const run = await session(encoder, told), size = padded(width, height, multiple);
  const planes = normalise(pixels, width, height, size, await meanAt(network, size, told), scale);
  const began = performance.now();
  const levels = widths.map((channels, index) => {
    const here = levelSize(size, index + 1);
    return { codes: new Uint8Array(channels * here.width * here.height), channels, ...here };
  });
  for (const piece of pieces(size, SIDE.encoder, encoder.margin)) {
    const box = spread(piece.outer), part = cut(planes, 3, size, piece.outer);
    const found = await run.run({ image: new ort.Tensor("float32", part, [1, 3, box.height, box.width]) });
    levels.forEach((level, index) =>
      paste(level.codes, level.channels, level, found[`level${index + 1}`].data, piece, index + 1));
  }
  return { levels, seconds: (performance.now() - began) / 1000 };
}

// The picture of switches by a kind of decoder, and its errors to `targets`, which are RGBA bytes.
export async function decode({ name, kind, levels, width, height, targets }, told) {
  const network = await described(name), { multiple, scale } = network, part = network.decoders[kind];
  const run = await session(part, told), size = padded(width, height, multiple);
  const mean = await meanAt(network, size, told);
  const began = performance.now(), planes = new Float32Array(3 * size.width * size.height);
  for (const piece of pieces(size, SIDE[kind], part.margin)) {
    const given = Object.fromEntries(levels.map((level, index) => {
      const box = inside(piece.outer, index + 1), there = spread(box);
      const codes = cut(level.codes, level.channels, level, box);
      return [`level${index + 1}`,
        new ort.Tensor("uint8", codes, [1, level.channels, there.height, there.width])];
    }));
    paste(planes, 3, size, (await run.run(given)).picture.data, piece);
  }
  const seconds = (performance.now() - began) / 1000;
  return { ...denormalise(planes, width, height, size, mean, scale, targets), seconds };
}

// The mean image as a picture: what is painted when nothing is known.
export async function meanPicture({ name, width, height, targets }, told) {
  const network = await described(name), size = padded(width, height, network.multiple);
  const planes = new Float32Array(3 * size.width * size.height);
  const mean = await meanAt(network, size, told);
  return denormalise(planes, width, height, size, mean, network.scale, targets);
}

// The entropy coder of a network's switches; null for one without a model of them.
async function coderOf({ prior }, told) {
  if (!prior) return null;
  const module = await once("codec.wasm", async () => WebAssembly.compile(await read("codec.wasm", 0, told)));
  return once(prior.file, async () =>
    makeCoder(module, await read(prior.file, prior.bytes, told), await read((await about()).squash, 0, told)));
}

// The bytes of a switch file, as the package writes them.
export async function writeFile({ name, levels, width, height }, told) {
  const network = await described(name), coder = await coderOf(network, told);
  return write({ levels, width, height, network }, (index) => coder && coder.write(levels, index));
}

// What a switch file holds: the name of its network, sizes and levels.
export async function readFile({ bytes }, told) {
  const { networks } = await about(), header = readHeader(bytes, networks), { network, width, height } = header;
  const coder = await coderOf(network, told), sizes = header.parts;
  const learned = (index, codes, above, body) => coder.read(index, { ...sizes[index], codes }, above, body);
  return { name: network.name, width, height, levels: readLevels(bytes, header, learned) };
}
