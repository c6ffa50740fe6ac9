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

// Say what is done meanwhile.
async function busy(text, work) {
  status(`${text[0].toUpperCase()}${text.slice(1)} …`);
  try {
    return await work();
  } finally {
    $("#loading").hidden = true;
    if (state) status(`${state.photograph.name}, ${state.photograph.width}×${state.photograph.height}, through ${state.network.name}.`);
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
  const given = await source(Number($("#side").value));
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

// Show what is chosen in every tab.
const take = latest(async () => {
  $("#notice").hidden = true;
  try {
    const next = await looked(), { network, photograph: { name, width, height } } = next;
    state = { ...next, busy, complain, current: () => state, readers: () => readers(network) };
    await rebuild(state);
    refresh();
    document.body.dataset.shown = `${name} ${network.name} ${width}x${height}`;
    await askAgain(state);
  } catch (error) {
    complain(error);
    status("");
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

// Take a photograph: a function of the longest side.
function choose(make, pressed) {
  source = make;
  for (const button of document.querySelectorAll(".inputs .samples button")) {
    button.setAttribute("aria-pressed", button === pressed);
  }
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

function samples(place, start, taken) {
  for (const name of about.photographs) {
    const button = make("button", { type: "button", "aria-pressed": name === start },
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
  $("#file").addEventListener("change", ({ target }) => fromFile(target.files[0]));
  const image = (list) => [...list].find(({ type, name }) => type.startsWith("image/") || name.endsWith(".mxt"));
  addEventListener("paste", (event) => fromFile(image(event.clipboardData.files)));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); fromFile(image(event.dataTransfer.files)); });
  $("#camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("#camera").addEventListener("click", async () => {
    const picture = await camera($("#camera-dialog")).catch(complain);
    if (picture) choose((side) => opened(picture, "camera", side));
  });
}

function openDonors() {
  const give = async (get) => transplant.donate(await get(Number($("#side").value)).catch(complain));
  samples($("#others"), "coffee", (name, button) => {
    for (const other of $("#others").children) other.setAttribute("aria-pressed", other === button);
    give((side) => sample(name, side));
  });
  $("#other-file").addEventListener("change", ({ target: { files: [file] } }) =>
    file && give((side) => opened(file, file.name, side)));
  return give((side) => sample("coffee", side));
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
  samples($(".inputs .samples"), "chelsea", (name, button) => choose((side) => sample(name, side), button));
  await openDonors();
  await choose((side) => sample("chelsea", side), $(".samples button:nth-child(3)"));
} catch (error) {
  complain(error);
}
