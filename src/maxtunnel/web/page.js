// Sort the table of networks by the column whose head was pressed; pressed again, the other way round.
function maxtunnelSort(button) {
  const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
  const column = [...head.parentElement.children].indexOf(head);
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const value = (row) => {
    const cell = row.children[column], key = cell.dataset.key;
    return key === undefined ? cell.textContent : Number(key);
  };
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    // What was not measured stays at the end.
    if (x === Infinity || y === Infinity) return x === y ? 0 : x === Infinity ? 1 : -1;
    return direction * (typeof x === "number" ? x - y : x.localeCompare(y));
  };
  [...body.rows].sort(compare).forEach((row) => body.append(row));
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
}
