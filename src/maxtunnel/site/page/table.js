// The table of networks: pressing a column's head sorts by it; pressed again, the other way round.

const value = (row, column) => {
  const cell = row.children[column], { key } = cell.dataset;
  return key === undefined ? cell.textContent : Number(key);
};

function sort(button) {
  const head = button.parentElement, body = head.closest("table").tBodies[0];
  const column = [...head.parentElement.children].indexOf(head);
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const order = (a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    // What was not measured stays at the end.
    if (x === Infinity || y === Infinity) return x === y ? 0 : x === Infinity ? 1 : -1;
    return direction * (typeof x === "number" ? x - y : x.localeCompare(y));
  };
  body.append(...[...body.rows].sort(order));
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
}

export function open(section) {
  section.addEventListener("click", ({ target }) => {
    const button = target.closest("thead button");
    if (button) sort(button);
  });
}
