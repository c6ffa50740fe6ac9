// The third tab: the switches of one photograph on some levels, those of another on the others.

import { decode, encode, latest } from "./engine.js";
import { $, make, radios, show } from "./draw.js";
import { warped } from "./photographs.js";

let state, second, origins = [], reader = () => "mirrored";

const draw = latest(async () => {
  const now = state, { photograph: { width, height, pixels }, network } = now;
  try {
    if (!now.other || now.otherOf !== second) {
      now.otherOf = second;
      now.donor = await warped(second, width, height);
      now.other = (await encode({ name: network.name, pixels: now.donor.pixels, width, height })).levels;
      if (now === state) show($("#second"), now.donor);
    }
    const levels = now.levels.map((level, index) => (origins[index]() === "B" ? now.other[index] : level));
    const targets = [pixels, now.donor.pixels];
    const found = await decode({ name: network.name, kind: reader(), levels, width, height, targets });
    if (now !== state) return;
    show($("#mixed"), { width, height, pixels: found.pixels });
    $("#transplant .told").textContent =
      `RMSE to A ${found.errors[0].toFixed(4)}, to B ${found.errors[1].toFixed(4)}`;
  } catch (error) {
    now.complain(error);
  }
});

// Take a photograph, whose switches are known, as A.
export function enter(next) {
  const before = origins.map((tell) => tell());
  state = next;
  show($("#first"), state.photograph);
  const places = state.levels.map((_, index) => {
    const place = make("span", { class: "readers" });
    // At first the finest level is B's.
    const start = before.length === state.levels.length ? before[index] : index === 0 ? "B" : "A";
    origins[index] = radios(place, `origin-${index + 1}`, [["A", "A"], ["B", "B"]], start, draw);
    const label = `Level ${index + 1}`;
    return make("div", { role: "radiogroup", "aria-label": label }, make("b", {}, label), place);
  });
  origins.length = places.length;
  $("#origins").replaceChildren($("#origins legend"), ...places);
  reader = radios($("#transplant-reader"), "transplant-reader", state.readers(), reader(), draw);
  if (second) draw();
}

// Take a photograph as B.
export function donate(photograph) {
  second = photograph;
  if (state) draw();
}
