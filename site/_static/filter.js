/* An input that hides what does not hold all of its words: data-filter names the things by a CSS selector. A heading whose
   things are all hidden is hidden with them. The words also stand in the address, so that a filtered page can be sent on. */
"use strict";
document.querySelectorAll("input[data-filter]").forEach((input) => {
  const things = [...document.querySelectorAll(input.dataset.filter)].map((thing) => [thing, thing.textContent.toLowerCase()]);
  const status = input.parentElement.querySelector("[role=status]");
  const choices = [...input.parentElement.querySelectorAll("select[data-attribute]")];
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    things.forEach(([thing, text]) => {
      thing.hidden = !words.every((word) => text.includes(word))
        || choices.some((choice) => choice.value && thing.dataset[choice.dataset.attribute] !== choice.value);
      shown += !thing.hidden;
    });
    document.querySelectorAll("article section section").forEach((section) => {
      const own = [...section.querySelectorAll(input.dataset.filter)];
      section.hidden = own.length > 0 && own.every((thing) => thing.hidden);
    });
    status.textContent = shown < things.length ? `${shown} of ${things.length}` : "";
  };
  input.addEventListener("input", filter);
  choices.forEach((choice) => choice.addEventListener("change", filter));
  input.value = new URLSearchParams(location.search).get("see") || "";
  filter();
  input.addEventListener("change", () => {
    const see = input.value ? `?see=${encodeURIComponent(input.value)}` : location.pathname;
    history.replaceState(null, "", see);
  });
});
