"use strict";
// Without this script every table is whole and in order; with it, tables are sorted and narrowed down.
const rowsOf = (table) => [...table.tBodies[0].rows];
const valueOf = (row, column) => row.cells[column] ? row.cells[column].dataset.value || "" : "";

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

function sortBy(table, column, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const sorted = rowsOf(table).map((row) => [valueOf(row, column), row]);
  sorted.sort(([a], [b]) => (descending && a !== "" && b !== "" ? compare(b, a) : compare(a, b)));
  table.tBodies[0].append(...sorted.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, column, heading));
    heading.append(button);
  });
}

function narrow(table, box) {
  const wanted = [...box.querySelectorAll("select")].filter((select) => select.value !== "");
  let shown = 0, total = 0, group = null, inGroup = 0;
  const close = () => { if (group) group.hidden = inGroup === 0; };
  for (const row of rowsOf(table)) {
    if (row.classList.contains("group")) { close(); group = row; inGroup = 0; continue; }
    const kept = wanted.every((select) => valueOf(row, Number(select.dataset.column)) === select.value);
    row.hidden = !kept;
    total += 1; shown += kept; inGroup += kept;
  }
  close();
  box.querySelector("output").textContent = `${shown} of ${total} rows`;
}

for (const box of document.querySelectorAll(".choices")) {
  const table = document.getElementById(box.dataset.table);
  const rows = rowsOf(table).filter((row) => !row.classList.contains("group"));
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (!("chosen" in heading.dataset)) return;
    const values = [...new Set(rows.map((row) => valueOf(row, column)))].sort(compare);
    const select = document.createElement("select");
    select.dataset.column = column;
    select.append(new Option("all", ""), ...values.map((value) => {
      const row = rows.find((one) => valueOf(one, column) === value);
      return new Option(row.cells[column].textContent.trim(), value);
    }));
    select.addEventListener("change", () => narrow(table, box));
    const label = document.createElement("label");
    label.append(heading.textContent.trim() + " ", select);
    box.append(label);
  });
  if (!box.querySelector("select")) continue;
  const all = document.createElement("button");
  all.type = "button";
  all.textContent = "show all";
  all.addEventListener("click", () => {
    for (const select of box.querySelectorAll("select")) select.value = "";
    narrow(table, box);
  });
  box.append(all, document.createElement("output"));
  box.hidden = false;
  narrow(table, box);
}

for (const link of document.querySelectorAll("a[data-choose]")) {
  link.addEventListener("click", () => {
    const table = document.getElementById(link.dataset.table);
    const box = document.querySelector(`.choices[data-table="${table.id}"]`);
    const wanted = JSON.parse(link.dataset.choose);
    for (const select of box.querySelectorAll("select")) select.value = wanted[select.dataset.column] || "";
    narrow(table, box);
  });
}
