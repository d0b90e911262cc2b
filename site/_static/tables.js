/* On a narrow screen a table that does not fit, or fits with words one under the other, becomes cards: each value stands after
   its column's name. */
"use strict";
if (matchMedia("(max-width: 599px)").matches) {
  document.querySelectorAll("article table:not(.groundup-cards)").forEach((table) => {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const tallest = Math.max(...[...table.rows].map((row) => row.offsetHeight));
    if (names.length < 3 || (table.scrollWidth <= table.parentElement.clientWidth + 1 && tallest < 160)) return;
    table.classList.add("groundup-table", "groundup-cards");
    table.querySelectorAll("tbody tr").forEach((row) =>
      [...row.cells].forEach((cell, index) => { cell.dataset.label = names[index] || ""; }));
  });
}
