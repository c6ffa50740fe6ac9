// What can be done to switches, and how they are shown. A level is { codes, channels, width, height }.

export const PLACES = ["top left", "top right", "bottom left", "bottom right"];
// Apart in lightness too, and for those who see colours differently (Okabe and Ito).
export const COLOURS = [[0, 73, 124], [230, 159, 0], [0, 158, 115], [240, 228, 66]];
export const KEEP = 255;

export const copied = (levels) => levels.map((level) => ({ ...level, codes: level.codes.slice() }));
export const count = (levels) => levels.reduce((sum, level) => sum + level.codes.length, 0);

// Nominal bits, two a switch, per pixel and colour channel.
export const bits = (levels, width, height) => 2 * count(levels) / (3 * width * height);

// How many codes of two lists of levels differ, by level.
export const differing = (levels, others) => levels.map(({ codes }, index) => {
  let found = 0;
  codes.forEach((code, at) => { found += code !== others[index].codes[at]; });
  return found / codes.length;
});

// The same numbers in every browser (mulberry32).
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

// For each switch of a level when it is drawn anew, from 0 to 1, and what is drawn.
export function draws(level, seed) {
  const next = random(seed), turn = new Float32Array(level.codes.length);
  const codes = new Uint8Array(level.codes.length);
  for (let at = 0; at < turn.length; at++) {
    turn[at] = next();
    codes[at] = Math.floor(4 * next());
  }
  return { turn, codes };
}

// A level with a share of its switches drawn anew, and with those that were set by hand.
export function changed(level, share, drawn, byHand) {
  const codes = level.codes.slice();
  for (let at = 0; at < codes.length; at++) {
    if (byHand[at] !== KEEP) codes[at] = byHand[at];
    else if (drawn.turn[at] < share) codes[at] = drawn.codes[at];
  }
  return { ...level, codes };
}

// Set the windows around one, in a square, of one channel or, with -1, of all.
export function brush(byHand, level, { row, column, channel, around, code }) {
  const channels = channel < 0 ? [...Array(level.channels).keys()] : [channel];
  for (const each of channels) {
    for (let y = Math.max(row - around, 0); y <= Math.min(row + around, level.height - 1); y++) {
      for (let x = Math.max(column - around, 0); x <= Math.min(column + around, level.width - 1); x++) {
        byHand[(each * level.height + y) * level.width + x] = code;
      }
    }
  }
}

// One channel as a picture, a pixel a switch.
export function dots(level, channel) {
  const picture = new ImageData(level.width, level.height), start = channel * level.width * level.height;
  for (let at = 0; at < level.width * level.height; at++) {
    picture.data.set([...COLOURS[level.codes[start + at]], 255], 4 * at);
  }
  return picture;
}

// SHA-256 of all codes, level after level, in hexadecimal; empty where the browser has none.
export async function hash(levels) {
  if (!globalThis.crypto?.subtle) return "";
  const digest = await crypto.subtle.digest("SHA-256",
    new Uint8Array(await new Blob(levels.map(({ codes }) => codes)).arrayBuffer()));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
