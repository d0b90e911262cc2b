/* Search by symptom: what a failure mode's symptoms say comes before the pages that hold the words somewhere.

   Words are read as `groundup why` reads them (groundup/why.py): by their stems, and by what they mean (groundup/synonyms.toml),
   small words left out. A query and a symptom are compared word by word: one that both have counts whole, one that means the same
   a little less, a rare one more than a common one. A symptom is a hit if at least half of both is in the other, by weight. Only
   whole words count: "nan" is not in "discriminant". */
"use strict";
{  // deferred: Sphinx's script is there, and has not searched yet
  const HALF = 0.5, MOST = 5, MEANING = 0.7;
  const { modes, meanings, small, endings } = GROUNDUP_SYMPTOMS;
  const dropped = new Set(small);
  const alphabetic = (word) => /^\p{L}+$/u.test(word);
  const stem = (word) => {
    if (word.endsWith("ss") || !alphabetic(word)) return word;
    for (const ending of endings) {
      const rest = word.slice(0, word.length - ending.length);
      const shortest = ending.length > 2 && !["ing", "ies"].includes(ending) ? 4 : 3;
      if (!word.endsWith(ending) || rest.length < shortest || (ending === "s" && "aious".includes(rest.at(-1)))) continue;
      const doubled = ["ed", "ing", "ings"].includes(ending) && rest.at(-1) === rest.at(-2) && !"lsz".includes(rest.at(-1));
      return doubled ? rest.slice(0, -1) : rest;
    }
    return word;
  };
  const stems = (text) => (text.toLowerCase().replaceAll("’", "'").replaceAll("n't", " not")
    .match(/\d+\.\d+|[a-z]\u0302|[\p{L}\p{N}]+/gu) || [])
    .filter((word) => !dropped.has(word)).map(stem).map((word) => ["no", "never", "cannot"].includes(word) ? "not" : word);

  const phrases = new Map();
  let longest = 1;
  Object.entries(meanings).forEach(([meaning, all]) => all.forEach((phrase) => {
    const words = stems(phrase);
    longest = Math.max(longest, words.length);
    const key = words.join(" ");
    phrases.set(key, (phrases.get(key) || new Set()).add(meaning));
  }));
  const read = (text) => {  // the words, and of each what it means where it stands
    const words = stems(text), means = words.map(() => new Set());
    words.forEach((_, start) => {
      for (let stop = start + 1; stop <= Math.min(start + longest, words.length); stop += 1) {
        (phrases.get(words.slice(start, stop).join(" ")) || []).forEach((meaning) => {
          for (let place = start; place < stop; place += 1) means[place].add(meaning);
        });
      }
    });
    return { words, means, has: new Set(words), all: new Set(means.flatMap((own) => [...own])) };
  };

  const known = modes.flatMap(([file, anchor, title, topic, symptoms]) =>
    symptoms.map((symptom) => ({ file, anchor, title, topic, symptom, ...read(symptom) })));
  const holds = new Map();
  known.forEach((entry) => entry.has.forEach((word) => holds.set(word, (holds.get(word) || 0) + 1)));
  const weight = (word) => Math.log(1 + known.length / (holds.get(word) || 1));
  const total = (text) => text.words.reduce((sum, word) => sum + weight(word), 0);
  const shared = (text, other) => text.words.reduce((sum, word, place) => sum + weight(word)
    * (other.has.has(word) ? 1 : [...text.means[place]].some((meaning) => other.all.has(meaning)) ? MEANING : 0), 0);
  const hits = (query) => {
    const asked = read(query), best = new Map();
    known.forEach((entry) => {
      const score = (shared(asked, entry) + shared(entry, asked)) / (total(asked) + total(entry));
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
