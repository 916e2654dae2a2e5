// What a reader has opened, ticked or scrolled to stays so when htmx swaps a part of a page in.
(() => {
  let opened = [];
  let ticked = []; // runs to compare
  let fromTop = null; // of the log, in pixels; null = it stands at the newest line

  const log = () => document.getElementById("run-log");

  document.addEventListener("htmx:beforeSwap", () => {
    opened = [...document.querySelectorAll("details:is(.twin, .ask)[open]")].map((box) => box.id);
    ticked = [...document.querySelectorAll("input[name=run]:checked")].map((box) => box.id);
    const box = log();
    // In a reversed column, scrollTop is 0 at the end and negative above it.
    const pinned = !box || box.scrollTop > -4;
    fromTop = pinned ? null : box.scrollHeight - box.clientHeight + box.scrollTop;
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) {
      const box = document.getElementById(id);
      if (box) box.open = true;
    }
    for (const id of ticked) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    const box = log();
    if (box && fromTop !== null) box.scrollTop = fromTop - (box.scrollHeight - box.clientHeight);
  });

  // A slider tells its number while it moves; htmx asks for the preview a moment later.
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("input[type=range]")) return;
    const told = document.querySelector(`output[for="${target.id}"]`);
    if (told) told.textContent = String(Number(target.value));
  });
})();
