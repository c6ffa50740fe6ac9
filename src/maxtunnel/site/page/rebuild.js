// The first tab: the photograph beside what both readers make of its switches.

import { decode, meanPicture, writeFile } from "./engine.js";
import { $, compare, make, megabytes } from "./draw.js";
import { bits, count, hash } from "./switches.js";

let facts = new Map();

const ORDER = ["RMSE, paper's reader", "RMSE, strong reader", "RMSE, mean image"];

function told(name, value) {
  facts.set(name, value);
  facts = new Map([...ORDER.filter((each) => facts.has(each)).map((each) => [each, facts.get(each)]), ...facts]);
  $("#facts").replaceChildren(...[...facts].map(([term, text]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, text))));
}

async function read(state, kind) {
  const { photograph, levels, network } = state, { width, height, pixels } = photograph;
  const found = await decode({ name: network.name, kind, levels, width, height, targets: [pixels] });
  if (state.current() !== state) return;
  compare($(`#by-${kind}`), state.known ? photograph : state.mean, { width, height, pixels: found.pixels },
    `${state.known ? "the photograph" : "the mean image"}, beside ${kind === "strong" ? "the strong" : "the paper's"} reader's`);
  const caption = $(`#by-${kind}`).parentElement.querySelector(".told");
  const time = `in ${found.seconds.toFixed(2)} s`;
  caption.textContent = state.known ? `RMSE ${found.errors[0].toFixed(4)}, ${time}` : `${time}; the mean image is on the left`;
  if (state.known) told(ORDER[kind === "strong" ? 1 : 0], found.errors[0].toFixed(4));
}

// Whether the strong reader was asked for; it then reads every photograph.
let wanted = false;

async function readStrong(state) {
  $("#ask-strong").disabled = true;
  try {
    await state.busy("reading with the strong decoder", () => read(state, "strong"));
    wanted = true;
    $("#ask-strong").hidden = true;
  } catch (error) {
    state.complain(error);
  } finally {
    $("#ask-strong").disabled = false;
  }
}

function offerStrong(state) {
  const { strong } = state.network.decoders, ask = $("#ask-strong"), figure = $("#by-strong").parentElement;
  const caption = figure.querySelector(".told");
  figure.hidden = !strong;
  ask.hidden = !strong || wanted;
  if (!strong) return;
  ask.textContent = `Let a strong decoder read them too (${megabytes(strong.bytes)} to load, some seconds to compute)`;
  ask.onclick = () => readStrong(state);
  $("#by-strong").replaceChildren();
  caption.textContent = wanted ? "" : "was not asked yet.";
}

// Show a photograph whose switches are known.
export async function rebuild(state) {
  const { photograph: { width, height, pixels }, levels, network } = state;
  facts = new Map();
  offerStrong(state);
  $("#saved").textContent = "";
  $("#save").onclick = () => save(state).catch(state.complain);
  state.mean = { width, height, ...await meanPicture({ name: network.name, width, height, targets: [pixels] }) };
  await state.busy("rebuilding", () => read(state, "mirrored"));
  if (state.current() !== state) return;
  if (state.known) {
    told(ORDER[2], state.mean.errors[0].toFixed(4));
    told("encoded in", `${state.seconds.toFixed(2)} s`);
  }
  told("switches", count(levels).toLocaleString("en"));
  told("bits a pixel and channel", bits(levels, width, height).toFixed(2));
  told("SHA-256 of the switches", (await hash(levels)).slice(0, 12) || "not in this browser");
}

// Give the switches as a file, which the package and this page read.
async function save({ photograph: { name, width, height }, levels, network, busy }) {
  const bytes = await busy("writing the switches", () => writeFile({ name: network.name, levels, width, height }));
  const link = make("a", { download: `${name.replace(/\.\w+$/, "")}-${network.name}.mxt` });
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const each = 8 * bytes.length / (3 * width * height);
  $("#saved").textContent = `${bytes.length.toLocaleString("en")} bytes, ${each.toFixed(2)} bits a pixel and channel.`;
}

// Let the strong reader read this photograph too, if it was asked before.
export async function askAgain(state) {
  if (wanted && state.network.decoders.strong) await readStrong(state);
}
