// Switch files (.mxt), byte for byte as the package writes them: docs/format.md of it is the specification.
// Of the codings there are packed and learned ones here; of the windows the networks' own, 2x2.

const MAGIC = [0x89, 0x4d, 0x58, 0x54, 0x0d, 0x0a, 0x1a, 0x0a];
const PACKED = 0, LEARNED = 2;
const MOST_SIDE = 4096;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

export function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

const little = (number) => [0, 8, 16, 24].map((shift) => (number >>> shift) & 255);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => text.match(/../g).map((pair) => parseInt(pair, 16));

function varint(number) {
  const found = [];
  for (; number > 127; number = Math.floor(number / 128)) found.push((number % 128) | 128);
  return [...found, number];
}

function pack(codes) {
  const found = new Uint8Array(Math.ceil(codes.length / 4));
  codes.forEach((code, at) => { found[at >> 2] |= code << (2 * (at & 3)); });
  return found;
}

// Steps that reading a level takes, as the format counts them.
function work({ codes, channels, width, height }, coding) {
  return coding === PACKED ? codes.length
    : 2 * codes.length + channels * (width + 4) * (height + 4) + 4096 * channels;
}

function leastLength(level, coding, total) {
  const least = Math.ceil(level.codes.length / 8192);
  return total > 2 ** 26 ? Math.max(least, Math.ceil(work(level, coding) / 512)) : least;
}

function padded(body, length) {
  if (body.length >= length) return body;
  const found = new Uint8Array(length);
  found.set(body);
  return found;
}

// The bytes of a file. `learned(index)` gives a level's entropy-coded part, or null where there is none.
export function write({ levels, width, height, network }, learned) {
  const parts = levels.map((level, index) => {
    const coded = learned(index), packed = Math.ceil(level.codes.length / 4);
    return coded && coded.length < packed
      ? { coding: LEARNED, body: coded } : { coding: PACKED, body: pack(level.codes) };
  });
  const total = levels.reduce((sum, level, index) => sum + work(level, parts[index].coding), 0);
  const prior = parts.some(({ coding }) => coding === LEARNED) ? unhex(network.prior.identity) : Array(8).fill(0);
  const head = [...MAGIC, 1, ...[1, height, width, levels.length].flatMap(varint), ...unhex(network.identity), ...prior];
  levels.forEach((level, index) => {
    const part = parts[index];
    part.body = padded(part.body, leastLength(level, part.coding, total));
    const numbers = [2 * level.height, 2 * level.width, level.channels, part.body.length];
    head.push(part.coding, 0, ...numbers.flatMap(varint), ...little(crc32(part.body)));
  });
  head.push(...little(crc32(head)));
  const bodies = parts.map(({ body }) => body).reverse();
  const found = new Uint8Array(head.length + bodies.reduce((sum, body) => sum + body.length, 0));
  found.set(head);
  bodies.reduce((at, body) => (found.set(body, at), at + body.length), head.length);
  return found;
}

class Reader {
  constructor(bytes) { [this.bytes, this.at] = [bytes, 0]; }

  take(count) {
    if (this.at + count > this.bytes.length) throw new Error("it is cut short");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  varint() {
    for (let number = 0, factor = 1; ; factor *= 128) {
      const [byte] = this.take(1);
      number += (byte & 127) * factor;
      if (number >= 2 ** 32 || factor > 2 ** 28) throw new Error("a number in it is out of range");
      if (byte < 128) return number;
    }
  }

  number() { return this.take(4).reduce((sum, byte, place) => sum + byte * 256 ** place, 0); }
}

// What a file says of itself: { width, height, network, parts }; an Error says what is wrong.
export function readHeader(bytes, networks) {
  const reader = new Reader(bytes);
  if (!MAGIC.every((byte, at) => bytes[at] === byte)) throw new Error("it is no switch file");
  reader.take(8);
  if (reader.take(1)[0] !== 1) throw new Error("it is of another version");
  const [images, height, width, count] = [1, 2, 3, 4].map(() => reader.varint());
  if (images !== 1) throw new Error(`it holds ${images} images; this page takes one`);
  if (!(Math.max(width, height) <= MOST_SIDE)) throw new Error(`a side is above ${MOST_SIDE} pixels`);
  const identity = hex(reader.take(16)), prior = hex(reader.take(8));
  const network = networks.find((each) => each.identity === identity);
  if (!network) throw new Error(`it is of none of this page's networks: ${networks.map(({ name }) => name).join(", ")}`);
  if (count !== network.widths.length) throw new Error("its levels are not the network's");
  const parts = network.widths.map((channels, index) => readPart(reader, network, channels, index, width, height));
  const end = reader.at;
  if (reader.number() !== crc32(bytes.subarray(0, end))) throw new Error("its header is damaged");
  if (parts.some(({ coding }) => coding === LEARNED) && prior !== network.prior?.identity) {
    throw new Error("it was written with another model of the switches");
  }
  return { width, height, network, parts, start: reader.at };
}

function readPart(reader, network, channels, index, width, height) {
  const [coding, window] = reader.take(2);
  if (window !== 0) throw new Error("its windows are not the network's");
  const [planeHeight, planeWidth, found, length] = [1, 2, 3, 4].map(() => reader.varint());
  const checksum = reader.number();
  const plane = (side) => (Math.ceil(side / network.multiple) * network.multiple) >> index;
  if (planeHeight !== plane(height) || planeWidth !== plane(width) || found !== channels) {
    throw new Error("its levels are not the network's");
  }
  if (coding !== PACKED && coding !== LEARNED) throw new Error("its coding is one that this page does not read");
  return { coding, channels, width: planeWidth / 2, height: planeHeight / 2, length, checksum };
}

// The levels of a file, finest first. `learned(index, codes, above, body)` reads an entropy-coded part into codes.
export function readLevels(bytes, { parts, start }, learned) {
  const levels = [], end = start + parts.reduce((sum, { length }) => sum + length, 0);
  if (bytes.length !== end) throw new Error(bytes.length < end ? "it is cut short" : "it goes on after its end");
  for (let index = parts.length - 1, at = start; index >= 0; at += parts[index--].length) {
    const { coding, length, checksum, channels, width, height } = parts[index];
    const body = bytes.subarray(at, at + length), codes = new Uint8Array(channels * width * height);
    if (crc32(body) !== checksum) throw new Error(`level ${index + 1} is damaged`);
    if (coding === LEARNED) learned(index, codes, levels[0], body);
    else if (body.length < Math.ceil(codes.length / 4)) throw new Error(`level ${index + 1} is too short`);
    else codes.forEach((_, place) => { codes[place] = (body[place >> 2] >> (2 * (place & 3))) & 3; });
    levels.unshift({ codes, channels, width, height });
  }
  return levels;
}
