// The second tab: switches by hand, window by window or a share of a level, and the picture at once.

import { decode, latest } from "./engine.js";
import { $, make, options, radios, show } from "./draw.js";
import { brush, changed, differing, dots, draws, KEEP, PLACES } from "./switches.js";

let state, lab, pen = () => "3", reader = () => "mirrored", cursor = { row: 0, column: 0 };

const draw = latest(async () => {
  const now = state, { photograph: { width, height, pixels }, network } = now;
  try {
    const found = await decode({ name: network.name, kind: reader(), levels: lab.levels, width, height, targets: [pixels] });
    if (now !== state) return;
    show($("#lab-result"), { width, height, pixels: found.pixels });
    const share = differing(now.levels, lab.levels).map((part, index) => `level ${index + 1} ${(100 * part).toFixed(1)} %`);
    $("#lab .told").textContent =
      `RMSE to ${now.known ? "the photograph" : "the picture of its own switches"} ${found.errors[0].toFixed(4)}. Switches that are not its own: ${share.join(", ")}.`;
  } catch (error) {
    now.complain(error);
  }
});

const chosen = () => ({ index: Number($("#level").value), channel: Number($("#channel").value) });

function showMap() {
  const { index, channel } = chosen(), level = lab.levels[index], map = $("#map");
  [map.width, map.height] = [level.width, level.height];
  map.getContext("2d").putImageData(dots(level, Math.max(channel, 0)), 0, 0);
  if (document.activeElement === map) {
    const paint = map.getContext("2d");
    paint.fillStyle = "#fff";
    paint.fillRect(cursor.column, cursor.row, 1, 1);
  }
}

function tell() {
  const { index, channel } = chosen(), level = lab.levels[index], { row, column } = cursor;
  const code = level.codes[(Math.max(channel, 0) * level.height + row) * level.width + column];
  const which = channel < 0 ? "all channels (the first is shown)" : `channel ${channel + 1}`;
  $("#at").textContent = `of level ${index + 1}, ${which}, row ${row + 1}, column ${column + 1}: ${PLACES[code]}`;
}

function update(index) {
  lab.levels[index] = changed(state.levels[index], lab.shares[index], lab.drawn[index], lab.byHand[index]);
  showMap();
  draw();
}

function set(code) {
  const { index, channel } = chosen(), level = state.levels[index];
  brush(lab.byHand[index], level, { ...cursor, channel, around: Number($("#brush").value), code });
  update(index);
  tell();
}

function point(event) {
  const map = $("#map"), box = map.getBoundingClientRect();
  const place = (at, from, length, cells) => Math.min(Math.max(Math.floor((at - from) / length * cells), 0), cells - 1);
  cursor = {
    row: place(event.clientY, box.top, box.height, map.height),
    column: place(event.clientX, box.left, box.width, map.width),
  };
}

function move(event) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const level = lab.levels[chosen().index];
  if (steps) {
    cursor.row = Math.min(Math.max(cursor.row + steps[0], 0), level.height - 1);
    cursor.column = Math.min(Math.max(cursor.column + steps[1], 0), level.width - 1);
    showMap();
    tell();
  } else if (["1", "2", "3", "4"].includes(event.key)) set(Number(event.key) - 1);
  else if (event.key === "Enter" || event.key === " ") set(Number(pen()));
  else return;
  event.preventDefault();
}

function slider(index, total) {
  const name = index === 0 ? "1, finest" : index === total - 1 ? `${index + 1}, deepest` : `${index + 1}`;
  const range = make("input", { type: "range", min: 0, max: 100, value: 0, id: `share-${index + 1}` });
  const output = make("output", { for: range.id }, "0 %");
  range.addEventListener("input", () => {
    lab.shares[index] = range.value / 100;
    output.textContent = `${range.value} %`;
    update(index);
  });
  return make("label", {}, `Level ${name}`, range, output);
}

function fillChannels() {
  const { channels } = state.levels[Number($("#level").value)];
  options($("#channel"), [[-1, "all"], ...Array.from({ length: channels }, (_, index) => [index, index + 1])]);
}

function startAgain() {
  lab = {
    levels: state.levels.slice(), shares: state.levels.map(() => 0), drawn: state.levels.map(draws),
    byHand: state.levels.map(({ codes }) => new Uint8Array(codes.length).fill(KEEP)),
  };
  cursor = { row: 0, column: 0 };
  const levels = $("#levels"), total = state.levels.length;
  levels.replaceChildren(levels.querySelector("legend"), ...state.levels.map((_, index) => slider(index, total)));
  showMap();
  draw();
}

// Take a photograph whose switches are known into the lab.
export function enter(next) {
  state = next;
  options($("#level"), state.levels.map((_, index) => [index, index + 1]));
  fillChannels();
  reader = radios($("#lab-reader"), "lab-reader", state.readers(), reader(), draw);
  startAgain();
}

// Tie the lab's controls to it, once.
export function open() {
  const map = $("#map");
  pen = radios($(".cells"), "cell", PLACES.map((place, code) => [String(code), make("i", { class: `cell-${code}` }), place]), "3", () => {});
  $("#level").addEventListener("change", () => { fillChannels(); cursor = { row: 0, column: 0 }; showMap(); });
  $("#channel").addEventListener("change", showMap);
  $("#reset").addEventListener("click", startAgain);
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); point(event); set(Number(pen())); });
  map.addEventListener("pointermove", (event) => { if (event.buttons & 1) { point(event); set(Number(pen())); } });
  map.addEventListener("keydown", move);
  for (const name of ["focus", "blur"]) map.addEventListener(name, () => lab && showMap());
}
