/* An address names an entry. One that the index does not hold stands on its topic's page; one that is folded is unfolded. */
"use strict";
{
  const arrive = () => {
    const key = decodeURIComponent(location.hash.slice(1));
    if (!key) return;
    const entry = document.getElementById(key);
    if (!entry && /^\w+\/(failure|agreement)\//.test(key) && /\/ledger\.html$/.test(location.pathname)) {
      location.replace(`ledger/${key.split("/")[0]}.html#${key}`);
    }
    const folded = entry?.closest("details:not([open])");
    if (folded) {
      folded.open = true;
      entry.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", arrive);
  arrive();
}
