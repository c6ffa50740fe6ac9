// The package's entropy coder of switch files, compiled to WebAssembly, with a model of a network's switches.

const WIDE = new Set(["middle", "middle_bias", "own", "out", "out_bias"]); // int32; the others are int16
const ROWS = new Set(["trunk", "above", "own"]); // tables with a row a code; one of zeros joins them
const ORDER = ["trunk", "above", "bias", "middle", "middle_bias", "own", "out", "out_bias"];
const READERS = { I8: [1, "getInt8"], I16: [2, "getInt16"], I32: [4, "getInt32"] };

// The arrays of a safetensors file, by name: { shape, values }.
function arraysOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return Object.fromEntries(Object.entries(header).filter(([name]) => name !== "__metadata__").map(
    ([name, { dtype, shape, data_offsets: [start, end] }]) => {
      const [size, get] = READERS[dtype], values = new Array((end - start) / size);
      for (let at = 0; at < values.length; at++) values[at] = view[get](8 + length + start + at * size, true);
      return [name, { shape, values }];
    }));
}

// As the coder takes it: tables with a row more.
function widened(name, { shape, values }) {
  const kind = WIDE.has(name) ? Int32Array : Int16Array;
  if (!ROWS.has(name)) return kind.from(values);
  const row = shape.slice(3).reduce((product, side) => product * side, 1), before = shape[2] * row;
  const tables = shape[0] * shape[1], found = new kind(tables * (before + row));
  for (let table = 0; table < tables; table++) {
    for (let at = 0; at < before; at++) found[table * (before + row) + at] = values[table * before + at];
  }
  return found;
}

// A coder for a network; `prior` and `squash` are the bytes of its model and of the table of probabilities.
export async function makeCoder(module, prior, squash) {
  const nothing = () => 52;
  const { exports } = await WebAssembly.instantiate(module, {
    wasi_snapshot_preview1: { fd_close: nothing, fd_seek: nothing, fd_write: nothing },
  });
  exports._initialize();
  const bytesAt = (at, length) => new Uint8Array(exports.memory.buffer, at, length);
  const put = (array) => {
    const at = exports.malloc(Math.max(array.byteLength, 16));
    if (!at) throw new Error("there is not enough memory for the switches");
    bytesAt(at, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return at;
  };
  const arrays = arraysOf(prior), table = put(squash), weights = [];
  for (let index = 0; `${index}.bias` in arrays; index++) {
    const reach = ["trunk", "above"].map((name) => Math.round(Math.sqrt(arrays[`${index}.${name}`].shape[1])));
    const pointers = ORDER.map((name) => put(widened(name, arrays[`${index}.${name}`])));
    weights.push(put(Int32Array.of(...reach, ...pointers, table)));
  }
  const shape = (level) => put(BigInt64Array.from(
    level ? [1, level.channels, level.height, level.width] : [1, 0, 0, 0], BigInt));

  function run(index, level, above, buffer, decoding) {
    const given = [shape(level), shape(above), put(level.codes), put(above ? above.codes : new Uint8Array(0)), put(buffer)];
    const [own, other, codes, otherCodes, bytes] = given;
    const size = Number(exports.learned(own, other, weights[index], codes, otherCodes, bytes, BigInt(buffer.length), decoding));
    const found = decoding ? bytesAt(codes, level.codes.length).slice() : bytesAt(bytes, Math.max(size, 0)).slice();
    given.forEach((at) => exports.free(at));
    return size < 0 ? null : found;
  }

  return {
    // The bytes of a level; null where packed ones are fewer.
    write: (levels, index) =>
      run(index, levels[index], levels[index + 1], new Uint8Array((levels[index].codes.length >> 2) + 8), 0),
    // Read a level's bytes into `codes`.
    read: (index, { codes, ...size }, above, body) => codes.set(run(index, { codes, ...size }, above, body, 1)),
  };
}
