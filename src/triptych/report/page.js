"use strict";

// Comparison: the range input lies over the pictures, so mouse, touch and keys work by themselves.
for (const compare of document.querySelectorAll(".compare")) {
  const slider = compare.querySelector("input");
  const [left, right] = [...compare.querySelectorAll(".tag")].map((tag) => tag.textContent);
  const show = () => {
    compare.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(slider.value)} % ${left}, the rest ${right}`);
  };
  slider.addEventListener("input", show);
  show();
}

// Held-out views: one at a time.
for (const choice of document.querySelectorAll(".choice")) {
  const views = choice.querySelectorAll(".view");
  const buttons = [...choice.querySelectorAll("input[type=radio]")];
  const show = () => buttons.forEach((button, index) => { views[index].hidden = !button.checked; });
  buttons.forEach((button) => button.addEventListener("change", show));
  show();
}

// A number links to its provenance: open the entry.
const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.querySelectorAll("details").forEach((details) => { details.open = true; });
  target?.scrollIntoView();
};
addEventListener("hashchange", openTarget);
openTarget();

// On paper nothing can be unfolded.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
