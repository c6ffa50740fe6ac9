// Ties the page together: what is chosen above, and the tabs that show it.

import { $, make, megabytes, options } from "./draw.js";
import { decode, encode, latest, onProgress, readFile } from "./engine.js";
import * as lab from "./lab.js";
import { camera, opened, sample } from "./photographs.js";
import { askAgain, rebuild } from "./rebuild.js";
import * as table from "./table.js";
import * as transplant from "./transplant.js";

const status = (text) => { $("#status").textContent = text; };
const TABS = [...document.querySelectorAll("[role=tab]")];
const told = new Map();
let about, source, state;

function complain(error) {
  $("#notice").textContent = error.message;
  $("#notice").hidden = false;
}

// Say what is shown.
function rest() {
  $("#loading").hidden = true;
  status(state ? `${state.photograph.name}, ${state.photograph.width}×${state.photograph.height}, through ${state.network.name}.` : "");
}

// Say what is done meanwhile.
async function busy(text, work) {
  status(`${text[0].toUpperCase()}${text.slice(1)} …`);
  try {
    return await work();
  } finally {
    rest();
  }
}

function readers({ decoders: { mirrored, strong } }) {
  const found = [["mirrored", "the paper's"]];
  if (strong) found.push(["strong", `strong (${megabytes(strong.bytes)} to load once; slower)`]);
  return mirrored ? found : [];
}

// What is chosen, with its switches: { network, photograph, levels, known }. Of a switch file the photograph is
// not known: what the paper's reader makes of it takes its place.
async function looked() {
  const given = await source.make(Number($("#side").value));
  if (given.levels) {
    $("#network").value = given.network;
    const { name, width, height, levels } = given, network = chosenNetwork();
    const { pixels } = await busy(`reading ${name}`, () => decode({ name: network.name, kind: "mirrored", levels, width, height }));
    return { network, levels, known: false, photograph: { name, width, height, pixels } };
  }
  const network = chosenNetwork(), { name, width, height, pixels } = given;
  const found = await busy(`encoding ${name}`, () => encode({ name: network.name, pixels, width, height }));
  return { network, photograph: given, known: true, ...found };
}

const chosenNetwork = () => about.networks.find(({ name }) => name === $("#network").value);

// Show what is chosen in every tab; where it cannot be shown, what was shown before stays chosen.
const take = latest(async () => {
  $("#notice").hidden = true;
  const asked = source;
  try {
    const next = await looked(), { network, photograph: { name, width, height } } = next;
    state = { ...next, source: asked, busy, complain, current: () => state, readers: () => readers(network) };
    await rebuild(state);
    refresh();
    document.body.dataset.shown = `${name} ${network.name} ${width}x${height}`;
    await askAgain(state);
  } catch (error) {
    complain(error);
    if (state && source === asked) mark(state.source);
    rest();
  }
});

// Tell the tab that is open of the photograph; the others are told when they are opened.
function refresh() {
  const tab = TABS.find((each) => each.getAttribute("aria-selected") === "true").getAttribute("aria-controls");
  const panel = { lab, transplant }[tab];
  if (!panel || !state || told.get(tab) === state) return;
  told.set(tab, state);
  panel.enter(state);
}

// Note what is to be shown: `make` gives it by the longest side, `pressed` is its button.
function mark(chosen) {
  source = chosen;
  press($(".inputs .samples"), chosen.pressed);
}

function press(place, pressed) {
  for (const button of place.children) button.setAttribute("aria-pressed", button === pressed);
}

// Take a photograph.
function choose(make, pressed) {
  mark({ make, pressed });
  return take();
}

// What a switch file holds, with the name of its network.
async function switchesOf(file) {
  try {
    const { name, ...found } = await readFile(new Uint8Array(await file.arrayBuffer()));
    return { ...found, name: file.name, network: name };
  } catch (error) {
    throw new Error(`${file.name} cannot be read: ${error.message}`);
  }
}

const fromFile = (file) => file && choose(file.name?.endsWith(".mxt")
  ? () => switchesOf(file) : (side) => opened(file, file.name || "the photograph", side));

function samples(place, taken) {
  for (const name of about.photographs) {
    const button = make("button", { type: "button", "aria-pressed": false },
      make("img", { src: `photographs/${name}.jpg`, alt: "", width: 256, height: 256 }), name);
    button.addEventListener("click", () => taken(name, button));
    place.append(button);
  }
}

function select(tab, focus = false) {
  for (const other of TABS) {
    const now = other === tab;
    other.setAttribute("aria-selected", now);
    other.tabIndex = now ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !now;
  }
  if (focus) tab.focus();
  refresh();
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
}

function openTabs() {
  TABS.forEach((tab, place) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: TABS.length - 1 }[key];
      if (to !== undefined) select(TABS.at(to % TABS.length), true);
    });
  });
  const asked = TABS.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
  if (asked) select(asked);
}

function openInputs() {
  options($("#network"), about.networks.map(({ name }) => [name, name]));
  $("#network").addEventListener("change", take);
  $("#side").addEventListener("change", take);
  listen("#file", fromFile);
  // Of none of these kinds, the first, of which is said what is wrong.
  const image = (list) => [...list].find(({ type, name }) => type.startsWith("image/") || name.endsWith(".mxt")) ?? list[0];
  addEventListener("paste", (event) => fromFile(image(event.clipboardData.files)));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); fromFile(image(event.dataTransfer.files)); });
  $("#camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("#camera").addEventListener("click", async () => {
    const picture = await camera($("#camera-dialog")).catch(complain);
    if (picture) choose((side) => opened(picture, "camera", side));
  });
}

// Hear of a file that is chosen; the same one may be chosen again.
function listen(input, taken) {
  $(input).addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) taken(file);
  });
}

function openDonors() {
  const give = async (get, pressed) => {
    $("#notice").hidden = true;
    try {
      transplant.donate(await get(Number($("#side").value)));
      press($("#others"), pressed);
    } catch (error) {
      complain(error);
    }
  };
  samples($("#others"), (name, button) => give((side) => sample(name, side), button));
  listen("#other-file", (file) => give((side) => opened(file, file.name, side)));
  return give((side) => sample("coffee", side), $("#others").lastElementChild);
}

onProgress(({ file, there, bytes }) => {
  const bar = $("#loading");
  bar.hidden = !(bytes > 1e6 && there < bytes);
  if (bar.hidden) return;
  bar.value = there / bytes;
  status(`Loading ${file.split("/").at(-1)}, once: ${megabytes(there)} of ${megabytes(bytes)}`);
});

try {
  openTabs();
  lab.open();
  table.open($("#table"));
  about = await (await fetch("networks.json")).json();
  openInputs();
  samples($(".inputs .samples"), (name, button) => choose((side) => sample(name, side), button));
  await openDonors();
  await choose((side) => sample("chelsea", side), $(".samples button:nth-child(3)"));
} catch (error) {
  complain(error);
}
