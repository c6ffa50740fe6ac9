// Small things that all tabs draw with.

export const $ = (selector) => document.querySelector(selector);

// An element with attributes and content.
export function make(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

// Show RGBA bytes on a canvas, a pixel each.
export function show(canvas, { width, height, pixels }) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

// A picture on the left of a line that can be dragged, another one on its right.
export function compare(place, left, right, names) {
  if (!place.firstChild) {
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": `How much of ${names}` });
    range.addEventListener("input", () => place.style.setProperty("--at", `${range.value}%`));
    place.append(make("canvas"), make("canvas"), make("i"), range);
  }
  const [under, over] = place.querySelectorAll("canvas");
  show(under, left);
  show(over, right);
}

// Radio buttons in a group; `chosen` hears the value. Gives a function that tells it.
export function radios(place, name, choices, start, chosen) {
  place.replaceChildren(...choices.map(([value, ...content]) => {
    const input = make("input", { type: "radio", name, value });
    input.checked = value === start;
    input.addEventListener("change", () => chosen(value));
    return make("label", {}, input, ...content);
  }));
  return () => place.querySelector("input:checked")?.value;
}

// Options of a list, by value and text.
export function options(select, choices) {
  const before = select.value;
  select.replaceChildren(...choices.map(([value, text]) => make("option", { value }, text)));
  if (choices.some(([value]) => String(value) === before)) select.value = before;
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
