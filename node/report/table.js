"use strict";
const table = document.getElementById("peers");
if (table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.v ?? cell.textContent;
    return cell.classList.contains("text") ? value : value === "" ? NaN : Number(value);
  };
  // What is not known comes last, whichever way the rest is sorted.
  const compare = (a, b, sign) => {
    if (typeof a === "string") return a === "" || b === "" ? (a === "") - (b === "") : sign * a.localeCompare(b);
    if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
    return sign * (a - b);
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const first = head.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => each.setAttribute("aria-sort", each === head ? way : "none"));
      const sign = way === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
      rows.sort((a, b) => compare(a[0], b[0], sign));
      body.append(...rows.map((pair) => pair[1]));
    });
  });
  const find = document.getElementById("find");
  find.hidden = false;
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const row of body.rows) row.hidden = !row.dataset.find.toLowerCase().includes(wanted);
  });
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-line]");
    if (!button) return;
    const isPicked = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isPicked));
    for (const line of document.querySelectorAll(`[id$="-${button.dataset.line}"]`)) {
      line.classList.toggle("picked", isPicked);
      if (isPicked) line.parentNode.append(line);
    }
  });
}
