// Tells the site what was really in view, and what was read. Nothing breaks when it cannot.
//
//   [data-slate-id]                a slate; inside it [data-position="0"] … mark its places.
//   [data-read-item]               an article: the seconds it was visible go out as one "read".
//   [data-view-item]               a product page that was not reached by a click on a slate.
//
// A place counts as seen when half of it has been in view for half a second.
(() => {
  const HALF_SECOND = 500; // ms
  const FLUSH_EVERY = 2000; // ms
  const SHORTEST_READ = 3; // seconds; less is a glance
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (!token || !navigator.sendBeacon) return;

  const send = (address, rows) => {
    const form = new FormData();
    form.append("csrfmiddlewaretoken", token);
    form.append("payload", JSON.stringify(rows));
    return navigator.sendBeacon(address, form);
  };
  // crypto.randomUUID exists on HTTPS and localhost only; a demo may run on a bare address.
  const uuid = () => {
    if (crypto.randomUUID) return crypto.randomUUID();
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    const hex = [...b].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  // Impressions.
  const waiting = new Map(); // slate id → positions that are seen and not sent yet
  const timers = new Map(); // element → timer of its half second
  const flush = () => {
    if (!waiting.size) return;
    const rows = [...waiting].map(([slate, positions]) => ({ slate, positions: [...positions] }));
    if (send("/feedback/impressions", rows)) waiting.clear();
  };
  const see = (element) => {
    timers.delete(element);
    observer.unobserve(element);
    const slate = element.closest("[data-slate-id]")?.dataset.slateId;
    if (!slate) return;
    if (!waiting.has(slate)) waiting.set(slate, new Set());
    waiting.get(slate).add(Number(element.dataset.position));
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, intersectionRatio } of entries) {
        if (intersectionRatio >= 0.5 && !timers.has(target))
          timers.set(target, setTimeout(see, HALF_SECOND, target));
        else if (intersectionRatio < 0.5) {
          clearTimeout(timers.get(target));
          timers.delete(target);
        }
      }
    },
    { threshold: [0, 0.5] },
  );
  const known = new WeakSet();
  const watch = () => {
    for (const element of document.querySelectorAll("[data-slate-id] [data-position]")) {
      if (known.has(element)) continue;
      known.add(element);
      observer.observe(element);
    }
  };

  // Reading time: one report a page view, when the page is left or hidden.
  let since = document.visibilityState === "visible" ? performance.now() : null;
  let seconds = 0;
  let reported = false;
  const report = () => {
    if (since !== null) seconds += (performance.now() - since) / 1000;
    since = null;
    const article = document.querySelector("[data-read-item]");
    if (!article || reported || seconds < SHORTEST_READ) return;
    const value = Math.round(seconds * 10) / 10;
    const row = { type: "read", item: article.dataset.readItem, value, event_id: uuid() };
    reported = send("/feedback/interactions", [row]);
  };
  const leave = () => {
    report();
    flush();
  };

  const start = () => {
    watch();
    new MutationObserver(watch).observe(document.body, { childList: true, subtree: true });
    setInterval(flush, FLUSH_EVERY);
    const product = document.querySelector("[data-view-item]");
    if (product) {
      const row = { type: "view", item: product.dataset.viewItem, event_id: uuid() };
      setTimeout(() => document.visibilityState === "visible" && send("/feedback/interactions", [row]), 1000);
    }
    // The click is logged; without slate and position the address can be passed on.
    const here = new URL(location.href);
    if (here.searchParams.has("s") && here.searchParams.has("p")) {
      here.searchParams.delete("s");
      here.searchParams.delete("p");
      history.replaceState(history.state, "", here);
    }
  };

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") leave();
    else since ??= performance.now();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return; // back from the browser's cache: a new look at the page
    since = performance.now();
    seconds = 0;
    reported = false;
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
