// Planes of a network's inner scale, (pixel / 255 - mean) x scale, channel after channel; and their pieces.
// Each step is rounded to float32, as the Python package rounds it: what defines switches is the same number.

const f = Math.fround;

// Sides padded to multiples of `multiple`.
export function padded(width, height, multiple) {
  const up = (side) => Math.ceil(side / multiple) * multiple;
  return { width: up(width), height: up(height) };
}

// An axis of `length` cells resized bilinearly to `size`: of each place the cells below and above, and the
// share of the latter.
function places(length, size) {
  return Array.from({ length: size }, (_, place) => {
    const at = Math.min(Math.max((place + 0.5) * (length / size) - 0.5, 0), length - 1);
    const below = Math.floor(at);
    return { below, above: Math.min(below + 1, length - 1), share: f(at - below) };
  });
}

function between(a, b, share) {
  const step = f(b - a);
  return share < 0.5 ? f(a + f(share * step)) : f(b - f(step * f(1 - share)));
}

// The mean image, { data, width, height }, resized: rows first, then columns.
export function stretch(mean, width, height) {
  if (mean.width === width && mean.height === height) return mean.data;
  const down = places(mean.height, height), right = places(mean.width, width);
  const found = new Float32Array(3 * width * height);
  for (let channel = 0; channel < 3; channel++) {
    const start = channel * mean.width * mean.height;
    for (let y = 0; y < height; y++) {
      const row = (x) => mean.height === height
        ? mean.data[start + y * mean.width + x]
        : between(mean.data[start + down[y].below * mean.width + x],
          mean.data[start + down[y].above * mean.width + x], down[y].share);
      for (let x = 0; x < width; x++) {
        const { below, above, share } = right[x];
        found[(channel * height + y) * width + x] =
          mean.width === width ? row(x) : between(row(below), row(above), share);
      }
    }
  }
  return found;
}

// What the encoder sees of a picture of RGBA bytes: padded right and below by repeating the edge.
export function normalise(pixels, width, height, size, mean, scale) {
  const found = new Float32Array(3 * size.width * size.height);
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < size.height; y++) {
      const from = Math.min(y, height - 1) * width;
      for (let x = 0; x < size.width; x++) {
        const at = (channel * size.height + y) * size.width + x;
        const value = f(pixels[4 * (from + Math.min(x, width - 1)) + channel] / 255);
        found[at] = f(f(value - mean[at]) * scale);
      }
    }
  }
  return found;
}

// Back to pixels: RGBA bytes, and the root mean square of the unclipped error to each picture of `targets`.
export function denormalise(planes, width, height, size, mean, scale, targets = []) {
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255), squares = targets.map(() => 0);
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = (channel * size.height + y) * size.width + x, to = 4 * (y * width + x) + channel;
        const value = f(f(planes[from] / scale) + mean[from]);
        pixels[to] = 255 * value;
        targets.forEach((target, number) => { squares[number] += (value - f(target[to] / 255)) ** 2; });
      }
    }
  }
  return { pixels, errors: squares.map((sum) => Math.sqrt(sum / (3 * width * height))) };
}

// The pieces of a plane, row by row: what is kept of each, and what is computed around it.
export function pieces(size, side, margin) {
  const found = [];
  for (let top = 0; top < size.height; top += side) {
    for (let left = 0; left < size.width; left += side) {
      const bottom = Math.min(top + side, size.height), right = Math.min(left + side, size.width);
      found.push({
        top, left, bottom, right,
        outer: {
          top: Math.max(top - margin, 0), left: Math.max(left - margin, 0),
          bottom: Math.min(bottom + margin, size.height), right: Math.min(right + margin, size.width),
        },
      });
    }
  }
  return found;
}

// A part of planes that lie one after the other.
export function cut(planes, channels, size, part) {
  const width = part.right - part.left, height = part.bottom - part.top;
  if (width === size.width && height === size.height) return planes;
  const found = new planes.constructor(channels * width * height);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const from = (channel * size.height + part.top + y) * size.width + part.left;
      found.set(planes.subarray(from, from + width), (channel * height + y) * width);
    }
  }
  return found;
}

// Put what a piece is for where it belongs; `shift` poolings further in than pixels.
export function paste(whole, channels, size, planes, piece, shift = 0) {
  const part = (box) => Object.fromEntries(Object.entries(box).map(([side, at]) => [side, at >> shift]));
  const inner = part(piece), outer = part(piece.outer);
  const width = outer.right - outer.left, height = outer.bottom - outer.top;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = inner.top; y < inner.bottom; y++) {
      const from = (channel * height + y - outer.top) * width + inner.left - outer.left;
      whole.set(planes.subarray(from, from + inner.right - inner.left),
        (channel * size.height + y) * size.width + inner.left);
    }
  }
}
