/* Search by symptom: what a failure mode's symptoms say comes before the pages that hold the words somewhere.

   A query and a symptom are sets of stemmed words (Sphinx's own stemmer), a rare word weighing more than a common one. A
   symptom is a hit if the words in common are at least half of both, by the harmonic mean of the two shares. Only whole
   words count: "nan" is not in "discriminant". */
"use strict";
{  // deferred: Sphinx's script is there, and has not searched yet
  const HALF = 0.5, MOST = 5;
  const stemmer = new Stemmer();
  const words = (text) => new Set((text.toLowerCase().replaceAll("’", "'").match(/[\p{L}\p{N}]+(?:[-'.][\p{L}\p{N}]+)*/gu) || [])
    .filter((word) => !stopwords.has(word)).map((word) => stemmer.stemWord(word)));
  const known = GROUNDUP_SYMPTOMS.flatMap(([file, anchor, title, topic, symptoms]) =>
    symptoms.map((symptom) => ({ file, anchor, title, topic, symptom, words: words(symptom) })));
  const holds = new Map();
  known.forEach((entry) => entry.words.forEach((word) => holds.set(word, (holds.get(word) || 0) + 1)));
  const weight = (word) => Math.log(1 + known.length / (holds.get(word) || 1));
  const total = (list) => [...list].reduce((sum, word) => sum + weight(word), 0);
  const hits = (query) => {
    const asked = words(query), best = new Map();
    known.forEach((entry) => {
      const score = 2 * total([...asked].filter((word) => entry.words.has(word))) / (total(asked) + total(entry.words));
      const key = `${entry.file}#${entry.anchor}`;
      if (score >= HALF && score > (best.get(key)?.score || 0)) best.set(key, { ...entry, score });
    });
    return [...best.values()].sort((a, b) => b.score - a.score).slice(0, MOST);
  };

  // Sphinx shows its results from the last to the first: [document, title, anchor, description, score, file, kind].
  const perform = Search._performSearch;
  Search._performSearch = (query, ...rest) => [
    ...perform(query, ...rest),
    ...hits(query).reverse().map(({ file, anchor, title, topic, symptom, score }) =>
      [file, `${topic}: ${title}`, `#${anchor}`, symptom, 1000 * score, `${file}.ipynb`, "symptom"]),
  ];

  // Mathematics that nobody has set yet is no reading.
  const plain = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".math, .groundup-card").forEach((element) => element.replaceWith(" … "));
    return plain(page.documentElement.outerHTML, anchor);
  };
}
