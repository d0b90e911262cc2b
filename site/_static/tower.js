/* While a room of the tower is pointed at or has the focus, what it stands on is lit: an arrow comes from each topic
   that it needs, and all that those need in turn is marked. */
"use strict";
document.querySelectorAll(".groundup-tower svg").forEach((picture) => {
  const rooms = new Map([...picture.querySelectorAll(".groundup-room")].map((room) => [room.id.slice(5), room]));
  const needs = (room) => room.dataset.needs.split(" ").map((name) => rooms.get(name)).filter(Boolean);
  const arrows = picture.querySelector(".groundup-needs");
  const arrow = (from, to) => {
    const [a, b] = [from, to].map((room) => room.querySelector("rect").getBBox());
    const [x1, x2] = [a.x + a.width / 2, b.x + b.width / 2];
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    if (a.y > b.y + b.height) {
      const [y1, y2] = [a.y, b.y + b.height], half = (y1 - y2) / 2;
      path.setAttribute("d", `M${x1} ${y1}C${x1} ${y1 - half} ${x2} ${y2 + half} ${x2} ${y2}`);
    } else {  // rooms of one floor, in the same row or a higher one: over the roofs
      path.setAttribute("d", `M${x1} ${a.y}C${x1} ${a.y - 26} ${x2} ${b.y - 26} ${x2} ${b.y}`);
    }
    arrows.append(path);
  };
  const clear = () => {
    arrows.replaceChildren();
    picture.querySelectorAll(".groundup-lit, .groundup-below").forEach((room) => room.classList.remove("groundup-lit", "groundup-below"));
    picture.classList.remove("groundup-chosen");
  };
  const light = (room) => {
    clear();
    picture.classList.add("groundup-chosen");
    room.classList.add("groundup-lit");
    needs(room).forEach((need) => arrow(need, room));
    const waiting = needs(room);
    while (waiting.length) {
      const below = waiting.pop();
      if (!below.classList.contains("groundup-below")) waiting.push(...needs(below));
      below.classList.add("groundup-below");
    }
  };
  rooms.forEach((room) => {
    room.addEventListener("pointerenter", () => light(room));
    room.addEventListener("pointerleave", clear);
    room.addEventListener("focus", () => light(room));
    room.addEventListener("blur", clear);
  });
});
