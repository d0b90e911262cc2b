/* A slider for each claim that sweeps a parameter. The page carries what was predicted and measured at each value
   (data-sweep, a point is [value, predicted or null, measured, low, high]); the slider moves along these points. */
"use strict";
document.querySelectorAll(".groundup-sweep[data-sweep]").forEach((place, index) => {
  const { label, quantity, logarithmic, at, points } = JSON.parse(place.dataset.sweep);
  const W = 640, H = 210, L = 62, R = 16, T = 12, B = 34;
  const shown = (x) => x === null ? "outside the formula"
    : x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3) ? x.toExponential(3).replace(/\.?0+e/, "e") : String(+x.toPrecision(4));
  const spread = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low < high ? [low, high] : [low - 1, high + 1];
  };
  const heights = points.flatMap((p) => p.slice(1).filter((y) => y !== null));
  const steep = Math.min(...heights) > 0 && Math.max(...heights) > 300 * Math.min(...heights);
  const [fx, fy] = [logarithmic, steep].map((log) => (v) => (log ? Math.log10(v) : v));
  const [x0, x1] = spread(points.map((p) => fx(p[0])));
  const [y0, y1] = spread(heights.map(fy));
  const X = (v) => (L + ((fx(v) - x0) / (x1 - x0)) * (W - L - R)).toFixed(1);
  const Y = (v) => (H - B - ((fy(v) - y0) / (y1 - y0)) * (H - B - T)).toFixed(1);
  const [bottom, top] = [Math.min(...heights), Math.max(...heights)];
  const known = points.filter((p) => p[1] !== null);
  const text = (x, y, words, anchor) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;
  const figure = document.createElement("div");
  figure.className = "groundup-slider";
  figure.innerHTML = `<p><b></b></p><svg viewBox="0 0 ${W} ${H}" aria-hidden="true">
<path class="axis" d="M${L} ${T}V${H - B}H${W - R}"/><path class="at"/>
<path class="curve" d="${known.map((p, i) => `${i ? "L" : "M"}${X(p[0])} ${Y(p[1])}`).join("")}"/>
${points.map((p) => `<path class="bar" d="M${X(p[0])} ${Y(p[3])}V${Y(p[4])}"/><circle class="point" cx="${X(p[0])}" cy="${Y(p[2])}" r="4"/>`).join("")}
<circle class="predicted" r="6"/><circle class="measured" r="7"/>
${text(L - 8, H - B, shown(bottom), "end")}${text(L - 8, T + 8, shown(top), "end")}
${text(L, H - B + 18, shown(points[0][0]), "start")}${text(W - R, H - B + 18, shown(points.at(-1)[0]), "end")}</svg>
<p><label for="slider-${index}"></label> <input id="slider-${index}" type="range" min="0" max="${points.length - 1}" step="1"></p>
<output for="slider-${index}"></output>`;
  const find = (selector) => figure.querySelector(selector);
  find("b").textContent = `Move it: ${quantity}`;
  find("label").textContent = `${label}:`;
  const input = find("input");
  const move = () => {
    const [value, predicted, measured, low, high] = points[input.value];
    find(".at").setAttribute("d", `M${X(value)} ${T}V${H - B}`);
    find(".measured").setAttribute("cx", X(value));
    find(".measured").setAttribute("cy", Y(measured));
    find(".predicted").style.display = predicted === null ? "none" : "";
    if (predicted !== null) {
      find(".predicted").setAttribute("cx", X(value));
      find(".predicted").setAttribute("cy", Y(predicted));
    }
    const interval = low < high ? ` [${shown(low)}, ${shown(high)}]` : "";
    input.setAttribute("aria-valuetext", shown(value));
    find("output").innerHTML = `<b>${shown(value)}</b> · <span class="groundup-line" aria-hidden="true">—</span> predicted <b>${shown(predicted)}</b>`
      + ` · <span class="groundup-dot" aria-hidden="true">●</span> measured <b>${shown(measured)}</b>${interval}`;
  };
  // It starts at the claim's own value, or at the point next to it.
  const far = points.map((p) => Math.abs(fx(p[0]) - fx(at)));
  input.value = at === null ? 0 : far.indexOf(Math.min(...far));
  input.addEventListener("input", move);
  move();
  place.prepend(figure);
});
