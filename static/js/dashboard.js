// What a reader has opened or scrolled to stays so when htmx swaps the live part of a run's page in.
(() => {
  let opened = [];
  let fromTop = null; // of the log, in pixels; null = it stands at the newest line

  const log = () => document.getElementById("run-log");

  document.addEventListener("htmx:beforeSwap", () => {
    opened = [...document.querySelectorAll("details.twin[open]")].map((box) => box.id);
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
    const box = log();
    if (box && fromTop !== null) box.scrollTop = fromTop - (box.scrollHeight - box.clientHeight);
  });
})();
